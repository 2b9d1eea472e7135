"""Short solutions of which the strategy is known, for `fit.py`; those of `families.py` stay unseen.

Every problem has two strategies, each written by two renderers of their own. Labelled pairs of real traces hold few
solutions of three lines in which little is written that could set them apart; these are for such.
"""

import itertools
import math
import random
from collections.abc import Callable, Iterator
from typing import Any

Steps = list[tuple[str, str]]
"""(sentence, formula) of every step."""
Family = Callable[[random.Random], tuple[str, str, dict[str, Steps]]]


def paths(draw: random.Random) -> tuple[str, str, dict[str, Steps]]:
    """Lattice paths: a recursion from corner to corner, or a choice of steps."""
    right, up = draw.randint(3, 4), draw.randint(2, 3)
    total = math.comb(right + up, up)
    rows = [[math.comb(i + j, j) for i in range(1, right + 1)] for j in range(1, up + 1)]
    recursion = [("Every corner is reached from the left or from below", "P(i, j) = P(i - 1, j) + P(i, j - 1)")]
    recursion += [
        (f"Row {j} of the table by this recursion", ", ".join(map(str, row))) for j, row in enumerate(rows, 1)
    ]
    recursion.append(("The last entry of the table counts the paths", f"P({right}, {up}) = {total}"))
    choice = [
        ("A path is a sequence of steps, determined by which of them go up", f"{right} + {up} = {right + up}"),
        ("The number of ways to choose those steps is a binomial coefficient", f"\\binom{{{right + up}}}{{{up}}}"),
        (
            "Computing it from factorials",
            f"\\frac{{{right + up}!}}{{{right}! {up}!}} = {total}",
        ),
    ]
    problem = f"How many shortest paths lead along the lines of a grid from (0, 0) to ({right}, {up})?"
    return problem, str(total), {"recursion": recursion, "choice": choice}


def triangle(draw: random.Random) -> tuple[str, str, dict[str, Steps]]:
    """Area of a triangle with sides 13, 14 and 15, scaled: Heron, or an altitude by Pythagoras."""
    k = draw.randint(1, 9)
    a, b, c, s = 13 * k, 14 * k, 15 * k, 21 * k
    heron = [
        ("The semiperimeter is half the sum of the sides", f"s = \\frac{{{a} + {b} + {c}}}{{2}} = {s}"),
        ("By Heron's formula", f"\\sqrt{{{s} * {s - a} * {s - b} * {s - c}}} = {84 * k * k}"),
    ]
    altitude = [
        (f"Drop the altitude on the side of length {b}; it splits that side into x and {b} - x", f"x + y = {b}"),
        ("The Pythagorean theorem in both right triangles", f"{a}^2 - x^2 = {c}^2 - ({b} - x)^2"),
        ("Therefore the foot and the altitude are", f"x = {5 * k}, h = \\sqrt{{{a}^2 - {5 * k}^2}} = {12 * k}"),
        ("Half of base times height", f"\\frac{{{b} * {12 * k}}}{{2}} = {84 * k * k}"),
    ]
    problem = f"A triangle has sides {a}, {b} and {c}. What is its area?"
    return problem, str(84 * k * k), {"heron": heron, "altitude": altitude}


def last_digit(draw: random.Random) -> tuple[str, str, dict[str, Steps]]:
    """Last digit of a power: the cycle of last digits, or Euler's theorem."""
    base, power = draw.choice((3, 7)), 4 * draw.randint(12, 30) + draw.randint(2, 3)
    digits = [base**k % 10 for k in range(1, 5)]
    digit = str(base**power % 10)
    cycle = [
        ("The last digits of the powers repeat in a cycle", ", ".join(map(str, digits)) + ", ..."),
        ("The cycle has length 4, and the exponent leaves", f"{power} = 4 * {power // 4} + {power % 4}"),
        (f"So it is number {power % 4} of the cycle", digit),
    ]
    euler = [
        ("Euler's totient of ten", "\\varphi(10) = \\varphi(2) \\varphi(5) = 4"),
        ("Since base and modulus are coprime, by Euler's theorem", f"{base}^4 \\equiv 1 \\pmod{{10}}"),
        ("Reduce the exponent", f"{base}^{{{power}}} \\equiv {base}^{power % 4} \\equiv {digit} \\pmod{{10}}"),
    ]
    return f"What is the last digit of {base}^{power}?", digit, {"cycle": cycle, "euler": euler}


def divisors(draw: random.Random) -> tuple[str, str, dict[str, Steps]]:
    """Divisors of a number: listed in pairs, or counted by the exponents of primes."""
    exponents = dict(zip((2, 3, 5), (draw.randint(1, 3), draw.randint(1, 2), 1), strict=True))
    n = math.prod(prime**exponent for prime, exponent in exponents.items())
    pairs = [(d, n // d) for d in range(1, math.isqrt(n) + 1) if n % d == 0]
    count = 2 * len(pairs) - (pairs[-1][0] == pairs[-1][1])
    listed = [("We list the divisors in pairs with this product", ", ".join(f"{d} * {other}" for d, other in pairs))]
    listed.append(("Counting both members of all pairs", f"2 * {len(pairs)} = {count}"))
    factors = " * ".join(f"{prime}^{exponent}" for prime, exponent in exponents.items())
    primes = [
        ("The prime factorization", f"{n} = {factors}"),
        ("A divisor takes any exponent up to these, so by the multiplication principle",
         " * ".join(f"({exponent} + 1)" for exponent in exponents.values()) + f" = {count}"),
    ]  # fmt: skip
    return f"How many positive divisors does {n} have?", str(count), {"listed": listed, "primes": primes}


def remainder(draw: random.Random) -> tuple[str, str, dict[str, Steps]]:
    """Remainder of a quadratic polynomial: long division, or its value at the zero of the divisor."""
    a, b, c, r = (draw.randint(2, 9) for _ in range(4))
    lead, rest = b + a * r, c + (b + a * r) * r
    division = [
        ("In the long division the first term of the quotient is", f"{a} x"),
        ("Subtracting its multiple of the divisor leaves", f"{lead} x + {c}"),
        ("The next term of the quotient is the constant", f"{lead}"),
        ("Subtract again to be left with", f"{c} + {lead * r} = {rest}"),
    ]
    value = [
        ("By the remainder theorem the remainder is the value where the divisor vanishes", f"p({r})"),
        ("Substitute", f"{a} * {r}^2 + {b} * {r} + {c} = {a * r * r} + {b * r} + {c} = {rest}"),
    ]
    problem = f"What is the remainder of {a} x^2 + {b} x + {c} when it is divided by x - {r}?"
    return problem, str(rest), {"division": division, "value": value}


def largest(draw: random.Random) -> tuple[str, str, dict[str, Steps]]:
    """Largest area of a rectangle: a square completed, or a derivative."""
    half = 2 * draw.randint(3, 20)
    best = (half // 2) ** 2
    square = [
        ("With one side x the area is", f"x ({half} - x) = {half} x - x^2"),
        ("Completing the square", f"{best} - (x - {half // 2})^2"),
        ("A square is never negative, so the area is at most", f"{best}"),
    ]
    derivative = [
        ("With one side x the area is", f"A(x) = {half} x - x^2"),
        ("Its derivative vanishes at the maximum", f"A'(x) = {half} - 2 x = 0"),
        ("Therefore both sides are alike", f"x = {half // 2}, A({half // 2}) = {half // 2} * {half // 2} = {best}"),
    ]
    problem = f"A rectangle has perimeter {2 * half}. What is its largest area?"
    return problem, str(best), {"square": square, "derivative": derivative}


FAMILIES: tuple[Family, ...] = (paths, triangle, last_digit, divisors, remainder, largest)


def spoken(steps: Steps, answer: str) -> str:
    """Write a solution as one paragraph."""
    opening = "Let us solve this problem with care. "
    return opening + " ".join(f"{said}: ${formula}$." for said, formula in steps) + f" So we get $\\boxed{{{answer}}}$."


def noted(steps: Steps, answer: str) -> str:
    """Write a solution as notes, formulas first."""
    lines = [f"- \\({formula}\\), {said[0].lower()}{said[1:]}" for said, formula in steps]
    return "\n".join(["### Solution", *lines, f"Answer: \\(\\boxed{{{answer}}}\\)"])


def pairs(problems: int, seed: int = 0) -> Iterator[dict[str, Any]]:
    """Yield the pairs of traces of so many problems a family, as labelled pairs."""
    draw = random.Random(seed)
    for family in FAMILIES:
        for _ in range(problems):
            problem, answer, strategies = family(draw)
            traces = [(name, render(steps, answer)) for name, steps in strategies.items() for render in (spoken, noted)]
            for (one, a), (other, b) in itertools.combinations(traces, 2):
                yield {"problem": problem, "a": a, "b": b, "label": "same" if one == other else "different"}
