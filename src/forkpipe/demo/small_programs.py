"""Small problems whose answers are programs, and a teacher that writes them: the example of `conf/programs`.

A problem asks for a function that folds a list of integers: which of them count, what each contributes, and how the
contributions are put together. A strategy is a way to write the same function: a loop, a comprehension, recursion, or
`functools.reduce`. Tests come from a reference that is none of these.
"""

import json
import random
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from forkpipe.core.engine import Engine
from forkpipe.core.errors import InputError
from forkpipe.core.ids import unit_interval
from forkpipe.core.records import Completion, Request

FILTERS = {
    "all numbers": "True",
    "the even numbers": "x % 2 == 0",
    "the positive numbers": "x > 0",
    "the multiples of 3": "x % 3 == 0",
    "the numbers below 10": "x < 10",
}
MAPS = {
    "themselves": "x",
    "their squares": "x * x",
    "their doubles": "2 * x",
    "their absolute values": "abs(x)",
    "their last decimal digits": "abs(x) % 10",
}
FOLDS = {
    "sum": ("0", "a + b"),
    "exclusive or": ("0", "a ^ b"),
    "alternating difference, each new one minus the result so far": ("0", "b - a"),
    "product modulo 1009": ("1", "a * b % 1009"),
}
MISTAKES = (
    ("0", "1"), ("1", "0"), ("x % 2 == 0", "x % 2 == 1"), ("x > 0", "x >= 10"), ("abs(x)", "x"), ("x * x", "x + x"),
)  # fmt: skip
"""What a teacher that errs writes in place of what; where none of it stands, it leaves the last number out."""

STRATEGIES = {
    "loop": (
        "I walk through the list once and keep the result so far.",
        "def fold(numbers):\n    a = {start}\n    for x in numbers:\n        if {test}:\n            b = {value}\n"
        "            a = {step}\n    return a\n",
    ),
    "comprehension": (
        "First I make the list of what counts, then I fold that list.",
        "def fold(numbers):\n    values = [{value} for x in numbers if {test}]\n    a = {start}\n"
        "    for b in values:\n        a = {step}\n    return a\n",
    ),
    "recursion": (
        "The result for a list follows from the result for all but its last number.",
        "def fold(numbers):\n    if not numbers:\n        return {start}\n    a, x = fold(numbers[:-1]), numbers[-1]\n"
        "    if not ({test}):\n        return a\n    b = {value}\n    return {step}\n",
    ),
    "reduce": (
        "The whole is one reduction of a mapped and filtered list.",
        "from functools import reduce\n\ndef fold(numbers):\n    kept = filter(lambda x: {test}, numbers)\n"
        "    return reduce(lambda a, b: {step}, map(lambda x: {value}, kept), {start})\n",
    ),
}


class Fold(NamedTuple):
    """A problem: names of a filter, a map and a fold."""

    kept: str
    taken: str
    folded: str


def all_folds() -> list[Fold]:
    """Return every problem, in a fixed order."""
    return [Fold(kept, taken, folded) for kept in FILTERS for taken in MAPS for folded in FOLDS]


def text_of(fold: Fold) -> str:
    """Return the text of a problem."""
    return (
        f"Write a Python function fold(numbers) for a list of integers. Of {fold.kept}, in order, take {fold.taken}, "
        f"and return the {fold.folded}; for none it is {FOLDS[fold.folded][0]}."
    )


def parse(text: str) -> Fold | None:
    """Return the problem of a text, None where it is none."""
    return _by_text().get(text)


@lru_cache(maxsize=1)
def _by_text() -> dict[str, Fold]:
    return {text_of(fold): fold for fold in all_folds()}


def reference(fold: Fold, numbers: Sequence[int]) -> int:
    """Return what a program must return."""
    result = int(FOLDS[fold.folded][0])
    for number in numbers:
        if eval(FILTERS[fold.kept], {"x": number}):
            result = eval(FOLDS[fold.folded][1], {"a": result, "b": eval(MAPS[fold.taken], {"x": number, "abs": abs})})
    return result


def gold_of_fold(fold: Fold) -> dict[str, Any]:
    """Return the tests of a problem: lists of up to 30 numbers, drawn by its name."""
    generator = random.Random(text_of(fold))
    lists = [[], [4], [-3, 9, 12]] + [
        [generator.randrange(-40, 40) for _ in range(generator.randrange(1, 31))] for _ in range(3)
    ]
    cases = [{"args": [numbers], "output": reference(fold, numbers)} for numbers in lists]
    return {"version": 1, "language": "python", "kind": "function", "entry": "fold", "public": 3, "cases": cases}


def problem_rows() -> list[dict[str, str]]:
    """Return rows of problem, answer (tests as JSON text) and id."""
    return [
        {"problem": text_of(fold), "answer": json.dumps(gold_of_fold(fold)), "id": str(number)}
        for number, fold in enumerate(all_folds())
    ]


class ProgramTeacher(Engine):
    """Writes a program by the named strategy, with a sentence in front; a token is a word.

    Args:
        strategy: one of `STRATEGIES`.
        error_rate: share of programs with a mistake, 0 to 1.
    """

    version = "1"

    def __init__(self, *, strategy: str, error_rate: float = 0.0) -> None:
        if strategy not in STRATEGIES:
            raise InputError(f"strategy '{strategy}' is unknown, expected one of: {', '.join(STRATEGIES)}")
        if not isinstance(error_rate, int | float) or not 0 <= error_rate <= 1:
            raise InputError(f"error_rate is {error_rate!r}, expected a number from 0 to 1")
        self.identity = f"small_programs {strategy} {error_rate}"
        self._strategy = strategy
        self._error_rate = error_rate

    def generate(self, requests: Sequence[Request]) -> Iterator[Completion]:
        """Yield one completion a request, in order."""
        for request in requests:
            if request.prefix_ids or request.own_tag:
                raise InputError("engine 'small_programs' writes no forking tags")
            yield self._complete(request)

    def _complete(self, request: Request) -> Completion:
        fold = parse(request.problem)
        if fold is None:
            error = f"no problem of small programs: {request.problem[:80]!r}"
            return Completion(request.request_id, finish_reason="error", error=error)
        said, code = STRATEGIES[self._strategy]
        start, step = FOLDS[fold.folded]
        parts = {"start": start, "step": step, "test": FILTERS[fold.kept], "value": MAPS[fold.taken]}
        program = code.format(**parts)
        if unit_interval("slip", request.seed) < self._error_rate:
            program = with_mistake(program, random.Random(request.seed))
        text = f"{said}\n\n```python\n{program}```"
        words = len(text.split())
        return Completion(
            request.request_id, text=text, tokens_in=len(request.prompt.split()), tokens_out=words, finish_reason="stop"
        )


def with_mistake(program: str, generator: random.Random) -> str:
    """Return a program with one thing wrong."""
    head, _, body = program.partition("def fold(numbers):\n")
    possible = [(right, wrong) for right, wrong in MISTAKES if right in body]
    if not possible:
        return f"{head}def fold(numbers):\n    numbers = numbers[:-1]\n{body}"
    right, wrong = generator.choice(possible)
    return f"{head}def fold(numbers):\n{body.replace(right, wrong, 1)}"
