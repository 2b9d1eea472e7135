r"""Whether math-verify read all of two answers that it calls equal. Runs in the worker processes.

math-verify reads `4k+1 where k \in \mathbb{Z}` as 4, and compares `16, 3, 1, 1` with `16, 3, 1` as sets. So its
"equal" is checked: first, whether every number of the text stands in what was read and the readings are plain
expressions; elsewhere each number, sign, bracket and element is changed in turn, in the prediction and in the gold
answer. A change that leaves the two equal shows a part that was not read.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from forkpipe.verification import math_reading, values
from forkpipe.verification.rules.lists import elements

MOST_CHANGES = 40
"""Changes tried in one answer; an answer that needs more is not trusted to math-verify."""

_NUMBER = re.compile(r"\d+\.?\d*|\.\d+")
_DIGITS = re.compile(r"\d+")
_THOUSANDS = re.compile(r"(?<=\d)(?:,\\!|\{,\}|,|\\!|\\,)(?=\d{3}(?!\d))")
_SIGN = re.compile(r"(?<!\\infty)[-+](?!\s*\\infty)")
_BRACKET = re.compile(r"(?<!\\)[\[\]]")
_SWAPPED = {"[": "(", "]": ")", "+": "-", "-": "+"}


def is_plainly_read(gold: str, prediction: str) -> bool:
    """Say of two answers that math-verify calls equal whether they are plain expressions of which it read all numbers.

    Relations are plain where values show that they are the same. Sets, tuples and matrices are not.
    """
    import sympy

    sides = []
    for answer, readings in (
        (gold, math_reading.read_gold(gold)),
        (prediction, math_reading.read_prediction(prediction)),
    ):
        expressions = [one for one in readings if not isinstance(one, str)]
        if len(expressions) != 1 or not isinstance(expressions[0], sympy.Expr | sympy.core.relational.Relational):
            return False
        if Counter(_numbers_in(answer)) - Counter(_numbers_of(expressions[0])):
            return False
        sides += expressions
    return all(isinstance(side, sympy.Expr) for side in sides) or values.same_value(*sides) is True


def _numbers_in(answer: str) -> Iterator[float]:
    for match in _NUMBER.finditer(_THOUSANDS.sub("", answer)):
        yield float(match[0])


def _numbers_of(expression: Any) -> Iterator[float]:
    """Yield the numbers that a reading holds, without those that stand for a notation: a root, a sign, a percent."""
    import sympy

    if isinstance(expression, sympy.Float | sympy.Integer):
        yield abs(float(expression))
    elif isinstance(expression, sympy.Rational):
        yield abs(float(expression.p))
        yield abs(float(expression.q))
    elif isinstance(expression, sympy.Symbol):
        yield from (float(digits) for digits in _DIGITS.findall(expression.name))
    elif not isinstance(expression, sympy.UnevaluatedExpr):
        left_out: tuple[Any, ...] = (-1,) if isinstance(expression, sympy.Mul) else ()
        if isinstance(expression, sympy.Pow):
            left_out = (-1, sympy.Rational(1, 2), sympy.Rational(-1, 2))
        for part in expression.args:
            if part not in left_out:
                yield from _numbers_of(part)


def is_read(gold: str, prediction: str, equal: Callable[[str, str], bool] = math_reading.equal) -> bool:
    """Say of two equal answers whether every change of either makes them different.

    Args:
        gold: the gold answer.
        prediction: the predicted answer.
        equal: what called them equal.
    """
    sides: tuple[tuple[str, Callable[[str], bool]], ...] = (
        (prediction, lambda changed: equal(gold, changed)),
        (gold, lambda changed: equal(changed, prediction)),
    )
    for answer, still_equal in sides:
        parts = list(changes(answer))
        if len(parts) > MOST_CHANGES or any(all(map(still_equal, changed)) for changed in parts):
            return False
    return True


def changes(answer: str) -> Iterator[tuple[str, ...]]:
    r"""Yield an answer with one number, sign, bracket or element changed, each in turn.

    A number is changed in two ways, since one can lead to an equal value by chance: `\binom{5}{2}` and `\binom{5}{3}`.

    >>> list(changes("(1, 25]"))
    [('(2, 25]', '(3, 25]'), ('(1, 35]', '(1, 45]'), ('(1, 25)',)]
    >>> list(changes("-x"))
    [('+x',)]
    >>> list(changes("3, 1"))[-2:]
    [('1',), ('3',)]
    """
    for match in _DIGITS.finditer(answer):
        first, others = int(match[0][0]), match[0][1:]
        yield tuple(_replaced(answer, match, f"{(first + step) % 9 + 1}{others}") for step in (0, 1))
    for pattern in (_SIGN, _BRACKET):
        for match in pattern.finditer(answer):
            yield (_replaced(answer, match, _SWAPPED[match[0]]),)
    listed = elements(answer)
    if listed is not None and listed[0] == "list":
        for index in range(len(listed[1])):
            yield (", ".join(listed[1][:index] + listed[1][index + 1 :]),)


def _replaced(answer: str, match: re.Match[str], written: str) -> str:
    return answer[: match.start()] + written + answer[match.end() :]
