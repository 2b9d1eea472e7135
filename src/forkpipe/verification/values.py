"""Whether two expressions have the same value, by their values. Runs in the worker processes.

math-verify simplifies the difference of two expressions, which takes milliseconds to seconds, misses identities, and
calls numbers equal whose difference is less than 1e-15. Here numbers are compared relative to their size, and
expressions at points drawn once: two that agree in all of them are equal, but for a chance that can be neglected
(Schwartz and Zippel's argument for polynomials).
"""

from collections.abc import Iterator
from typing import Any

DIGITS = 25
"""Significant digits of a value."""

SAME, OTHER = 1e-14, 1e-9
"""Two values are equal below the first relative difference and differ above the second; in between it is open."""

FEWEST_POINTS = 4
"""How many points with a real value of both are needed for a decision."""

_POINTS = (0.7315, 1.2907, 2.3381, 0.4173, 3.1127, 1.8643, -0.5879, -1.4171, -2.7013, 4.6039, 0.1637, -3.3307)
"""Values of the first variable; the next variables take them in other orders."""


def same_value(one: Any, other: Any) -> bool | None:
    """Say whether two of math-verify's readings have the same value; None where values do not decide.

    They decide between plain expressions: no relation, set or matrix, no word, no rounded decimal, and nothing like a
    sum or an integral, whose value may take long.
    """
    import sympy

    if isinstance(one, sympy.core.relational.Relational) and isinstance(other, sympy.core.relational.Relational):
        return _same_relation(one, other)
    sides = (one, other)
    if not all(isinstance(side, sympy.Expr) and not isinstance(side, sympy.Symbol) for side in sides):
        return None
    if not _has_quick_values(*sides):
        return None
    if not one.free_symbols | other.free_symbols:
        return _same_number(*sides)
    agreed = 0
    for values in _values(*sides):
        same = _close(*values)
        if not same:
            return same
        agreed += 1
    return True if agreed >= FEWEST_POINTS else None


def _same_relation(one: Any, other: Any) -> bool | None:
    """Say whether two equations, or two inequalities, say the same; None where it takes solving them to know.

    They do where the differences of their sides have a constant ratio, of the right sign in inequalities. Equations
    that give the same name a value are as equal as their values.
    """
    import sympy

    equations = isinstance(one, sympy.Eq) and isinstance(other, sympy.Eq)
    if equations and one.lhs == other.lhs and not one.lhs.has(sympy.Number):
        unnamed = not (one.rhs.has(one.lhs) or other.rhs.has(one.lhs))
        if unnamed and isinstance(one.lhs, sympy.Symbol | sympy.core.function.AppliedUndef):
            return same_value(one.rhs, other.rhs)
    flipped = one.reversed.func is other.func and not equations
    if one.func is not other.func and not flipped:
        return None
    sides = [side.lhs - side.rhs for side in (one, other)]
    if not _has_quick_values(*sides):
        return None
    ratios = [values[1] / values[0] for values in _values(*sides) if values[0] != 0]
    if len(ratios) < FEWEST_POINTS or ratios[0] == 0 or not all(_close(ratios[0], ratio) for ratio in ratios[1:]):
        return None
    return True if equations or (ratios[0] < 0) == flipped else None


def _has_quick_values(*sides: Any) -> bool:
    import sympy

    slow: tuple[Any, ...] = (
        sympy.Float,
        sympy.UnevaluatedExpr,
        sympy.core.function.AppliedUndef,
        sympy.Integral,
        sympy.Sum,
    )
    slow += (sympy.Product, sympy.Limit, sympy.Derivative, sympy.MatrixExpr, sympy.core.relational.Relational)
    return all(isinstance(side, sympy.Expr) and not side.has(*slow) for side in sides)


def _values(*sides: Any) -> Iterator[list[Any]]:
    """Yield the values of expressions in each point in which all are real."""
    names = sorted(set().union(*(side.free_symbols for side in sides)), key=str)
    for index in range(len(_POINTS)):
        point = {name: _POINTS[(index * (2 * k + 1) + 5 * k) % len(_POINTS)] for k, name in enumerate(names)}
        values = [side.evalf(DIGITS, subs=point) for side in sides]
        if all(value.is_Float or value.is_Integer for value in values):
            yield values


def _same_number(one: Any, other: Any) -> bool | None:
    exact = one.doit(), other.doit()
    if all(number.is_Rational for number in exact):
        return bool(exact[0] == exact[1])
    values = [number.evalf(DIGITS) for number in exact]
    return _close(*values) if all(value.is_Float or value.is_Integer for value in values) else None


def _close(one: Any, other: Any) -> bool | None:
    size = max(abs(one), abs(other))
    if size < SAME:
        return None if one != other else True
    difference = abs(one - other) / size
    return True if difference < SAME else False if difference > OTHER else None
