"""A language model that decides whether two traces near the threshold use the same approach.

For curation only: a policy that is trained on a judge's answers learns to please it. The judge is asked twice, the
second time with the solutions exchanged, and decides only if both answers agree.
"""

from collections.abc import Sequence

from forkpipe.core.data_files import data_text
from forkpipe.strategies.asker import Asker
from forkpipe.strategies.sentences import solution_of
from forkpipe.strategies.summaries import LONGEST_ASKED, without_marks

_RUBRIC = data_text(__file__, "judge_question.txt")


def judge(asker: Asker, pairs: Sequence[tuple[str, str, str]]) -> list[str | None]:
    """Return "same", "different" or None (undecided) for every (problem, text, text)."""
    questions = [
        _RUBRIC.format(problem=without_marks(problem), first=_shown(first), second=_shown(second))
        for problem, a, b in pairs
        for first, second in ((a, b), (b, a))
    ]
    verdicts = [verdict_of(answer) for answer in asker.ask(questions)]
    return [first if first == second else None for first, second in zip(verdicts[::2], verdicts[1::2], strict=True)]


def verdict_of(answer: str | None) -> str | None:
    """Return the verdict on the last line of an answer, None if the line is not one of the two words.

    >>> verdict_of("Both factor.\\nSAME"), verdict_of("SAME or DIFFERENT"), verdict_of(None)
    ('same', None, None)
    """
    lines = [line.strip().strip("*.") for line in (answer or "").splitlines() if line.strip()]
    return lines[-1].lower() if lines and lines[-1] in ("SAME", "DIFFERENT") else None


def _shown(text: str) -> str:
    return without_marks(solution_of(text)[-LONGEST_ASKED:])
