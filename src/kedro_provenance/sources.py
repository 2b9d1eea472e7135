"""How the inputs that no node makes are read: their catalog entries, and what these name outside the project.

The bytes of a file are only half of an input. Another type of dataset, other `load_args`, another split or revision of
a repository make another table of them.
"""

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from kedro.io import AbstractDataset, MemoryDataset

from kedro_provenance.content import Contents, location
from kedro_provenance.recipes import flatten

NOT_READING = re.compile(r"(credentials|metadata|save_\w+|version\w*)(\..*)?")
"""Arguments of datasets that do not decide what is read."""
PATH = re.compile(r"(filepath|path|filename)")


def entry(dataset: Any, contents: Contents) -> dict[str, Any]:
    """Return the resolved catalog entry of a dataset, flat; paths of files that exist are digests of their content."""
    return dict(_entry(dataset, contents, has_file=location(dataset) is not None))


def _entry(dataset: Any, contents: Contents, *, has_file: bool) -> Iterator[tuple[str, Any]]:
    """Yield the arguments of a dataset; an argument that holds datasets by name gives the entry of each."""
    if isinstance(dataset, MemoryDataset):
        return
    config = dict(dataset._init_config())
    for name, value in list(config.items()):
        if (
            isinstance(value, Mapping)
            and value
            and all(isinstance(member, AbstractDataset) for member in value.values())
        ):
            del config[name]
            for key, member in value.items():
                yield f"{name}.{key}", contents.digest(member)
                for inner, reading in _entry(member, contents, has_file=location(member) is not None):
                    yield f"{name}.{key}.{inner}", reading
    arguments = ((name.removeprefix("entry."), value) for name, value in flatten(config, "entry"))
    yield from _reading(arguments, contents, has_file=has_file)


def referenced(values: dict[str, Any], contents: Contents) -> dict[str, Any]:
    """Return values with the paths of files and folders that exist replaced by digests of their content."""
    return dict(_reading(iter(values.items()), contents, has_file=False))


def _reading(arguments: Iterator[tuple[str, Any]], contents: Contents, *, has_file: bool) -> Iterator[tuple[str, Any]]:
    for name, value in arguments:
        if NOT_READING.fullmatch(name) or (has_file and PATH.fullmatch(name)):  # its content is an input by itself
            continue
        if isinstance(value, list):
            yield name, [_content(part, contents) for part in value]
        else:
            yield name, _content(value, contents)


def _content(value: Any, contents: Contents) -> Any:
    if not isinstance(value, str):
        return value
    is_path = os.sep in value or Path(value).suffix
    if is_path and len(value) < 1000 and Path(value).exists():
        return f"content {contents.of_files(value)}"
    return re.sub(r" at 0x[0-9a-fA-F]+", "", value)
