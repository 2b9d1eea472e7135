"""From rows of several answer types to verdicts: each row to the verifier of its type."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from forkpipe.core.errors import InputError
from forkpipe.core.records import Verdict
from forkpipe.verification.base import Verifier
from forkpipe.verification.limits import Unscored

CHUNK = 512
"""Rows between two reports of progress: enough to keep all workers busy, few enough to report every few seconds."""


class ResponseRow(NamedTuple):
    """What a verdict depends on."""

    answer_type: str
    gold: str
    response: str
    status: str
    """done, failed."""
    finish_reason: str
    """stop, length, error."""


VerifiedRow = tuple[Verdict, str, str]
"""A verdict with the name and version of the verifier of the row's answer type."""


def verify_by_type(
    verifiers: Mapping[str, Verifier],
    rows: Sequence[ResponseRow],
    *,
    chunk: int = CHUNK,
    max_unscored: float = 1.0,
    reward: bool = False,
    on_progress: Callable[[int, int], None] | None = None,
) -> list[VerifiedRow]:
    """Return one verdict a row, in order.

    Rows without a response (status "failed", finish reason "error") are `failed` and reach no verifier; rows with
    finish reason "length" are truncated. Within a chunk every verifier is called once.

    Args:
        verifiers: verifier by answer type.
        rows: what to verify.
        chunk: rows at a time, at least 1.
        max_unscored: share of verdicts that may be unparsed, timeout or failed.
        reward: whether the verdicts are rewards; then any number may be unparsed.
        on_progress: called with (rows done, rows in all) after each chunk.

    Raises:
        InputError: a row has an answer type without a verifier, raised before any verifier is called; or more than
            `max_unscored` of all rows are sure to say nothing about their answers.
    """
    unknown = sorted({answer_type for answer_type, *_ in rows} - verifiers.keys())
    if unknown:
        raise InputError(
            f"no verifier for answer type {', '.join(map(repr, unknown))}; "
            f"known answer types: {', '.join(sorted(verifiers)) or 'none'}"
        )
    verified: list[VerifiedRow] = []
    unscored = Unscored(max_unscored, reward)
    for start in range(0, len(rows), chunk):
        asked = rows[start : start + chunk]
        verified += _verify_chunk(verifiers, asked)
        unscored.add([verdict for verdict, _, _ in verified[start:]], [row.response for row in asked])
        unscored.check(len(rows))
        if on_progress is not None:
            on_progress(len(verified), len(rows))
    return verified


def _verify_chunk(verifiers: Mapping[str, Verifier], rows: Sequence[ResponseRow]) -> list[VerifiedRow]:
    verdicts = [Verdict("failed")] * len(rows)
    by_type: dict[str, list[int]] = {}
    for index, (answer_type, _, _, status, finish_reason) in enumerate(rows):
        if status != "failed" and finish_reason != "error":
            by_type.setdefault(answer_type, []).append(index)
    for answer_type, indices in by_type.items():
        _, gold, responses, _, finish_reasons = zip(*(rows[index] for index in indices), strict=True)
        truncated = [reason == "length" for reason in finish_reasons]
        for index, verdict in zip(indices, verifiers[answer_type].verify(gold, responses, truncated), strict=True):
            verdicts[index] = verdict
    responsible = [verifiers[answer_type] for answer_type, *_ in rows]
    return [(verdict, by.name, by.version) for verdict, by in zip(verdicts, responsible, strict=True)]
