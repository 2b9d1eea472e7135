r"""Four ways to solve a x + b = c, written down in words: the example of `conf/pretrained`.

The problems have the form of reasoning-gym's `simple_equations`, so that a small pretrained model can read them. As in
`demo.modular_powers`, each computed value passes through `slip`, and a trace carries on from a wrong one.

>>> print(" ".join(STRATEGIES["isolate"](Equation(4, 7, 35), no_slip)))
4x = 35 - 7 = 28, so x = 28 / 4 = 7. \boxed{7}
>>> print(" ".join(STRATEGIES["bisect"](Equation(4, 7, 35), no_slip)))
Try 5: 27, low. Try 8: 39, high. Try 6: 31, low. Try 7: 35, right. \boxed{7}
>>> print(" ".join(STRATEGIES["quotients"](Equation(4, 7, 35), no_slip)))
Left 28. 5 of 4, left 8. 2 of 4. 5 + 2 = 7. \boxed{7}
>>> print(" ".join(STRATEGIES["false_position"](Equation(4, 7, 35), no_slip)))
Guess 5 gives 27, 8 short, 8 / 4 = 2, 5 + 2 = 7. \boxed{7}
"""

import random
import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

Slip = Callable[[int], int]
"""Called with each computed value; returns it, or a wrong one."""

EXAMPLE = "Solve for x: 4x + 7 = 35"
LARGEST = 10
"""Every solution is a whole number from 1 to this one."""


class Equation(NamedTuple):
    """The problem a x + b = c, with a > 1 and b > 0."""

    a: int
    b: int
    c: int


def no_slip(value: int) -> int:
    """Make no mistake."""
    return value


def wrong_values(equation: Equation, value: int) -> Sequence[int]:
    """Return what a mistake can make of a value: it is off by at most ten."""
    return [other for other in range(max(0, value - 10), value + 11) if other != value]


def parse(problem: str) -> Equation | None:
    """Read "Solve for x: 4x + 7 = 35"; None where the text is no such problem."""
    match = re.fullmatch(r"\s*Solve for x: (\d+)x \+ (\d+) = (\d+)\s*", problem)
    return Equation(*(int(group) for group in match.groups())) if match else None


def render(equation: Equation) -> str:
    """Write the problem as text, the inverse of `parse`."""
    return f"Solve for x: {equation.a}x + {equation.b} = {equation.c}"


def draw_equations(count: int, seed: int) -> list[tuple[Equation, int]]:
    """Return different equations with their solutions, the same for the same seed."""
    possible = [(a, b, x) for a in range(2, 6) for b in range(1, 11) for x in range(2, LARGEST + 1)]
    drawn = random.Random(seed).sample(possible, count)
    return [(Equation(a, b, a * x + b), x) for a, b, x in drawn]


def _boxed(value: int) -> list[str]:
    return [f"\\boxed{{{value}}}"]


def isolate(equation: Equation, slip: Slip) -> list[str]:
    """Undo the addition, then the multiplication."""
    a, b, c = equation
    product = slip(c - b)
    value = slip(product // a)
    return f"{a}x = {c} - {b} = {product}, so x = {product} / {a} = {value}.".split() + _boxed(value)


def bisect(equation: Equation, slip: Slip) -> list[str]:
    """Try the middle of what is left, until a number fits."""
    a, b, c = equation
    low, high = 1, LARGEST
    words: list[str] = []
    while True:
        value = (low + high) // 2
        result = slip(a * value + b)
        if result == c or low >= high:
            return words + f"Try {value}: {result}, right.".split() + _boxed(value)
        words += f"Try {value}: {result}, {'high' if result > c else 'low'}.".split()
        # After a slip nothing may be left to try; then the trace ends with the last number.
        low, high = (low, max(low, value - 1)) if result > c else (min(high, value + 1), high)


def quotients(equation: Equation, slip: Slip) -> list[str]:
    """Take five times a from c - b while that fits, then the rest at once; add up the parts."""
    a, b, c = equation
    rest = slip(c - b)
    words = f"Left {rest}.".split()
    parts: list[int] = []
    while rest >= 5 * a and len(parts) < LARGEST // 5:
        rest = slip(rest - 5 * a)
        parts.append(5)
        words += f"5 of {a}, left {rest}.".split()
    parts.append(slip(rest // a))
    total = slip(sum(parts))
    return words + f"{parts[-1]} of {a}. {' + '.join(map(str, parts))} = {total}.".split() + _boxed(total)


def false_position(equation: Equation, slip: Slip) -> list[str]:
    """Guess 5, and correct the guess by the difference that it leaves."""
    a, b, c = equation
    guess = 5
    result = slip(a * guess + b)
    words = f"Guess {guess} gives {result},".split()
    if result == c:
        return [*words, "right.", *_boxed(guess)]
    gap = slip(abs(c - result))
    step = slip(gap // a)
    sign, side = ("+", "short") if result < c else ("-", "over")
    value = slip(guess + step if result < c else guess - step)
    return words + f"{gap} {side}, {gap} / {a} = {step}, {guess} {sign} {step} = {value}.".split() + _boxed(value)


Solve = Callable[[Equation, Slip], list[str]]
STRATEGIES: dict[str, Solve] = {
    "isolate": isolate,
    "bisect": bisect,
    "quotients": quotients,
    "false_position": false_position,
}
