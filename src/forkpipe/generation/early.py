"""Checks the first answers of a teacher, so that a wrong key, prompt or template costs little."""

import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from forkpipe.core.errors import InputError
from forkpipe.core.records import Problem
from forkpipe.core.rows import TraceRow, VerdictColumns
from forkpipe.parameters import EarlyStopSettings, VerificationSettings
from forkpipe.verification.dispatch import ResponseRow
from forkpipe.verification.row_verifier import RowVerifier

LEAST_READ = 10
"""Fewest whole answers that are judged: fewer say too little."""


@dataclass(eq=False)
class EarlyCheck:
    """Stops a run if most of the first requests to a teacher fail, are cut, or get responses without an answer.

    Args:
        verify: returns the verdict columns of rows of traces, in order.
    """

    settings: EarlyStopSettings
    verify: Callable[[Sequence[TraceRow]], Sequence[VerdictColumns]]
    _guard: threading.Lock = field(init=False, default_factory=threading.Lock)
    _first: dict[str, list[TraceRow]] = field(init=False, default_factory=lambda: defaultdict(list))
    _before: Counter[str] = field(init=False, default_factory=Counter)

    def begin(self, teacher: str, final_before: int) -> None:
        """Count requests of a teacher that were answered before this run; a teacher may be asked several times."""
        self._before[teacher] += final_before

    def note(self, teacher: str, row: TraceRow) -> None:
        """Take in a row of this run; the first rows of each teacher are checked when there are enough of them."""
        rows = self._first[teacher]
        if len(rows) < self.settings.first:
            rows.append(row)
            if len(rows) == self.settings.first:
                self.look(teacher, rows, self._before[teacher])

    def look(self, teacher: str, rows: Sequence[TraceRow], final_before: int) -> None:
        """Check the first rows of this run.

        InputError, with two examples, if most requests failed, or most responses were cut or hold no answer. If most
        requests were answered before this run (`final_before`), failures of the rest are no reason to stop.
        """
        failed = [row for row in rows if row["status"] == "failed"]
        if len(failed) > self.settings.max_failed * (len(rows) + final_before):
            self._stop(
                teacher, f"{len(failed)} of the first {len(rows)} requests failed", [row["error"] for row in failed],
                "max_failed",
            )  # fmt: skip
        done = [row for row in rows if row["status"] == "done"]
        cut = [row for row in done if row["finish_reason"] == "length"]
        if len(done) >= LEAST_READ and len(cut) > self.settings.max_truncated * len(done):
            what = f"{len(cut)} of the first {len(done)} responses were cut by the token limit"
            self._stop(teacher, what, list(map(_end, cut)), "max_truncated, sampling.max_tokens")
        whole = [row for row in done if row["finish_reason"] == "stop"]
        if len(whole) < LEAST_READ:
            return
        with self._guard:  # several threads may ask teachers
            verdicts = self.verify(whole)
        unread = [row for row, verdict in zip(whole, verdicts, strict=True) if verdict["verdict"] == "unparsed"]
        if len(unread) > self.settings.max_unparsed * len(whole):
            what = f"no answer was found in {len(unread)} of the first {len(whole)} whole responses"
            if inside := sum(not row["text"].strip() and bool(row["reasoning"]) for row in unread):
                what += f", {inside} of which are reasoning alone (is the server's reasoning parser that of the model?)"
            self._stop(teacher, what, list(map(_end, unread)), "max_unparsed")

    def _stop(self, teacher: str, what: str, examples: Sequence[str], parameter: str) -> None:
        shown = " and ".join(repr(example[:200]) for example in list(dict.fromkeys(examples))[:2])
        raise InputError(
            f"teacher {teacher}: {what}, for example {shown}; the run was stopped, what was answered is kept "
            f"(parameter generation.early_stop.{parameter})"
        )


def _end(row: TraceRow) -> str:
    return f"...{(row['text'].strip() or row['reasoning'])[-80:]}"


@contextmanager
def early_check(
    settings: EarlyStopSettings | None, verification: VerificationSettings, problems: Sequence[Problem]
) -> Iterator[EarlyCheck | None]:
    """Make an `EarlyCheck` that verifies as the run does, without its judge; None if the settings are None."""
    if settings is None:
        yield None
        return
    by_id = {problem.problem_id: problem for problem in problems}
    with RowVerifier(verification.model_copy(update={"judge": None, "max_unscored": 1.0})) as verifier:

        def verify(rows: Sequence[TraceRow]) -> Sequence[VerdictColumns]:
            asked = []
            for row in rows:
                problem = by_id[row["problem_id"]]
                gold = verifier.gold_of(problem)
                asked.append(ResponseRow(problem.answer_type, gold, row["text"], row["status"], row["finish_reason"]))
            return verifier.verify(asked)

        yield EarlyCheck(settings, verify)
