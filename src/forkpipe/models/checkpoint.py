"""A checkpoint: a Hugging Face model folder with `forking.json` beside the weights."""

import hashlib
import json
from pathlib import Path
from typing import Any

from forkpipe.core.errors import InputError
from forkpipe.core.forking import ForkingTags
from forkpipe.core.records import Completion

FORKING_FILE = "forking.json"

TRAINER_STATE = "trainer_state.json"
"""What transformers.Trainer writes last into a checkpoint."""


def save_checkpoint(
    folder: str | Path, model: Any, tokenizer: Any, tags: ForkingTags, *, base: str, revision: str
) -> None:
    """Write weights (safetensors), tokenizer with chat template and forking.json.

    forking.json is written last: its presence means that the folder is complete.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    write_tags(folder, tags, base=base, revision=revision)


def write_tags(folder: Path, tags: ForkingTags, *, base: str, revision: str) -> None:
    """Write forking.json: which tags the checkpoint has, and the model it comes from."""
    (folder / FORKING_FILE).write_text(tags.to_json(base_model=base, base_revision=revision))


def last_complete(folder: Path, needs: str = "") -> Path | None:
    """Return the checkpoint of the most steps in a trainer's output folder, None where there is none.

    A trainer that is killed while it saves leaves a folder without trainer_state.json, or with half of it: such a
    folder is passed over, and so is one without the file `needs`.
    """
    numbered = [path for path in folder.glob("checkpoint-*") if path.name.rpartition("-")[2].isdigit()]
    found = sorted(numbered, key=lambda path: int(path.name.rpartition("-")[2]), reverse=True)
    return next((path for path in found if _is_complete(path) and (path / needs).exists()), None)


def _is_complete(checkpoint: Path) -> bool:
    try:
        json.loads((checkpoint / TRAINER_STATE).read_text())
    except (OSError, ValueError):
        return False
    return True


def load_tags(folder: Path, tokenizer: Any) -> ForkingTags:
    """Read forking.json and check it against the tokenizer; InputError if they disagree or it is not there."""
    path = folder / FORKING_FILE
    if not path.exists():
        raise InputError(f"{folder}: no {FORKING_FILE}, expected a checkpoint written by forkpipe")
    tags = ForkingTags.from_json(path.read_text(), str(folder))
    tags.check(encoder(tokenizer), str(folder))
    return tags


def load_checkpoint(folder: str | Path) -> tuple[Any, Any, ForkingTags]:
    """Return (model in float32, tokenizer, tags); code of a checkpoint is never executed."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    without_progress_bars()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tags = load_tags(Path(folder), tokenizer)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, use_safetensors=True)
    return model, tokenizer, tags


def without_progress_bars() -> None:
    """Turn off transformers' bars for loading and saving local files, which would fill logs; ours say what matters."""
    from transformers.utils import logging

    logging.disable_progress_bar()


def end_tokens(model: Any, tokenizer: Any) -> set[int]:
    """Return the ids that end a text: the tokenizer's, and those at which the model's own settings stop."""
    own = model.generation_config.eos_token_id
    listed = own if isinstance(own, list) else [own]
    return {token for token in [tokenizer.eos_token_id, *listed] if token is not None}


def end_of(completion: Completion, tokenizer: Any) -> list[int]:
    """Return the token that ended a completion, none where it was cut; the tokenizer's where the engine gave no id."""
    if completion.finish_reason != "stop":
        return []
    return [tokenizer.eos_token_id if completion.end_id is None else completion.end_id]


def max_positions(config: Any) -> int | None:
    """Return the longest sequence a model is made for, None where its configuration does not say."""
    text = config.get_text_config()
    stated: int | None = getattr(text, "max_position_embeddings", None)
    rope = getattr(text, "rope_parameters", None) or {}
    if stated and rope.get("rope_type") == "yarn" and "factor" in rope:
        # Some configurations leave the positions as they were before they are stretched.
        before = rope.get("original_max_position_embeddings") or stated
        return max(stated, int(before * rope["factor"]))
    return stated


def check_positions(length: int, config: Any, name: str) -> None:
    """Raise InputError where a length that parameter `name` allows is longer than the model is made for."""
    positions = max_positions(config)
    if positions is not None and length > positions:
        raise InputError(
            f"{name} is {length} and the model has {positions} positions (max_position_embeddings), "
            f"expected at most {positions}"
        )


def encoder(tokenizer: Any) -> Any:
    """Return text -> token ids without added special tokens."""
    return lambda text: tokenizer(text, add_special_tokens=False)["input_ids"]


def render_prompt(tokenizer: Any, content: str, tag: str = "") -> str:
    """Put a user message through the chat template, ready for the assistant's first token.

    The tag goes into the template where it takes one (ours do), behind it where it does not.
    """
    if tokenizer.chat_template is None:
        raise InputError(
            f"model {tokenizer.name_or_path} has no chat template, expected one: put it into its tokenizer"
        )
    messages = [{"role": "user", "content": content}]
    text: str = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True, tag=tag)
    return text if text.endswith(tag) else text + tag


def checkpoint_digest(folder: Path) -> str:
    """Return a hash of the files of a checkpoint, 16 hex digits: names and contents, no times."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            digest.update(str(path.relative_to(folder)).encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
