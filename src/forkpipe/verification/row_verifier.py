"""Verdicts for rows of any table: traces, rollouts and samples all go through here."""

from collections.abc import Sequence
from types import TracebackType

from forkpipe.core.engine import Engine
from forkpipe.core.progress import Progress
from forkpipe.core.records import Problem
from forkpipe.core.rows import VerdictColumns
from forkpipe.engines.registry import create_engine
from forkpipe.parameters import VerificationSettings
from forkpipe.verification.answer_judge import OpenVerdict, is_open, judge
from forkpipe.verification.base import Verifier
from forkpipe.verification.dispatch import ResponseRow, VerifiedRow, verify_by_type
from forkpipe.verification.registry import create_verifiers


class RowVerifier:
    """The configured verifiers, started when needed and ended with the `with` block.

    >>> with RowVerifier(VerificationSettings()) as verifier:
    ...     verifier.verify([ResponseRow("integer", "5", "so \\\\boxed{5}", "done", "stop")])[0]["verdict"]
    'correct'
    """

    def __init__(self, settings: VerificationSettings, *, reward: bool = False) -> None:
        """Make the verifiers; those with worker processes start none yet.

        Args:
            settings: see `parameters.VerificationSettings`.
            reward: whether the verdicts are rewards, which no judge gives unless it is told to. A policy may write any
                number of responses without an answer.
        """
        self._verifiers = create_verifiers(settings)
        self._by_type = {answer_type: self._verifiers[name] for answer_type, name in settings.verifiers.items()}
        self._max_unscored, self._reward = settings.max_unscored, reward
        self._judge = (
            settings.judge if settings.judge is not None and (settings.judge.in_rewards or not reward) else None
        )
        self._engine: Engine | None = None

    def __enter__(self) -> "RowVerifier":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for verifier in self._verifiers.values():
            verifier.close()
        if self._engine is not None:
            self._engine.close()

    def gold_of(self, problem: Problem) -> str:
        """Return what responses are compared with: the answer, unless the verifier makes it of the whole problem."""
        make = getattr(self._by_type.get(problem.answer_type), "gold_of", None)
        return problem.answer if make is None else str(make(problem))

    def reads_answers(self, answer_type: str) -> bool:
        """Whether gold answers of a type are texts that a response could give, as opposed to tests of a program."""
        verifier = self._by_type.get(answer_type)
        return verifier is not None and not hasattr(verifier, "gold_of")

    def check_gold(self, problems: Sequence[Problem]) -> list[bool]:
        """Say of each problem whether responses can be compared with its gold answer, in order.

        An answer type without a verifier is not checked.
        """
        readable = [True] * len(problems)
        for answer_type, verifier in self._by_type.items():
            indices = [index for index, problem in enumerate(problems) if problem.answer_type == answer_type]
            golds = [self.gold_of(problems[index]) for index in indices]
            for index, known in zip(indices, verifier.check_gold(golds), strict=True):
                readable[index] = known
        return readable

    def verify(self, rows: Sequence[ResponseRow], progress: Progress | None = None) -> list[VerdictColumns]:
        """Return the verdict columns of each row, in order."""
        return [columns_of(verified) for verified in self.judged(rows, self.by_rules(rows, progress))]

    def by_rules(self, rows: Sequence[ResponseRow], progress: Progress | None = None) -> list[VerifiedRow]:
        """Return the verdict on each row, in order, before a judge is asked."""
        report = (lambda done, total: progress.update(done)) if progress else None
        return verify_by_type(
            self._by_type, rows, max_unscored=self._max_unscored, reward=self._reward, on_progress=report
        )

    def verifier_of(self, answer_type: str) -> Verifier | None:
        """Return the verifier of an answer type, None where there is none."""
        return self._by_type.get(answer_type)

    @property
    def has_judge(self) -> bool:
        """Whether `judged` may ask a model."""
        return self._judge is not None

    def judged(self, rows: Sequence[ResponseRow], verdicts: list[VerifiedRow]) -> list[VerifiedRow]:
        """Ask the judge, if there is one, about what the rules leave open."""
        if self._judge is None:
            return verdicts
        questions = [
            OpenVerdict(index, row.gold, verdict)
            for index, (row, (verdict, _, _)) in enumerate(zip(rows, verdicts, strict=True))
            if is_open(verdict)
        ]
        if not questions:
            return verdicts
        if self._engine is None:
            self._engine = create_engine(self._judge.engine, self._judge.options, "verification.judge")
        changed = judge(self._engine, self._judge, questions)
        return [(changed.get(index, verdict), name, version) for index, (verdict, name, version) in enumerate(verdicts)]


def columns_of(verified: VerifiedRow) -> VerdictColumns:
    """Return the columns of a verdict."""
    verdict, name, version = verified
    return {
        "extracted": verdict.extracted,
        "extracted_from": verdict.extracted_from,
        "verdict": verdict.verdict,
        "rule": verdict.rule,
        "verifier": name,
        "verifier_version": version,
        "detail": verdict.detail or None,
    }


def unlimited(settings: VerificationSettings) -> VerificationSettings:
    """Return the settings without a limit on verdicts that say nothing: for models that need not know the format."""
    return settings.model_copy(update={"max_unscored": 1.0})
