"""Which checkpoint it is: a digest of what changes an answer, the same on every machine.

Weights, vocabulary, merges, chat template, tags, ends and generation settings count. What libraries write down beside
them does not: their versions, the folder or hub name that a model was loaded from, whether a hub was asked. Ids and
seeds of requests follow from the digest, so such a field would change every sample.
"""

import json
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from forkpipe.core.ids import digest

FORKING_FILE = "forking.json"

ROUTER_FOLDER = "router"
"""Subfolder of a checkpoint with its router, if it has one (`models.router`)."""

FILES = (
    "*.safetensors",
    "*.safetensors.index.json",
    "config.json",
    "generation_config.json",
    "adapter_config.json",
    "tokenizer*.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.*",
    "merges.txt",
    "*.model",
    "*.tiktoken",
    "*.jinja",
    FORKING_FILE,
)
"""Names of the files that are read to answer."""
FOLDERS = ("", ROUTER_FOLDER, "additional_chat_templates")
BLOCK_BYTES = 1 << 20

INCIDENTAL: dict[str, frozenset[str]] = {
    "*config.json": frozenset(
        {
            "_commit_hash",
            "_name_or_path",
            "backend",
            "base_model_name_or_path",
            "dtype",  # of the weights, whose files have it too
            "is_local",
            "local_files_only",
            "name_or_path",
            "peft_version",
            "torch_dtype",
            "transformers_version",
        }
    ),
    "tokenizer.json": frozenset({"padding", "truncation"}),  # of the last call
    FORKING_FILE: frozenset({"base_model", "base_revision"}),
}
"""File -> fields that change no answer."""


def checkpoint_digest(folder: Path) -> str:
    """Return a hash of what changes the answers of a checkpoint, 16 hex digits."""
    paths = [path for name in FOLDERS for path in sorted((folder / name).glob("*")) if _counts(path)]
    return digest(block for path in paths for block in _blocks(path, path.relative_to(folder).as_posix()))


def _counts(path: Path) -> bool:
    return path.is_file() and any(fnmatchcase(path.name, pattern) for pattern in FILES)


def _blocks(path: Path, name: str) -> Iterator[bytes]:
    yield f"\0{name}\0".encode()
    if path.suffix == ".json":
        left_out = frozenset[str]().union(*(f for pattern, f in INCIDENTAL.items() if fnmatchcase(path.name, pattern)))
        content = _without(json.loads(path.read_bytes()), left_out, nested=path.name.endswith("config.json"))
        if path.name == "adapter_config.json":
            content = _sorted_sets(content)
        yield json.dumps(content, sort_keys=True).encode()
        return
    with path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            yield block


def _without(value: Any, left_out: frozenset[str], nested: bool) -> Any:
    """Return parsed JSON without some fields; if `nested`, also without those of inner objects."""
    if not isinstance(value, dict):
        return value
    kept = {key: inner for key, inner in value.items() if key not in left_out}
    return {key: _without(inner, left_out, nested) for key, inner in kept.items()} if nested else kept


def _sorted_sets(adapter: dict[str, Any]) -> dict[str, Any]:
    """Sort the lists of names in an adapter's configuration, which peft writes from sets, in no fixed order."""
    return {key: sorted(value, key=str) if isinstance(value, list) else value for key, value in adapter.items()}
