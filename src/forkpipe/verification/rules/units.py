r"""Units: what stands after a number (money: before it), and how one unit is written in another.

A unit is a product of base dimensions with a factor. Units written in words are known by the table in units.txt; any
other word is no unit.
"""

import re
from fractions import Fraction
from typing import NamedTuple

from forkpipe.core.data_files import data_lines


class Unit(NamedTuple):
    """Dimensions with their powers, sorted, and how many base units it is; of a factor of pi see `rules.quantities`."""

    dimensions: tuple[tuple[str, int], ...]
    factor: Fraction


_AMBIGUOUS = {"m", "g", "s", "h", "L", "l", "K", "A", "V", "W", "J", "N"}
"""Single letters: units only where they are set as text, after a number and a space, or part of a compound."""

UNITS: dict[str, tuple[str, Fraction]] = {}
for _dimension, _factor, *_names in map(str.split, data_lines(__file__, "units.txt")):
    UNITS |= {name: (_dimension, Fraction(_factor)) for name in _names}

_SQUARED = re.compile(r"\b(square|sq\.?|cubic|cu\.?)\s+([A-Za-z]+)", re.IGNORECASE)
_POWER_WORD = re.compile(r"([A-Za-z]+)\s+(squared|cubed)\b")
_FACTOR = re.compile(r"\s*(/|\*|\\cdot|\s)?\s*(?:\\text\{)?([A-Za-z]+)\.?\}?\s*(?:\^\s*\{?\s*(-?\d)\s*\}?)?")


def parse_unit(text: str) -> Unit | None:
    r"""Return the unit that the whole text writes, or None.

    >>> parse_unit("square inches").dimensions, parse_unit("km/h").factor, parse_unit("miles per hour").factor
    ((('length', 2),), Fraction(5, 18), Fraction(1397, 3125))
    >>> parse_unit("apples") is None
    True
    """
    text = _SQUARED.sub(lambda m: f"{m[2]}^{2 if m[1].lower().startswith('s') else 3}", text.strip())
    text = _POWER_WORD.sub(lambda m: f"{m[1]}^{2 if m[2] == 'squared' else 3}", text)
    text = re.sub(r"\bmph\b", "mile/hour", re.sub(r"\s*\bper\b\s*", "/", text))
    if not text or len(text) > 60:
        return None
    dimensions: dict[str, int] = {}
    factor = Fraction(1)
    at, over = 0, 1
    while at < len(text):
        match = _FACTOR.match(text, at)
        if match is None or (found := _lookup(match[2])) is None or match.end() == at:
            return None
        over = -1 if match[1] == "/" else over
        power = int(match[3] or 1) * over
        dimension, size = found
        dimensions[dimension] = dimensions.get(dimension, 0) + power
        factor *= size**power
        at = match.end()
    if dimensions.pop("volume", 0) == 1:  # a litre is a cubic decimetre
        dimensions["length"] = dimensions.get("length", 0) + 3
        factor /= 1000
    return Unit(tuple(sorted((name, power) for name, power in dimensions.items() if power)), factor)


def _lookup(word: str) -> tuple[str, Fraction] | None:
    for name in (word, word.lower(), word.removesuffix("s"), word.lower().removesuffix("s")):
        if name in UNITS and (name == word or len(name) > 1):
            return UNITS[name]
    return None


_MEASURED = re.compile(r"\d|\\(?:pi|sqrt|frac)")
"""What is measured has a number in it."""
_UNIT_AT_END = re.compile(
    r"(?P<space>\s*)(?P<unit>(?:(?:square|sq\.?|cubic|cu\.?)\s+)?"
    r"(?:\\text\{[a-zA-Z]\}|[A-Za-z]+)\.?(?:\s*\^\s*\{?-?\d\}?|\s+(?:squared|cubed))?"
    r"(?:(?:\s*/\s*|\s+per\s+|\s*\\cdot\s*|\s+)(?:\\text\{[a-zA-Z]\}|[A-Za-z]+)\.?(?:\s*\^\s*\{?-?\d\}?)?){0,2})$"
)
_MONEY = (("¢", "cent"), ("\\$", "dollar"), ("€", "euro"), ("£", "GBP"), ("₹", "rupee"), ("¥", "yuan"))


def split_quantity(text: str) -> tuple[str, Unit | None]:
    r"""Split a quantity into what is measured and its unit; the whole text and None where there is no known unit.

    >>> (split_quantity("15 cm^2")[0], split_quantity(r"\$18.90")[0], split_quantity(r"90^\circ")[0],
    ...  split_quantity("2t"))
    ('15', '18.90', '90', ('2t', None))
    """
    if (total := _total(text)) is not None:
        return total
    for sign, name in _MONEY:
        for lead in (sign, "-" + sign):
            if text.startswith(lead) and text[len(lead) :].strip():
                return lead.removesuffix(sign) + text[len(lead) :].strip(), parse_unit(name)
        if text.endswith(sign) and text[: -len(sign)].strip():
            return text[: -len(sign)].strip(), parse_unit(name)
    for degree in (r"^\circ C", r"^\circ F"):
        if text.endswith(degree):
            return text[: -len(degree)].strip(), Unit(((degree[-1] + "-degree", 1),), Fraction(1))
    if re.fullmatch(r"[\d.]+'", text):
        return text[:-1], parse_unit("arcminute")
    if text.endswith(r"^\circ"):
        return text.removesuffix(r"^\circ").strip(), parse_unit("degree")
    for start in range(len(text)):
        # the longest unit at the end: "square units" before "units"
        match = _UNIT_AT_END.match(text, start)
        if match is None or not text[:start] or text[start - 1].isalpha() or text[start - 1] in "\\{":
            continue
        letter = match["unit"]
        if letter in _AMBIGUOUS and not (match["space"] and text[start - 1].isdigit()):
            continue
        unit = parse_unit(letter)
        if unit is not None and _MEASURED.search(text, 0, start):
            return text[:start].strip(), unit
    return text, None


_SUMMAND = re.compile(r"\s*(?:,|and\b)?\s*(\d+(?:\.\d+)?)\s*([A-Za-z]{1,10}\.?)(?![A-Za-z])")


def is_compound(text: str) -> bool:
    """Say whether a text is a sum of quantities, such as 5 feet 3 inches."""
    return _total(text) is not None


def _total(text: str) -> tuple[str, Unit] | None:
    """Return the sum of quantities of one dimension in the last of their units; None for anything else.

    >>> _total("1 hour and 30 minutes")[0], _total("5 feet") is None, _total("5 apples and 3 pears") is None
    ('90', True, True)
    """
    at, total, units = 0, Fraction(0), []
    while at < len(text):
        match = _SUMMAND.match(text, at)
        unit = parse_unit(match[2]) if match else None
        if match is None or unit is None or match.end() == at:
            return None
        units.append(unit)
        total += Fraction(match[1]) * unit.factor
        at = match.end()
    if len(units) < 2 or len({unit.dimensions for unit in units}) > 1 or len({unit.factor for unit in units}) == 1:
        return None
    return str(total / units[-1].factor), units[-1]
