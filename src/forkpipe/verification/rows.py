"""Verdicts for rows of any table: traces, rollouts and samples all go through here."""

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, NamedTuple

from forkpipe.parameters import VerificationSettings
from forkpipe.plugins import VERIFIERS, create
from forkpipe.progress import Progress
from forkpipe.verification.base import Verifier
from forkpipe.verification.dispatch import verify_by_type


class VerdictRow(NamedTuple):
    """What a verdict depends on."""

    answer_type: str
    gold: str
    response: str
    status: str
    finish_reason: str


class RowVerifier:
    """The configured verifiers, started when needed and ended with the `with` block.

    >>> with RowVerifier(VerificationSettings()) as verifier:
    ...     verifier.verify([VerdictRow("integer", "5", "so \\\\boxed{5}", "done", "stop")])[0]["verdict"]
    'correct'
    """

    def __init__(self, settings: VerificationSettings) -> None:
        made: dict[str, Verifier] = {}
        for name in settings.verifiers.values():
            if name not in made:
                options = settings.options.get(name, {})
                made[name] = create("verifier", VERIFIERS, name, options, "verification.verifiers")
        self._by_type: dict[str, Verifier] = {
            answer_type: made[name] for answer_type, name in settings.verifiers.items()
        }
        self._made = made

    def __enter__(self) -> "RowVerifier":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for verifier in self._made.values():
            verifier.close()

    def verify(self, rows: Sequence[VerdictRow], progress: Progress | None = None) -> list[dict[str, Any]]:
        """Return the verdict columns of each row, in order."""
        report = (lambda done, total: progress.update(done)) if progress else None
        verdicts = verify_by_type(self._by_type, rows, on_progress=report)
        return [
            {
                "extracted": verdict.extracted,
                "verdict": verdict.verdict,
                "rule": verdict.rule,
                "verifier": name,
                "verifier_version": version,
            }
            for verdict, name, version in verdicts
        ]


def verify_responses(
    rows: Sequence[Mapping[str, Any]],
    problems: Sequence[Mapping[str, Any]],
    settings: VerificationSettings,
    progress: Progress,
) -> list[dict[str, Any]]:
    """Return the verdict columns of each row of a table of responses, in order.

    Args:
        rows: with problem_id, text, finish_reason, and status where a response may have failed.
        problems: rows of the `problems` table.
        settings: see `parameters.VerificationSettings`.
        progress: told how far it is.
    """
    by_id = {row["problem_id"]: row for row in problems}
    asked = [
        VerdictRow(
            by_id[row["problem_id"]]["answer_type"],
            by_id[row["problem_id"]]["answer"],
            row["text"],
            row.get("status", "done"),
            row["finish_reason"],
        )
        for row in rows
    ]
    with RowVerifier(settings) as verifier:
        return verifier.verify(asked, progress)
