"""Canonical forms of equations and values, by polynomials over the rationals (sympy).

Time and memory are bounded: by the size of a formula before it is read, and by degrees, terms and digits while it is
computed. A formula beyond the bounds has no canonical form. A time limit would make the result depend on the machine.
"""

import math
import operator
from collections.abc import Callable, Collection, Iterable
from fractions import Fraction
from functools import lru_cache
from typing import Any

from forkpipe.strategies.formulas import Tree

MOST_TERMS = 60
HIGHEST_DEGREE = 12
MOST_BITS = 256
MOST_ATOMS = 10


class TooLargeError(ValueError):
    """A formula has no canonical form within the bounds."""


def value_of(tree: Tree) -> Fraction | None:
    """Return the exact value of a formula without names, None if it has none within the bounds.

    >>> value_of(("/", ("binom", ("number", Fraction(9)), ("number", Fraction(2))), ("number", Fraction(8))))
    Fraction(9, 2)
    """
    try:
        return _value(tree)
    except (TooLargeError, ZeroDivisionError):
        return None


def _value(tree: Tree) -> Fraction:
    kind, *parts = tree
    if kind == "number":
        return _small(parts[0])
    if kind == "name":
        raise TooLargeError
    numbers = [_value(part) for part in parts]  # type: ignore[arg-type]
    if kind in _EXACT:
        return _small(_EXACT[str(kind)](*numbers))
    first, second = numbers[0], numbers[-1]
    match kind:
        case "^" if second.denominator == 1 and abs(second) * max(1, _bits(first)) <= MOST_BITS:
            return first ** int(second)
        case "factorial" if first.denominator == 1 and 0 <= first <= 40:
            return Fraction(math.factorial(int(first)))
        case "binom" if first.denominator == second.denominator == 1 and 0 <= second <= first <= 200:
            return _small(Fraction(math.comb(int(first), int(second))))
        case "sqrt" if first >= 0:
            root = Fraction(math.isqrt(first.numerator), math.isqrt(first.denominator) or 1)
            if root * root == first:
                return root
    raise TooLargeError


_EXACT: dict[str, Callable[..., Fraction | int]] = {
    **{"+": operator.add, "-": operator.neg, "*": operator.mul, "/": operator.truediv},
    **{"abs": abs, "floor": math.floor, "ceil": math.ceil},
}

DIGITS_KEPT = 8
"""Digits of a value that is not rational."""


def value_text(tree: Tree) -> str | None:
    r"""Return the absolute value of a formula without unknowns as text, None if it has none.

    Rational values are exact and others rounded, since surds, sines, logarithms and pi write one value in many ways. A
    sine of a number without pi is taken in degrees.

    >>> three, twelve = ("number", Fraction(3)), ("number", Fraction(12))
    >>> value_text(("sqrt", twelve)) == value_text(("*", ("number", Fraction(2)), ("sqrt", three)))
    True
    """
    value = value_of(tree)
    if value is not None:
        return str(abs(value))
    try:
        number = abs(_number(tree))
    except (TooLargeError, ZeroDivisionError, OverflowError, ValueError, TypeError):
        return None
    if abs(number - round(number)) < 1e-9 * max(1.0, number) and number < 1e12:
        return str(round(number))  # log_2 8
    return f"~{number:.{DIGITS_KEPT}g}" if 1e-9 < number < math.inf else None


def _number(tree: Tree) -> float:
    kind, *parts = tree
    if kind == "number":
        return float(parts[0])  # type: ignore[arg-type]
    if kind == "name":
        if parts[0] not in ("pi", "π"):
            raise TooLargeError
        return math.pi
    numbers = [_number(part) for part in parts]  # type: ignore[arg-type]
    if kind in ("sin", "cos", "tan") and "pi" not in (written := shape(tree)) and "π" not in written:
        numbers = [math.radians(numbers[0])]
    if kind not in _FLOAT:
        raise TooLargeError
    return float(_FLOAT[str(kind)](*numbers))


_FLOAT: dict[str, Callable[..., float]] = {
    **{"+": operator.add, "-": operator.neg, "*": operator.mul, "/": operator.truediv, "^": math.pow},
    **{"sqrt": math.sqrt, "abs": abs, "log": math.log10, "ln": math.log, "sin": math.sin, "cos": math.cos},
    **{"tan": math.tan, "arcsin": math.asin, "arccos": math.acos, "arctan": math.atan},
}
"""The function of each operation; "-" takes one operand."""


def _bits(number: Fraction) -> int:
    return max(number.numerator.bit_length(), number.denominator.bit_length())


def _small(number: Any) -> Fraction:
    if _bits(number) > MOST_BITS:
        raise TooLargeError
    return Fraction(number)


def equation_form(left: Tree, right: Tree, known: Collection[str] = ()) -> str | None:
    """Return an equation in a form that is independent of arrangement, scale and the names of its unknowns.

    Args:
        known: names that keep their name, such as those of the problem; all others become u1, u2, ...

    Returns:
        The primitive polynomial that the equation sets to zero; None for identities, for equations that only fix a
        number, and beyond the bounds.

    >>> x, two, four = ("name", "x"), ("number", Fraction(2)), ("number", Fraction(4))
    >>> equation_form(("/", four, x), two) == equation_form(("*", two, ("name", "y")), four)
    True
    """
    return _equation_form(left, right, frozenset(known))


@lru_cache(maxsize=20_000)
def _equation_form(left: Tree, right: Tree, known: frozenset[str]) -> str | None:
    try:
        atoms = sorted(_atoms(left) | _atoms(right))
        if not 0 < len(atoms) <= MOST_ATOMS:
            return None
        ring = _ring(len(atoms))
        generators = dict(zip(atoms, ring.gens, strict=True))
        numerator, _ = _rational(("+", left, ("-", right)), generators, ring)
    except (TooLargeError, ZeroDivisionError, RecursionError):
        return None
    if numerator.is_ground:
        return None
    terms = numerator.primitive()[1].terms()
    return _named(terms, atoms, known)


@lru_cache(maxsize=MOST_ATOMS)
def _ring(generators: int) -> Any:
    from sympy import QQ
    from sympy.polys.rings import ring

    return ring([f"x{index}" for index in range(generators)], QQ)[0]


_ARITHMETIC = ("+", "-", "*", "/")


def _atoms(tree: Tree) -> set[str]:
    kind, *parts = tree
    if kind == "number":
        return set()
    if kind == "name":
        return {str(parts[0])}
    if value_of(tree) is not None:
        return set()
    if kind in _ARITHMETIC or (kind == "^" and _exponent(parts[1]) is not None):  # type: ignore[arg-type]
        return {atom for part in parts if isinstance(part, tuple) for atom in _atoms(part)}
    return {shape(tree)}


def _exponent(tree: Tree) -> int | None:
    value = value_of(tree)
    return int(value) if value is not None and value.denominator == 1 and abs(value) <= HIGHEST_DEGREE else None


def _rational(tree: Tree, generators: dict[str, Any], ring: Any) -> tuple[Any, Any]:
    """Return numerator and denominator without reducing them."""
    value = value_of(tree)
    if value is not None:
        return ring(ring.domain(value.numerator, value.denominator)), ring(1)
    kind, *parts = tree
    if kind == "name":
        return generators[str(parts[0])], ring(1)
    exponent = _exponent(parts[1]) if kind == "^" else None  # type: ignore[arg-type]
    if kind not in _ARITHMETIC and exponent is None:
        return generators[shape(tree)], ring(1)
    top, bottom = _rational(parts[0], generators, ring)  # type: ignore[arg-type]
    if kind == "-":
        return -top, bottom
    if exponent is not None:
        base = (top, bottom) if exponent >= 0 else (bottom, top)
        if not base[1]:
            raise ZeroDivisionError
        power = ring(1), ring(1)
        for _ in range(abs(exponent)):
            power = _times(power[0], base[0]), _times(power[1], base[1])
        return power
    other_top, other_bottom = _rational(parts[1], generators, ring)  # type: ignore[arg-type]
    if kind == "*":
        return _times(top, other_top), _times(bottom, other_bottom)
    if kind == "/":
        if not other_top:
            raise ZeroDivisionError
        return _times(top, other_bottom), _times(bottom, other_top)
    if bottom == other_bottom:
        return top + other_top, bottom
    return _times(top, other_bottom) + _times(other_top, bottom), _times(bottom, other_bottom)


def _times(left: Any, right: Any) -> Any:
    if len(left) * len(right) > MOST_TERMS * MOST_TERMS // 4:
        raise TooLargeError
    product = left * right
    if len(product) > MOST_TERMS or any(sum(powers) > HIGHEST_DEGREE for powers in product):
        raise TooLargeError
    if any(_bits(Fraction(int(c.numerator), int(c.denominator))) > MOST_BITS for c in product.values()):
        raise TooLargeError
    return product


def _named(terms: Iterable[tuple[tuple[int, ...], Any]], atoms: list[str], known: frozenset[str]) -> str:
    """Return a polynomial as text with its unknowns renamed by their roles, so that their names do not matter."""
    terms = [(powers, Fraction(int(c.numerator), int(c.denominator))) for powers, c in terms]
    if sum(c for _, c in terms) < 0 or (sum(c for _, c in terms) == 0 and min(terms)[1] < 0):
        terms = [(powers, -c) for powers, c in terms]
    unknown = [index for index, atom in enumerate(atoms) if atom.isalnum() and atom not in known]
    role = {index: sorted((powers[index], sum(powers), c) for powers, c in terms if powers[index]) for index in unknown}
    names = list(atoms)
    used = [index for index in unknown if role[index]]
    for number, index in enumerate(sorted(used, key=lambda index: (role[index], index)), start=1):
        names[index] = f"u{number}"
    written = []
    for powers, c in terms:
        factors = sorted(f"{names[i]}^{power}" if power > 1 else names[i] for i, power in enumerate(powers) if power)
        written.append((factors, f"{c}*{'*'.join(factors)}" if factors and c != 1 else "*".join(factors) or str(c)))
    return " + ".join(text for _, text in sorted(written)) + " = 0"


def shape(tree: Tree) -> str:
    """Return the operations of a formula as text, with the operands of sums and products sorted.

    >>> shape(("*", ("number", Fraction(8)), ("binom", ("name", "n"), ("number", Fraction(2)))))
    '*(8,binom(n,2))'
    """
    kind, *parts = tree
    if kind in ("number", "name"):
        return str(parts[0])
    if kind in ("+", "*"):
        return f"{kind}({','.join(sorted(_flat(tree, str(kind))))})"
    return f"{kind}({','.join(shape(part) for part in parts)})"  # type: ignore[arg-type]


def _flat(tree: Tree, kind: str) -> list[str]:
    if tree[0] == kind:
        return [text for part in tree[1:] for text in _flat(part, kind)]  # type: ignore[arg-type]
    return [shape(tree)]
