"""Warns where the samples of a checkpoint say little about what it can solve: they are cut, or hold no answer."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from forkpipe.core.progress import logger
from forkpipe.core.rows import VerdictColumns

SILENT = ("truncated", "unparsed", "timeout", "failed")
"""Verdicts without an answer that could be compared."""


class Silent:
    """Counts the samples of each method that have no answer that could be compared."""

    def __init__(self) -> None:
        self._drawn: Counter[str] = Counter()
        self._silent: dict[str, Counter[str]] = {}
        self._examples: dict[str, str] = {}

    def add(self, row: Mapping[str, Any], end: str, verdict: VerdictColumns) -> None:
        """Count a row of `generations`; `end` is what its text ends with."""
        method = row["method"]
        self._drawn[method] += 1
        if verdict["verdict"] in SILENT:
            self._silent.setdefault(method, Counter())[verdict["verdict"]] += 1
            self._examples.setdefault(method, end)

    def warn(self, most: float) -> None:
        """Log a warning for each method of which more than a share of the samples, 0 to 1, are silent."""
        for method, counts in self._silent.items():
            if counts.total() > most * self._drawn[method]:
                logger.warning(
                    "%s: %d of %d samples hold no answer that can be compared (%s) and count as not solved; the first "
                    "ends with %r", method, counts.total(), self._drawn[method],
                    ", ".join(f"{n} {name}" for name, n in counts.most_common()), self._examples[method],
                )  # fmt: skip
