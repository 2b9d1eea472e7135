"""A checkpoint: a Hugging Face model folder with `forking.json` beside the weights."""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from forkpipe.core.errors import InputError
from forkpipe.core.forking import ForkingTags, parse_tags
from forkpipe.core.hub import source_of
from forkpipe.core.records import Completion
from forkpipe.core.responses import opening_at_end
from forkpipe.models.identity import FORKING_FILE, ROUTER_FOLDER, checkpoint_digest

TRAINER_STATE = "trainer_state.json"
"""What transformers.Trainer writes last into a checkpoint."""


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint on disk. Each property is read when it is first used, and kept.

    Engines also take models that forkpipe did not write: names on the hub, and folders without forking.json.

    Attributes:
        name: the folder, or a name on the hub.
        tokenizer_name: folder or hub name of the tokenizer, if the model does not bring its own.
        tags_given: STYLE:N ("text:6") for a model without forking.json, or "none" to leave out the tags that it has.
    """

    name: str | Path
    revision: str = "main"
    tokenizer_name: str | None = None
    tags_given: str | None = None

    @property
    def folder(self) -> Path:
        """The folder; it does not exist for a model on the hub."""
        return Path(self.name)

    @property
    def origin(self) -> str:
        """Where successors say they come from: the last two parts of the path, the same on every machine."""
        return f"{self.folder.parent.name}/{self.folder.name}"

    @cached_property
    def tokenizer(self) -> Any:
        """The tokenizer."""
        from transformers import AutoTokenizer

        return AutoTokenizer.from_pretrained(name := self.tokenizer_name or self.name, **source_of(name, self.revision))

    @cached_property
    def config(self) -> Any:
        """The model's configuration."""
        from transformers import AutoConfig

        return AutoConfig.from_pretrained(self.name, **source_of(self.name, self.revision))

    @property
    def has_tags(self) -> bool:
        """Whether tags are given, or the folder holds forking.json."""
        if self.tags_given is not None:
            return parse_tags(self.tags_given) is not None
        return (self.folder / FORKING_FILE).exists()

    @property
    def from_scratch(self) -> bool:
        """Whether this is a base checkpoint whose weights were drawn, not trained elsewhere."""
        return self.has_tags and json.loads((self.folder / FORKING_FILE).read_text())["base_model"] == "scratch"

    @cached_property
    def tags(self) -> ForkingTags:
        """The forking tags; InputError if there are none, or the tokenizer disagrees with them."""
        given = parse_tags(self.tags_given) if self.tags_given is not None else None
        if given is None:
            return load_tags(self.folder, self.tokenizer)
        tags = ForkingTags.encoded(*given, encoder(self.tokenizer))
        check_begins_special(tags, self.tokenizer)
        return tags

    @property
    def has_router(self) -> bool:
        """Whether the folder holds a router, which belongs to the tags of forking.json."""
        return self.tags_given is None and (self.folder / ROUTER_FOLDER / "adapter_config.json").exists()

    @cached_property
    def end_ids(self) -> frozenset[int]:
        """Token ids that end a text: the tokenizer's, and those of the model's generation settings."""
        from transformers import GenerationConfig

        try:
            settings: Any = GenerationConfig.from_pretrained(self.name, **source_of(self.name, self.revision))
        except OSError:  # not every model has one
            settings = self.config
        return listed_ends(self.tokenizer) | listed_ends(settings)

    @property
    def stop_ids(self) -> frozenset[int]:
        """Token ids at which engines stop: `end_ids`, and the padding token, which is never part of a text."""
        pad = self.tokenizer.pad_token_id
        return self.end_ids if pad is None else self.end_ids | {pad}

    @cached_property
    def digest(self) -> str:
        """A hash of what changes an answer, 16 hex digits; see `models.identity`."""
        return checkpoint_digest(self.folder)

    def encode(self, text: str) -> list[int]:
        """Return the token ids of a text, without added special tokens."""
        ids: list[int] = encoder(self.tokenizer)(text)
        return ids

    def prompt(self, content: str, tag: str = "", system: str = "") -> str:
        """Return `render_prompt`'s text; a given tag takes the place of an opening mark of reasoning at its end."""
        text = render_prompt(self.tokenizer, content, tag, system)
        return text.removesuffix(opening_at_end(text)) if self.tags_given and self.has_tags else text

    def load_model(self, dtype: str = "float32", *, to_device: bool = False) -> Any:
        """Return the model, without its router; code of a checkpoint is never executed.

        Args:
            dtype: of the weights; "auto" takes the one they were saved in.
            to_device: whether to move the model to the GPU if there is one.
        """
        import torch
        from transformers import AutoModelForCausalLM

        if self.folder.exists():
            without_progress_bars()
        model = AutoModelForCausalLM.from_pretrained(
            self.name, **source_of(self.name, self.revision), dtype=dtype, use_safetensors=True
        )
        return model.to("cuda" if torch.cuda.is_available() else "cpu") if to_device else model

    def load_router(self, model: Any, trainable: bool = False) -> Any:
        """Return `model` with the router as an adapter; `disable_adapter()` gives the model itself."""
        from peft import PeftModel

        return PeftModel.from_pretrained(model, self.folder / ROUTER_FOLDER, is_trainable=trainable)

    def save_successor(
        self,
        folder: Path,
        model: Any,
        seed: int,
        tags: ForkingTags | None = None,
        weights: dict[str, Any] | None = None,
    ) -> None:
        """Write a model that was trained from this checkpoint, with the same tokenizer, to `folder`.

        Args:
            tags: the tags, if they differ from those of this checkpoint.
            weights: see `save_checkpoint`.
        """
        tags, origin = self.tags if tags is None else tags, self.origin
        save_checkpoint(folder, model, self.tokenizer, tags, base=origin, revision=f"seed {seed}", weights=weights)


def save_checkpoint(
    folder: str | Path,
    model: Any,
    tokenizer: Any,
    tags: ForkingTags,
    *,
    base: str,
    revision: str,
    weights: dict[str, Any] | None = None,
) -> None:
    """Write weights (safetensors), tokenizer with chat template and forking.json.

    forking.json is written last: its presence means that the folder is complete.

    Args:
        weights: the weights by name, if the model holds a part of each (`training.sharding`).
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder, state_dict=weights)
    tokenizer.save_pretrained(folder)
    write_tags(folder, tags, base=base, revision=revision)


def write_tags(folder: Path, tags: ForkingTags, *, base: str, revision: str) -> None:
    """Write forking.json: which tags the checkpoint has, and the model it comes from."""
    (folder / FORKING_FILE).write_text(tags.to_json(base_model=base, base_revision=revision))


def last_complete(folder: Path, needs: str = "") -> Path | None:
    """Return the checkpoint of the most steps in a trainer's output folder, None if there is none.

    A trainer that is killed while it saves leaves a folder without trainer_state.json, or with half of it. Such a
    folder is skipped, and so is one without the file `needs`.
    """
    numbered = [path for path in folder.glob("checkpoint-*") if path.name.rpartition("-")[2].isdigit()]
    newest_first = sorted(numbered, key=lambda path: int(path.name.rpartition("-")[2]), reverse=True)
    return next((path for path in newest_first if _is_complete(path) and (path / needs).exists()), None)


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
    checkpoint = Checkpoint(folder)
    tags = checkpoint.tags
    return checkpoint.load_model(), checkpoint.tokenizer, tags


def without_progress_bars() -> None:
    """Turn off transformers' bars for loading and saving local files, which would fill logs."""
    from transformers.utils import logging

    logging.disable_progress_bar()


def end_of(completion: Completion, tokenizer: Any) -> list[int]:
    """Return the token that ended a completion, none if it was cut; the tokenizer's if the engine gave no id."""
    if completion.finish_reason != "stop":
        return []
    return [tokenizer.eos_token_id if completion.end_id is None else completion.end_id]


def listed_ends(settings: Any) -> frozenset[int]:
    """Return the end tokens of a tokenizer, a model's configuration or its generation settings; none for None."""
    listed = getattr(settings, "eos_token_id", None)
    return frozenset(token for token in (listed if isinstance(listed, list) else [listed]) if token is not None)


def encoder(tokenizer: Any) -> Any:
    """Return a function from text to token ids without added special tokens."""
    return lambda text: tokenizer(text, add_special_tokens=False)["input_ids"]


def check_begins_special(tags: ForkingTags, tokenizer: Any) -> None:
    """Raise InputError if tags hold the unknown token, or begin with an ordinary one, which could not be banned."""
    if any(tokenizer.unk_token_id in ids for ids in tags.token_ids):
        raise InputError(f"the tokenizer has no token for a part of {tags.tags[0]!r}, expected one that can write it")
    if not tokenizer.added_tokens_decoder.keys() >= set(tags.banned_ids):
        raise InputError(
            f"tags.style is '{tags.style}' and the tokenizer begins {tags.tags[0]!r} with an ordinary token, expected "
            "a special one as in Qwen's: banning that token keeps tags out of traces. Use tags.style 'special'"
        )


def render_prompt(tokenizer: Any, content: str, tag: str = "", system: str = "") -> str:
    """Put a user message, and a system message if there is one, through the chat template, up to the assistant's text.

    A template that does not take the tag as an argument (`tagging.TAKES_TAG`) gets it appended. InputError: it refuses.
    """
    from jinja2 import TemplateError

    chat_template(tokenizer)
    messages = [*([{"role": "system", "content": system}] if system else []), {"role": "user", "content": content}]
    try:
        text: str = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True, tag=tag)
    except TemplateError as error:
        roles = "system and user" if system else "user"
        raise InputError(f"{tokenizer.name_or_path}: the chat template refuses {roles}: {error}") from error
    return text if text.endswith(tag) else text + tag


def chat_template(tokenizer: Any, chosen: str | None = None, remedy: str = "put it into its tokenizer") -> str:
    """Return the chat template: the chosen one, or the one named "default" if there are several.

    Args:
        chosen: name of a template of the tokenizer, or the text of another one.
        remedy: what a user can do where there is none, for the message of the InputError.
    """
    held = tokenizer.chat_template
    several = held if isinstance(held, dict) else {}
    if chosen is not None and (chosen in several or "{" in chosen):
        return str(several.get(chosen, chosen))
    template = several.get("default") if several else held
    if template is not None and chosen is None:
        return str(template)
    named = f"chat templates {', '.join(several)} and none named {chosen or 'default'}"
    told = named if several else f"no chat template named {chosen}" if chosen else "no chat template"
    raise InputError(f"model {tokenizer.name_or_path} has {told}, expected one: {remedy}")
