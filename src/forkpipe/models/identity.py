"""Which checkpoint it is: a digest of what changes an answer, the same on every machine.

Weights, vocabulary, merges, chat template, tags, ends and generation settings count. What libraries write down beside
them does not: their versions, the folder or hub name that a model was loaded from, whether a hub was asked. Ids and
seeds of requests follow from the digest, so such a field would change every sample.
"""

import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from forkpipe.core.ids import content_hash, digest

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

LARGE_BYTES = 1 << 26
"""Size of a checkpoint from which its digest is kept in the user's cache: 131 GB take minutes to read."""
TICK_SECONDS = 0.02
"""Longest time between two changes that a file system may record with the same time; common ones need 4 to 10 ms."""

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
    """Return a hash of what changes the answers of a checkpoint, 16 hex digits.

    The digest of a large checkpoint is kept in the user's cache, by the sizes and times of its files.
    """
    paths = [path for name in FOLDERS for path in sorted((folder / name).glob("*")) if _counts(path)]
    if sum(path.stat().st_size for path in paths) < LARGE_BYTES:
        return _digest_of(paths, folder)
    kept = cache_folder() / content_hash(str(folder.resolve()))
    state = _state(paths)
    try:
        recorded, _, known = kept.read_text().partition(" ")
    except OSError:
        recorded, known = "", ""
    if known and recorded == state:
        return known
    found = _digest_of(paths, folder)
    if _state(paths) == state:  # nothing was written while the files were read
        _keep(kept, f"{state} {found}")
    return found


def cache_folder() -> Path:
    """Return the folder of kept digests, `forkpipe/digests` in the user's cache ($XDG_CACHE_HOME)."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "forkpipe" / "digests"


def _state(paths: Sequence[Path]) -> str:
    """Return a hash of the files' names, sizes, times and inodes, and of the rules of this module."""
    while True:
        files = [(str(path), path.stat()) for path in paths]
        # A change within the same tick would not show in the times: wait until it is over. A time in the future, from
        # another machine's clock, cannot be waited for.
        if not any(0 <= time.time() - stat.st_ctime < TICK_SECONDS for _, stat in files):
            break
        time.sleep(TICK_SECONDS)
    rows = [[path, s.st_size, s.st_mtime_ns, s.st_ctime_ns, s.st_dev, s.st_ino] for path, s in files]
    return content_hash(rows, digest([Path(__file__)]))


def _keep(file: Path, text: str) -> None:
    temporary = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(text)
        temporary.replace(file)
    except OSError:  # no place for a cache: the checkpoint is read again
        with suppress(OSError):
            temporary.unlink()


def _digest_of(paths: Sequence[Path], folder: Path) -> str:
    return digest(part for path in paths for part in _parts(path, path.relative_to(folder).as_posix()))


def _counts(path: Path) -> bool:
    return path.is_file() and any(fnmatchcase(path.name, pattern) for pattern in FILES)


def _parts(path: Path, name: str) -> Iterator[bytes | Path]:
    yield f"\0{name}\0".encode()
    if path.suffix == ".json":
        left_out = frozenset[str]().union(*(f for pattern, f in INCIDENTAL.items() if fnmatchcase(path.name, pattern)))
        content = _without(json.loads(path.read_bytes()), left_out, nested=path.name.endswith("config.json"))
        if path.name == "adapter_config.json":
            content = _sorted_sets(content)
        yield json.dumps(content, sort_keys=True).encode()
    else:
        yield path


def _without(value: Any, left_out: frozenset[str], nested: bool) -> Any:
    """Return parsed JSON without some fields; if `nested`, also without those of inner objects."""
    if not isinstance(value, dict):
        return value
    kept = {key: inner for key, inner in value.items() if key not in left_out}
    return {key: _without(inner, left_out, nested) for key, inner in kept.items()} if nested else kept


def _sorted_sets(adapter: dict[str, Any]) -> dict[str, Any]:
    """Sort the lists of names in an adapter's configuration, which peft writes from sets, in no fixed order."""
    return {key: sorted(value, key=str) if isinstance(value, list) else value for key, value in adapter.items()}
