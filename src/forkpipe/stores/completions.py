"""What checkpoints have been asked in rollouts: appended as it comes, so that a killed training samples nothing twice.

One JSONL file a method; a line is a completion by its request's id. The id holds the digest of the checkpoint, so
rollouts outlive a change of the learning rate, and another model's are never taken for them.
"""

import json
import os
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from forkpipe.core.progress import logger
from forkpipe.core.records import Completion


class RolloutStore:
    """Completions by request id; durable once `append` has returned."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def find(self, wanted: set[str]) -> dict[str, Completion]:
        """Return what is held of the wanted requests, failures apart: those are asked again.

        A line that a crash has torn is named and left out.
        """
        found: dict[str, Completion] = {}
        if not self._path.exists():
            return found
        with self._path.open(encoding="utf-8", errors="replace") as file:
            for number, line in enumerate(file, start=1):
                try:
                    row = json.loads(line)
                    if row["request_id"] in wanted and row["finish_reason"] != "error":
                        found[row["request_id"]] = Completion(**{**row, "token_ids": tuple(row["token_ids"])})
                except (ValueError, KeyError, TypeError):
                    logger.warning("%s line %d is torn: its rollout is drawn again", self._path, number)
        return found

    def append(self, completions: Iterable[Completion]) -> None:
        """Write completions and wait until they are on disk."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a+b") as file:
            if file.tell() and not _ends_line(file):
                file.write(b"\n")
            for one in completions:
                file.write(json.dumps(asdict(one)).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())


def _ends_line(file: Any) -> bool:
    file.seek(-1, os.SEEK_END)
    return bool(file.read(1) == b"\n")
