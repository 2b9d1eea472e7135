r"""Quantities: units, money, angles, percent.

A unit on one side only is taken off; units on both sides are converted where they measure the same, and keep two
answers apart where they do not.
"""

from decimal import Decimal
from fractions import Fraction

from forkpipe.verification.rules.base import Ask, Guard, Rule
from forkpipe.verification.rules.units import is_compound, parse_unit, split_quantity
from forkpipe.verification.text import is_decimal

_DEGREE, _RADIAN = parse_unit("degree"), parse_unit("radian")


def units(gold: str, prediction: str, ask: Ask) -> bool:
    r"""Take off a unit, or convert one into the other.

    >>> (units("5.4 square units", "5.4", str.__eq__),
    ...  units("2 hours", "120 minutes", lambda g, p: (g, p) == ("2*(60)", "120")))
    (True, True)
    >>> units("5 cm", "5 m", lambda g, p: g == p)
    False
    """
    (value, unit), (other, other_unit) = split_quantity(gold), split_quantity(prediction)
    if unit is None and other_unit is None:
        return False
    if unit is None or other_unit is None:
        angle = unit or other_unit
        if angle == _DEGREE and r"\pi" in (prediction if unit else gold):
            return False  # those are radians
        return ask(value, other)
    if unit.dimensions != other_unit.dimensions:
        return False
    if unit.factor == other_unit.factor:
        return ask(value, other)
    return ask(f"{_grouped(value)}*({_written(unit.factor / other_unit.factor)})", other)


def degrees(gold: str, prediction: str, ask: Ask) -> bool:
    r"""Compare degrees with radians, which need no sign where they are multiples of pi.

    >>> degrees(r"90^\circ", r"\frac{\pi}{2}", lambda g, p: (g, p) == (r"90*\frac{\pi}{180}", r"\frac{\pi}{2}"))
    True
    >>> degrees("90", r"\frac{\pi}{2}", lambda g, p: True)
    False
    """
    (value, unit), (other, other_unit) = split_quantity(gold), split_quantity(prediction)
    if unit == _DEGREE and (other_unit == _RADIAN or (other_unit is None and r"\pi" in other)):
        return ask(rf"{_grouped(value)}*\frac{{\pi}}{{180}}", other)
    if other_unit == _DEGREE and (unit == _RADIAN or (unit is None and r"\pi" in value)):
        return ask(value, rf"{_grouped(other)}*\frac{{\pi}}{{180}}")
    return False


def percent(gold: str, prediction: str, ask: Ask) -> bool:
    r"""Compare a percentage with the number before its sign, or with that over a hundred.

    >>> percent(r"33\frac{1}{3}\%", r"\frac{1}{3}", lambda g, p: (g, p) == (r"(33\frac{1}{3})/100", r"\frac{1}{3}"))
    True
    """
    value, other = _without_percent(gold), _without_percent(prediction)
    if value is not None and other is not None:
        return ask(value, other)
    if value is not None:
        return (not _below_one(value) and ask(value, prediction)) or _is_share(value, prediction, ask)
    if other is None:
        return False
    return (not _below_one(other) and ask(gold, other)) or _is_share(other, gold, lambda share, one: ask(one, share))


def _is_share(percentage: str, number: str, ask: Ask) -> bool:
    """Say whether a percentage over a hundred is a number, or rounds to it at three digits after the point or more.

    >>> _is_share("66.67", "0.667", str.__eq__), _is_share("66.67", "0.66", str.__eq__)
    (True, False)
    """
    if not is_decimal(percentage):
        return ask(f"({percentage})/100", number)
    share = Decimal(percentage).scaleb(-2)
    if is_decimal(number):
        long, short = sorted((share, Decimal(number)), key=_places, reverse=True)
        return long == short or (_places(short) >= 3 and round(long, _places(short)) == short)
    return ask(f"{share:f}", number)


def _places(number: Decimal) -> int:
    return -int(number.as_tuple().exponent)


def other_unit(gold: str, prediction: str) -> bool:
    r"""Say whether both have a unit, not the same, or one is a sum of units, of which math-verify reads one.

    >>> other_unit("5 cm", r"5 \text{m}"), other_unit("5 cm", "5"), other_unit("3 feet", "3 ft")
    (True, False, False)
    """
    expected, given = (split_quantity(answer)[1] for answer in (gold, prediction))
    return is_compound(gold) or is_compound(prediction) or bool(expected and given and expected != given)


def _without_percent(text: str) -> str | None:
    for sign in (r"\%", "%", "percentage points", "percent", "per cent", "pct", "percentage"):
        if text.endswith(sign):
            return text.removesuffix(sign).strip() or None
    return None


def _below_one(value: str) -> bool:
    """Say whether a number could be meant as a share: 0.5 % is not 0.5, though 50 % is written 50."""
    return is_decimal(value) and abs(float(value)) < 1


def _grouped(value: str) -> str:
    return value if is_decimal(value) else f"({value})"


def _written(factor: Fraction) -> str:
    return str(factor) if factor.denominator > 1 else str(factor.numerator)


RULES = (Rule("units", units), Rule("degrees", degrees), Rule("percent", percent))
GUARDS = (Guard("other-unit", other_unit, ("units", "degrees", "collections")),)
