"""A language model rewrites each trace as a short list of steps, which is then read like any solution."""

import re
from collections.abc import Sequence

from forkpipe.core.data_files import data_text
from forkpipe.strategies.asker import Asker
from forkpipe.strategies.sentences import solution_of

LONGEST_ASKED = 24_000
"""The model sees at most this many characters of a solution, the last ones."""

_QUESTION = data_text(__file__, "steps_question.txt")

_LINE = re.compile(r"^\s{0,8}(?:[-*•]|[0-9]{1,2}[.)])\s{0,4}(?P<name>[^:\n]{2,80}):(?P<rest>.{0,2000})$")


def summarise(asker: Asker, traces: Sequence[tuple[str, str]]) -> list[str]:
    """Return the model's list of steps for every (problem, trace), or the trace itself if the model gave none."""
    answers = asker.ask([question(problem, text) for problem, text in traces])
    return [named_steps(answer) or text for answer, (_, text) in zip(answers, traces, strict=True)]


def question(problem: str, text: str) -> str:
    """Return the question about a trace."""
    solution = solution_of(text)[-LONGEST_ASKED:]
    return _QUESTION.format(problem=without_marks(problem), solution=without_marks(solution))


def named_steps(answer: str | None) -> str:
    """Return the lines "NAME: rest" of an answer, an empty text if there are none.

    >>> named_steps("Sure!\\n- Substitution: y = 3 - x\\n2) Quadratic formula: x = 1")
    'Substitution: y = 3 - x\\nQuadratic formula: x = 1'
    """
    lines = [match for line in (answer or "").splitlines() if (match := _LINE.match(line))]
    return "\n".join(f"{match['name'].strip(' *')}: {match['rest'].strip(' *')}" for match in lines)


def without_marks(text: str) -> str:
    """Return a text in which nothing looks like one of the marks of a question."""
    return re.sub(r"\[(?=/?(?:end of )?(?:problem|solution|first|second)\b)", "(", text)
