r"""Six ways to compute a ^ b mod p, each written down step by step: the embedded default's strategies.

Every function takes the problem and a `slip` hook through which each computed value passes, so that a teacher can
make a mistake and carry on from it as a person would. It returns the words of the trace, the answer boxed last.
Numbers are single words; with p = 17 and b < 100 every trace has at most 28 words, at most 20 only where the strategy
suits the problem (the two token budgets of the embedded default and of `conf/tight`).

>>> " ".join(STRATEGIES["square_multiply"](Power(7, 5, 17), no_slip))
'7 sq 15 sq 4 mul 11 \\boxed{ 11 }'
"""

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

Slip = Callable[[int], int]
"""Called with each computed value; returns it, or a wrong one."""

BABY_STEPS = 8
EXAMPLE = "a ^ b mod p"


class Power(NamedTuple):
    """The problem a ^ b mod p, p prime, 1 < a < p, b > 0."""

    a: int
    b: int
    p: int


def no_slip(value: int) -> int:
    """Make no mistake."""
    return value


def wrong_values(power: Power, value: int) -> Sequence[int]:
    """Return what a mistake can make of a value."""
    return [other for other in range(1, power.p) if other != value]


def parse(problem: str) -> Power | None:
    """Read "7 ^ 45 mod 17"; None where the text is no such problem."""
    match = re.fullmatch(r"\s*(\d+) \^ (\d+) mod (\d+)\s*", problem)
    return Power(*(int(group) for group in match.groups())) if match else None


def render(power: Power) -> str:
    """Write the problem as text, the inverse of `parse`."""
    return f"{power.a} ^ {power.b} mod {power.p}"


def _boxed(value: int) -> list[str]:
    return ["\\boxed{", str(value), "}"]


def square_multiply(power: Power, slip: Slip) -> list[str]:
    """Left to right over the bits of b: square for each bit, multiply by a where it is 1."""
    a, b, p = power
    value = a
    words = [str(a)]
    for bit in bin(b)[3:]:
        value = slip(value * value % p)
        words += ["sq", str(value)]
        if bit == "1":
            value = slip(value * a % p)
            words += ["mul", str(value)]
    return words + _boxed(value)


def peasant(power: Power, slip: Slip) -> list[str]:
    """Right to left over the bits of b, one row a bit: remaining exponent, base, accumulator."""
    exponent, base, accumulator = power.b, power.a, 1
    words = [str(exponent), str(base), str(accumulator)]
    while exponent > 1:
        if exponent % 2:
            accumulator = slip(accumulator * base % power.p)
        base = slip(base * base % power.p)
        exponent //= 2
        words += [str(exponent), str(base), str(accumulator)]
    return words + _boxed(slip(accumulator * base % power.p))


def cycle(power: Power, slip: Slip) -> list[str]:
    """List the powers of a until 1 comes, take the exponent modulo that order, look the answer up."""
    a, b, p = power
    powers = [a]
    # A slip can keep 1 from coming; a cycle is never longer than p - 1.
    while powers[-1] != 1 and len(powers) < p - 1:
        powers.append(slip(powers[-1] * a % p))
    order = len(powers)
    left = slip(b % order)
    return [*map(str, powers), "order", str(order), "left", str(left), *_boxed(powers[(left - 1) % order])]


def fermat(power: Power, slip: Slip) -> list[str]:
    """Reduce b modulo p - 1, go by the inverse where that is shorter, multiply with a countdown."""
    a, b, p = power
    rest = slip(b % (p - 1))
    words = ["rem", str(rest)]
    base, steps = a, rest
    if rest > (p - 1) // 2:
        base, steps = slip(pow(a, -1, p)), p - 1 - rest
        words += ["inv", str(base)]
    value = 1
    for count in range(steps, 0, -1):
        value = slip(value * base % p) if value != 1 else base
        words += [str(count), str(value)]
    return words + _boxed(value)


def discrete_log(power: Power, slip: Slip) -> list[str]:
    """Write a as a power of the smallest generator and multiply exponents: terse."""
    a, b, p = power
    generator = smallest_generator(p)
    log = slip(next(k for k in range(p - 1) if pow(generator, k, p) == a))
    rest = b % (p - 1)
    product = slip(log * rest % (p - 1))
    return ["log", str(log), "rem", str(rest), "prod", str(product), *_boxed(pow(generator, product, p))]


def baby_giant(power: Power, slip: Slip) -> list[str]:
    """Eight baby steps a, a^2, ..., giant steps of a^8, then one product of both."""
    a, b, p = power
    baby = [a]
    for _ in range(BABY_STEPS - 1):
        baby.append(slip(baby[-1] * a % p))
    giant_count, rest = divmod(b, BABY_STEPS)
    value = 1
    giants = []
    for _ in range(giant_count):
        value = slip(value * baby[-1] % p)
        giants.append(value)
    answer = slip(value * baby[rest - 1] % p) if rest else value
    return [*map(str, baby), "giant", *map(str, giants), "rem", str(rest), *_boxed(answer)]


def smallest_generator(p: int) -> int:
    """Return the smallest primitive root of the prime p.

    >>> smallest_generator(17)
    3
    """
    return next(g for g in range(2, p) if len({pow(g, k, p) for k in range(p - 1)}) == p - 1)


Solve = Callable[[Power, Slip], list[str]]
STRATEGIES: dict[str, Solve] = {
    "square_multiply": square_multiply,
    "peasant": peasant,
    "cycle": cycle,
    "fermat": fermat,
    "discrete_log": discrete_log,
    "baby_giant": baby_giant,
}
