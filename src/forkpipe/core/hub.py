"""Files of data sets on the Hugging Face hub at a commit, named by a path that every reader of rows understands.

`hf://datasets/OWNER/NAME@COMMIT/FILE` with a commit of 40 hex digits names bytes that cannot change. So such a path is
compared by its text, without asking the hub, and its file is fetched when it is first read. FILE may hold `*`: then it
is all files of that pattern, in the order of their names. A data set's script is never run.
"""

import re
from pathlib import Path
from typing import NamedTuple

from forkpipe.core.errors import InputError, one_line

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
    try:
        if "*" in named.file:
            folder = Path(
                snapshot_download(
                    named.repository, repo_type="dataset", revision=named.commit, allow_patterns=[named.file]
                )
            )
        else:
            path = hf_hub_download(named.repository, named.file, repo_type="dataset", revision=named.commit)
            folder = Path(path).parents[len(Path(named.file).parts) - 1]
    except Exception as error:  # each version of the library has errors of its own
        raise InputError(f"{where}: cannot be fetched: {one_line(error)}") from error
    if folder.name != named.commit:
        raise InputError(f"{where}: the hub answered with commit {folder.name}, expected {named.commit}")
    files = sorted(folder.glob(named.file))
    if not files:
        raise InputError(f"{where}: no such file")
    return files
