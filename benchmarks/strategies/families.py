"""Problems of which each strategy is known: do clusters follow the strategy, or the way it is written?

    python benchmarks/strategies/families.py

Every trace is one strategy under one of two renderers (a wordy one with LaTeX, a terse one with other names for the
unknowns, plain signs and another order of the sentence), and every renderer writes every strategy, with the same
opening and the same end: neither format nor length nor vocabulary gives the strategy away. None of these is in the
fit of the distance, which has families of its own (tuning_families.py). Prints V-measure and adjusted Rand a family,
averaged over problems.
"""

import argparse
import itertools
import math
import random
import re
from collections.abc import Callable

from forkpipe.core.statistics import clustering_agreement
from forkpipe.strategies import StepClusterer

Steps = list[tuple[str, str, str]]
"""(wordy sentence, terse sentence, formula) of every step; the formula has names a and b for the unknowns."""
Family = Callable[[random.Random], tuple[str, str, dict[str, Steps]]]


def digits(draw: random.Random) -> tuple[str, str, dict[str, Steps]]:
    """Strings with a certain digit: case by case, or all less those without."""
    n, base = draw.randint(3, 4), draw.randint(5, 9)
    total, without = base**n, (base - 1) ** n
    cases: Steps = [
        (
            f"Consider the case that the digit stands in exactly {k} places",
            f"Case of {k} places",
            f"\\binom{{{n}}}{{{k}}} * {base - 1}^{n - k} = {math.comb(n, k) * (base - 1) ** (n - k)}",
        )
        for k in range(1, n + 1)
    ]
    cases.append(
        (
            "Adding the cases gives the number",
            "The cases add up",
            " + ".join(str(math.comb(n, k) * (base - 1) ** (n - k)) for k in range(1, n + 1)) + f" = {total - without}",
        )
    )
    complement: Steps = [
        ("Without any condition there are so many strings", "All strings", f"{base}^{n} = {total}"),
        (
            "The complement is made of the strings that avoid the digit",
            "Strings of the complement, without the digit",
            f"{base - 1}^{n} = {without}",
        ),
        (
            "Subtracting the complement gives the number",
            "All minus complement",
            f"{total} - {without} = {total - without}",
        ),
    ]
    problem = f"How many strings of length {n} over {base} symbols hold a certain symbol at least once?"
    return problem, str(total - without), {"cases": cases, "complement": complement}


def common_divisor(draw: random.Random) -> tuple[str, str, dict[str, Steps]]:
    """Greatest common divisor: Euclid's algorithm, or prime factors."""
    g, p, q = draw.choice([6, 10, 12, 15]), draw.choice([7, 11, 13]), draw.choice([17, 19, 23])
    first, second = g * q, g * p
    euclid: Steps = []
    a, b = first, second
    while b:
        euclid.append(
            (
                "Divide and keep the remainder, as the Euclidean algorithm does",
                "Euclidean algorithm, remainder",
                f"{a} = {b} * {a // b} + {a % b}",
            )
        )
        a, b = b, a % b
    euclid.append(("The last remainder that is not zero is the result", "Last remainder before zero", f"a = {g}"))
    factors = {6: "2 * 3", 10: "2 * 5", 12: "2^2 * 3", 15: "3 * 5"}[g]
    primes: Steps = [
        ("Write the first number by its prime factorization", "Prime factorization", f"{first} = {factors} * {q}"),
        ("Write the second number by its prime factorization", "Prime factorization", f"{second} = {factors} * {p}"),
        ("The primes that both factorizations share multiply to the result", "Shared primes", f"{factors} = {g}"),
    ]
    return f"What is the greatest common divisor of {first} and {second}?", str(g), {"euclid": euclid, "primes": primes}


def squares(draw: random.Random) -> tuple[str, str, dict[str, Steps]]:
    """Sum of squares of two numbers of known sum and product: the identity, or the numbers themselves."""
    x, y = draw.sample(range(3, 15), 2)
    s, p, result = x + y, x * y, x * x + y * y
    identity: Steps = [
        ("Square the sum and expand", "Expansion of the square of the sum", "(a + b)^2 = a^2 + 2 a b + b^2"),
        (
            "So the sum of squares is the square of the sum less twice the product",
            "Rearranged",
            f"a^2 + b^2 = {s}^2 - 2 * {p}",
        ),
        ("Calculate", "Numbers", f"{s * s} - {2 * p} = {result}"),
    ]
    roots: Steps = [
        ("Put the second number in terms of the first by substitution", "Substitution", f"b = {s} - a"),
        ("This gives a quadratic equation", "Quadratic equation", f"a^2 - {s} a + {p} = 0"),
        ("By the quadratic formula with its discriminant", "Discriminant", f"{s}^2 - 4 * {p} = {(x - y) ** 2}"),
        ("The two roots are found", "Roots", f"a = {x}, b = {y}"),
        ("Square both roots and add", "Squares of the roots", f"{x}^2 + {y}^2 = {x * x} + {y * y} = {result}"),
    ]
    problem = f"Two numbers have the sum {s} and the product {p}. What is the sum of their squares?"
    return problem, str(result), {"identity": identity, "roots": roots}


def least(draw: random.Random) -> tuple[str, str, dict[str, Steps]]:
    """The least value of x + k^2 / x: an inequality, or calculus."""
    k = draw.randint(4, 30)
    inequality: Steps = [
        (
            "By AM-GM the sum of two positive numbers is at least twice the root of their product",
            "AM-GM",
            f"a + \\frac{{{k * k}}}{{a}} >= 2 \\sqrt{{{k * k}}}",
        ),
        (
            "The product does not depend on the unknown, which bounds the sum from below",
            "Lower bound",
            f"2 \\sqrt{{{k * k}}} = {2 * k}",
        ),
        (
            "Equality in the inequality holds where both terms agree",
            "Equality of both terms",
            f"a = \\frac{{{k * k}}}{{a}}",
        ),
    ]
    calculus: Steps = [
        ("Differentiate the function", "Derivative", f"b = 1 - \\frac{{{k * k}}}{{a^2}}"),
        ("At the critical point the derivative is zero", "Derivative zero, critical point", f"a^2 = {k * k}"),
        ("Take the positive root", "Root", f"a = {k}"),
        ("Insert the critical point into the function", "Function there", f"{k} + \\frac{{{k * k}}}{{{k}}} = {2 * k}"),
    ]
    return (
        f"What is the least value of t + {k * k}/t for positive t?",
        str(2 * k),
        {"inequality": inequality, "calculus": calculus},
    )


def altitude(draw: random.Random) -> tuple[str, str, dict[str, Steps]]:
    """The distance of the right angle from the hypotenuse: areas, or a line in coordinates."""
    m = draw.randint(2, 9)
    p, q, h = 3 * m, 4 * m, 5 * m
    areas: Steps = [
        ("The Pythagorean theorem gives the hypotenuse", "Pythagorean theorem", f"\\sqrt{{{p}^2 + {q}^2}} = {h}"),
        (
            "The area of the triangle is half the product of the legs",
            "Area by the legs",
            f"\\frac{{{p} * {q}}}{{2}} = {p * q // 2}",
        ),
        (
            "The same area is half of base times height",
            "Area by base and height",
            f"\\frac{{{h} a}}{{2}} = {p * q // 2}",
        ),
    ]
    line: Steps = [
        ("Place the right angle at the origin of a coordinate system", "Coordinate system, origin", "a = 0, b = 0"),
        (
            "The equation of the line through the other vertices has this slope and intercept",
            "Equation of the line, slope",
            f"{q} a + {p} b = {p * q}",
        ),
        (
            "The distance formula from a point to a line",
            "Distance formula",
            f"\\frac{{{p * q}}}{{\\sqrt{{{q * q} + {p * p}}}}}",
        ),
    ]
    problem = f"A right triangle has legs {p} and {q}. How far is the right angle from the opposite side?"
    return problem, f"{12 * m}/5", {"areas": areas, "line": line}


FAMILIES: dict[str, Family] = {one.__name__: one for one in (digits, common_divisor, squares, least, altitude)}


def wordy(steps: Steps, answer: str) -> str:
    """Write a solution in whole sentences."""
    lines = ["To find what is asked, we go through the solution step by step."]
    lines += [f"{number}. {said}: \\({formula}\\)." for number, (said, _, formula) in enumerate(steps, 1)]
    return "\n".join([*lines, f"Therefore, the answer is \\(\\boxed{{{answer}}}\\)."])


def terse(steps: Steps, answer: str) -> str:
    """Write a solution in few words, with other names and plain signs."""
    other = str.maketrans({"a": "u", "b": "v"})
    lines = ["Solution."]
    for _, said, formula in steps:
        renamed = (
            piece if piece[0] == "\\" else piece.translate(other) for piece in re.findall(r"\\[a-z]+|[^\\]", formula)
        )
        plain = "".join(renamed).replace(" * ", " \\cdot ")
        lines.append(f"${plain}$ ({said.lower()}).")
    return "\n".join([*lines, f"The answer: $\\boxed{{{answer}}}$."])


def main() -> None:
    """Print the agreement of clusters with strategies and, beside it, with renderers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", type=int, default=40, help="of every family")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    draw = random.Random(given.seed)
    whole: list[float] = []
    clusterer = StepClusterer()
    for name, family in FAMILIES.items():
        scores = []
        apart: dict[bool, list[float]] = {True: [], False: []}
        for _ in range(given.problems):
            problem, answer, strategies = family(draw)
            traces = [
                (strategy, render.__name__, render(steps, answer))
                for strategy, steps in strategies.items()
                for render in (wordy, terse)
            ]
            texts = [text for _, _, text in traces]
            labels = clusterer.cluster(problem, texts).labels
            distances = clusterer.distances(problem, texts)
            for i, j in itertools.combinations(range(len(traces)), 2):
                apart[traces[i][0] == traces[j][0]].append(float(distances[i, j]))
            by_strategy = clustering_agreement([strategy for strategy, _, _ in traces], labels)
            by_renderer = clustering_agreement([renderer for _, renderer, _ in traces], labels)
            scores.append((*by_strategy, by_renderer[0]))
        means = [sum(column) / len(scores) for column in zip(*scores, strict=True)]
        whole.append(means[0])
        print(
            f"{name:<16} V-measure {means[0]:.3f}  adjusted Rand {means[1]:.3f}  with renderers {means[2]:.3f}  "
            f"within a strategy at most {max(apart[True]):.2f}, between strategies at least {min(apart[False]):.2f}",
            flush=True,
        )
    print(f"{'all families':<16} V-measure {sum(whole) / len(whole):.3f}")


if __name__ == "__main__":
    main()
