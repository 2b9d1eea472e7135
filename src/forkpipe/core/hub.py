"""Files of data sets on the Hugging Face hub at a commit, named by a path that every reader of rows understands.

`hf://datasets/OWNER/NAME@COMMIT/FILE` with a commit of 40 hex digits names bytes that cannot change. So such a path is
compared by its text, without asking the hub, and its file is fetched when it is first read. FILE may hold `*`: then it
is all files of that pattern, in the order of their names. A data set's script is never run.
"""

import re
import time
from functools import lru_cache
from pathlib import Path
from threading import Thread
from typing import Any, NamedTuple

from forkpipe.core.errors import InputError, one_line
from forkpipe.core.progress import logger

SECONDS = 10.0
"""Longest wait for the hub's first answer."""

_PATH = re.compile(r"hf://datasets/(?P<repository>[^/@]+/[^/@]+)@(?P<commit>[0-9a-f]{40})/(?P<file>.+)")


class HubFile(NamedTuple):
    """A file of a data set on the hub, or all files of a pattern."""

    repository: str
    commit: str
    file: str


def pinned(path: str) -> HubFile | None:
    """Return what a path names on the hub, None for other paths.

    >>> pinned("hf://datasets/a/b@0123456789012345678901234567890123456789/data/x.parquet").file
    'data/x.parquet'
    """
    match = _PATH.fullmatch(path)
    return None if match is None else HubFile(**match.groupdict())


def unreachable() -> str:
    """Return why the hub cannot be reached, "" if it can or if nobody may ask it (HF_HUB_OFFLINE).

    The hub's libraries try every file again for half a minute. One attempt comes before them, so that a machine without
    a network uses its cache, or fails, in seconds. The answer is good for a minute.
    """
    from huggingface_hub import constants

    return "" if constants.HF_HUB_OFFLINE else _attempt(constants.ENDPOINT, int(time.monotonic() // 60))


def source_of(model: str | Path, revision: str) -> dict[str, Any]:
    """Return arguments for `from_pretrained`: of a name on the hub, the cache alone is read if the hub is unreachable.

    A folder adds no argument: transformers would write it into the files that are saved later.
    """
    away = not Path(model).exists() and unreachable()
    return {"revision": revision, **({"local_files_only": True} if away else {})}


@lru_cache(maxsize=4)
def _attempt(address: str, minute: int) -> str:
    from huggingface_hub import get_session

    errors: list[str] = []

    def ask() -> None:
        try:
            get_session().head(address, timeout=SECONDS)
            errors.append("")
        except Exception as error:  # each version of the library has errors of its own
            errors.append(one_line(error))

    # In a thread, since no timeout holds for the look-up of a name.
    thread = Thread(target=ask, daemon=True)
    thread.start()
    thread.join(SECONDS)
    error = errors[0] if errors else f"no answer in {SECONDS:g} s"
    if not error:
        return ""
    logger.warning("%s cannot be reached, so only what its cache on this machine holds is used: %s", address, error)
    return f"{address} cannot be reached ({error}), and its cache on this machine lacks it"


def is_fetched(named: HubFile) -> bool:
    """Say whether the files are on this machine; of a pattern, whether any is."""
    from huggingface_hub import constants
    from huggingface_hub.file_download import repo_folder_name

    folder = Path(constants.HF_HUB_CACHE) / repo_folder_name(repo_id=named.repository, repo_type="dataset")
    return any((folder / "snapshots" / named.commit).glob(named.file))


def local_files(named: HubFile) -> list[Path]:
    """Return the named files on this machine, fetched unless the hub's cache has them.

    Raises:
        InputError: the hub cannot be asked, has no such file, or answers with another commit.
    """
    from huggingface_hub import hf_hub_download, snapshot_download

    where = f"hf://datasets/{named.repository}@{named.commit}/{named.file}"
    missing = "" if is_fetched(named) else unreachable()
    try:
        if "*" in named.file:
            folder = Path(
                snapshot_download(
                    named.repository,
                    repo_type="dataset",
                    revision=named.commit,
                    allow_patterns=[named.file],
                    local_files_only=bool(missing),
                )
            )
        else:
            path = hf_hub_download(
                named.repository, named.file, repo_type="dataset", revision=named.commit, local_files_only=bool(missing)
            )
            folder = Path(path).parents[len(Path(named.file).parts) - 1]
    except Exception as error:  # each version of the library has errors of its own
        raise InputError(f"{where}: cannot be fetched: {missing or one_line(error)}") from error
    if folder.name != named.commit:
        raise InputError(f"{where}: the hub answered with commit {folder.name}, expected {named.commit}")
    files = sorted(folder.glob(named.file))
    if not files:
        raise InputError(f"{where}: no such file")
    return files
