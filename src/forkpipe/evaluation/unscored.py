"""Warns where the samples of a checkpoint say little about what it can solve: they are cut, or hold no answer."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from forkpipe.core.progress import logger
from forkpipe.core.rows import VerdictColumns

SILENT = ("truncated", "unparsed", "timeout", "failed")
"""Verdicts without an answer that could be compared."""


def warn_of_unscored(rows: Sequence[Mapping[str, Any]], verdicts: Sequence[VerdictColumns], most: float) -> None:
    """Log a warning if more than a share of the samples of a method have no answer that could be compared.

    Args:
        rows: rows of `generations`, in the order of the verdicts.
        most: the share, 0 to 1.
    """
    drawn = Counter(row["method"] for row in rows)
    silent: dict[str, Counter[str]] = {}
    examples: dict[str, str] = {}
    for row, verdict in zip(rows, verdicts, strict=True):
        if verdict["verdict"] in SILENT:
            silent.setdefault(row["method"], Counter())[verdict["verdict"]] += 1
            examples.setdefault(row["method"], row["text"][-80:])
    for method, counts in silent.items():
        if counts.total() > most * drawn[method]:
            logger.warning(
                "%s: %d of %d samples hold no answer that can be compared (%s) and count as not solved; the first ends "
                "with %r", method, counts.total(), drawn[method],
                ", ".join(f"{n} {name}" for name, n in counts.most_common()), examples[method],
            )  # fmt: skip
