r"""Ways to write one number."""

import re

from forkpipe.verification.rules.base import Ask, Guard, Rule
from forkpipe.verification.text import is_decimal

_GROUPED = re.compile(r"(?<![\d.,])\d{1,3}(?:,\d{3})+(?![\d,])|(?<![\d.,])\d{1,3}(?: \d{3})+(?![\d ])")
_E_NOTATION = re.compile(r"(?<![\dA-Za-z.])(\d+(?:\.\d+)?)\s*[eE]\s*\{?([-+]?\d+)\}?(?![\dA-Za-z.])")
_TIMES_TEN = re.compile(
    r"(\d)\s*(?:[xX*]|\\times|\\cdot)\s*10\s*(?:\^|\*\*)\s*(?:\{([-+]?\d+)\}|\(([-+]?\d+)\)|([-+]?\d+))"
)
_LARGE = {"hundred": 2, "thousand": 3, "million": 6, "billion": 9, "trillion": 12}
_COUNTED = re.compile(rf"(\d+(?:\.\d+)?)\s*({'|'.join(_LARGE)})\b")
_BARE_POWER = re.compile(r"\^\s*(-?\d{2,})(?!\d)")
_MIXED = re.compile(
    r"(?<![\d.}A-Za-z^_/*+])(-?)\s*(\d+)\s*(?:\\frac\s*\{?(\d+?)\}?\s*\{?(\d+)\}?|\s(\d+)\s*/\s*(\d+))(?!\s*[\d/^A-Za-z])"
)
_REPEATING = re.compile(r"(\d+)\.(\d*)\\(?:overline|bar|dot)\s*\{?(\d+)\}?")
_DECIMAL_COMMA = re.compile(r"-?(\d+),(\d{1,2}|\d{4,})|-?0,(\d+)")
_APPROXIMATELY = re.compile(r"\s*\\approx\s*")
_BASE = re.compile(r"(?:\(\s*)?([0-9A-Fa-f]+)(?:\s*\))?\s*_\s*(?:\{\s*([a-z]+|\d{1,2})\s*\}|(\d{1,2}|[a-z]+))")
_BASES = {
    name: number
    for number, name in enumerate(
        ("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"), start=2
    )
} | {"binary": 2, "octal": 8, "hex": 16, "sixteen": 16}
_ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen twenty"
)
_TENS = "thirty forty fifty sixty seventy eighty ninety"
_WORDS = {name: number for number, name in enumerate(_ONES.split())} | {
    name: 10 * tens for tens, name in enumerate(_TENS.split(), start=3)
}
_TIME = re.compile(
    r"(\d{1,2})(?:\s*:\s*(\d{2}))?\s*(?:(?P<half>[aApP])\.?\s*[mM]\.?|(?P<noon>(?:12\s*)?noon)|(?P<midnight>midnight))?"
)


def _rewritten(gold: str, prediction: str, ask: Ask, written: list[str]) -> bool:
    return written != [gold, prediction] and ask(*written)


def thousands(gold: str, prediction: str, ask: Ask) -> bool:
    """Take out what separates thousands: a comma or a space before groups of three.

    >>> thousands("1 000 000", "1000000", str.__eq__), thousands("1,00", "100", str.__eq__)
    (True, False)
    """
    return _rewritten(
        gold, prediction, ask, [_GROUPED.sub(lambda m: re.sub(r"[,\s]", "", m[0]), side) for side in (gold, prediction)]
    )


def scientific(gold: str, prediction: str, ask: Ask) -> bool:
    r"""Write 3e8, 7.2 x 10^5 and 2 million as products with a power of ten.

    >>> scientific("3e8", r"3*10^{8}", str.__eq__), scientific("2 million", "2*10^{6}", str.__eq__)
    (True, True)
    """

    def write(side: str) -> str:
        side = _E_NOTATION.sub(lambda m: f"{m[1]}*10^{{{int(m[2])}}}", side)
        side = _TIMES_TEN.sub(lambda m: f"{m[1]}*10^{{{int(m[2] or m[3] or m[4])}}}", side)
        side = _COUNTED.sub(lambda m: f"{m[1]}*10^{{{_LARGE[m[2]]}}}", side)
        return _BARE_POWER.sub(r"^{\1}", side)

    return _rewritten(gold, prediction, ask, [write(gold), write(prediction)])


def mixed_number(gold: str, prediction: str, ask: Ask) -> bool:
    r"""Write `1 4/5` and `1\frac{4}{5}` as one fraction.

    >>> mixed_number("1 4/5", r"\frac{9}{5}", str.__eq__), mixed_number("11/2", "1 1/2", lambda g, p: g == p)
    (True, False)
    """

    def write(match: re.Match[str]) -> str:
        over, under = int(match[3] or match[5]), int(match[4] or match[6])
        return rf"{match[1]}\frac{{{int(match[2]) * under + over}}}{{{under}}}"

    return _rewritten(gold, prediction, ask, [_MIXED.sub(write, side) for side in (gold, prediction)])


def decimal_comma(gold: str, prediction: str, ask: Ask) -> bool:
    """Read a comma as the decimal point where the other side has a point and the same digits.

    >>> decimal_comma("1,22", "1.22", str.__eq__), decimal_comma("1,222", "1.222", str.__eq__)
    (True, False)
    """
    for one, other in ((gold, prediction), (prediction, gold)):
        if _DECIMAL_COMMA.fullmatch(one) and one.replace(",", ".") == other:
            return True
    return False


def base(gold: str, prediction: str, ask: Ask) -> bool:
    r"""Compare digits that have their base below them, which an answer may leave out.

    >>> base("204_5", "204", str.__eq__), base(r"1011_{two}", "1011_2", str.__eq__), base("52_8", "42", str.__eq__)
    (True, True, False)
    """
    expected, given = _digits_and_base(gold), _digits_and_base(prediction)
    if expected is None:
        return False
    if given is not None:
        return expected == given
    return prediction.replace(" ", "").upper() == expected[0]


def other_base(gold: str, prediction: str) -> bool:
    """Say whether both have a base below them and the digits or the bases differ.

    >>> other_base("52_8", "52_{10}"), other_base("52_8", "52_{8}"), other_base("52_8", "52")
    (True, False, False)
    """
    expected, given = _digits_and_base(gold), _digits_and_base(prediction)
    return expected is not None and given is not None and expected[1] != given[1]


def _digits_and_base(text: str) -> tuple[str, int] | None:
    match = _BASE.fullmatch(re.sub(r"\s+base\s+(\w+)$", r"_{\1}", text))
    if match is None:
        return None
    written = match[2] or match[3]
    number = int(written) if written.isdigit() else _BASES.get(written, 0)
    digits = match[1].upper()
    if not 2 <= number <= 16 or any(int(digit, 16) >= number for digit in digits) or not re.search(r"\d", digits):
        return None
    return digits, number


def repeating(gold: str, prediction: str, ask: Ask) -> bool:
    r"""Write a repeating decimal as a fraction.

    >>> (repeating(r"0.\overline{3}", r"\frac{3}{9}", str.__eq__),
    ...  repeating(r"0.1\overline{6}", r"\frac{15}{90}", str.__eq__))
    (True, True)
    """

    def write(match: re.Match[str]) -> str:
        once, again = match[2], match[3]
        all_digits, first = int(match[1] + once + again), int(match[1] + once)
        return rf"\frac{{{all_digits - first}}}{{{'9' * len(again)}{'0' * len(once)}}}"

    return _rewritten(gold, prediction, ask, [_REPEATING.sub(write, side) for side in (gold, prediction)])


def number_words(gold: str, prediction: str, ask: Ask) -> bool:
    """Write a number that stands as a word in digits.

    >>> number_words("five", "5", str.__eq__), number_words("Twenty-one", "21", str.__eq__)
    (True, True)
    """

    def write(side: str) -> str:
        tens, _, ones = side.lower().partition("-")
        if ones:
            return str(_WORDS[tens] + _WORDS[ones]) if {tens, ones} <= _WORDS.keys() and _WORDS[tens] >= 20 else side
        return str(_WORDS.get(tens, side))

    return _rewritten(gold, prediction, ask, [write(gold), write(prediction)])


def time_of_day(gold: str, prediction: str, ask: Ask) -> bool:
    """Compare times of day; whoever leaves out a.m. or p.m. may mean either.

    >>> time_of_day("15:30", "3:30 PM", str.__eq__), time_of_day("3:30", "3:30 p.m.", str.__eq__)
    (True, True)
    >>> time_of_day("3:30 a.m.", "3:30 PM", str.__eq__)
    False
    """
    expected, given = _minutes(gold), _minutes(prediction)
    return bool(expected and given and expected & given)


def other_time(gold: str, prediction: str) -> bool:
    """Say whether both are times of day, one of them marked so, and they are not the same.

    >>> other_time("3:30 am", "3:30 pm"), other_time("3:30", "3:30 pm"), other_time("3:4", "4:3")
    (True, False, False)
    """
    expected, given = _minutes(gold), _minutes(prediction)
    marked = re.search(r"[A-Za-z]", gold + prediction)
    return bool(marked and expected and given and not expected & given)


def _minutes(text: str) -> set[int]:
    """Return the minutes of the day that a time can mean; nothing where it is no time."""
    match = _TIME.fullmatch(text.strip())
    if match is None or not (match[2] or match["half"] or match["noon"] or match["midnight"]):
        return set()
    hour, minute = int(match[1]), int(match[2] or 0)
    if hour > 24 or minute > 59:
        return set()
    if match["half"]:
        return {hour % 12 * 60 + minute + (720 if match["half"].lower() == "p" else 0)} if hour <= 12 else set()
    if match["noon"] or match["midnight"]:
        return {720 if match["noon"] else 0}
    return {hour % 24 * 60 + minute} | (
        {(hour % 12 + 12) * 60 + minute, hour % 12 * 60 + minute} if hour <= 12 else set()
    )


def decimal(gold: str, prediction: str, ask: Ask) -> bool:
    r"""Accept an exact value for the decimal that it rounds to, and such a decimal for the exact value.

    A gold decimal states its precision, at least 3 digits. A predicted one must have 3 digits after the point or 4 in
    all, since `0.33` is no third. Values that end within six digits have to be written to their end.

    >>> (decimal("1.73", r"\sqrt{3}", str.__eq__), decimal(r"\sqrt{3}", "1.73", str.__eq__),
    ...  decimal("1/3", "0.333", str.__eq__))
    (True, False, True)
    >>> decimal(r"\frac{1}{16}", "0.063", str.__eq__), decimal("2/3", "0.666", str.__eq__)
    (False, False)
    """
    if is_decimal(gold) == is_decimal(prediction):
        return False
    written, exact = (gold, prediction) if is_decimal(gold) else (prediction, gold)
    if "." not in written:
        return False
    places = len(written) - written.index(".") - 1
    digits = len(re.sub(r"\D", "", written).lstrip("0"))
    enough = digits >= 3 if written is gold else (places >= 3 or digits >= 4) and digits >= 3
    return enough and _rounds_to(exact, written, places)


def _rounds_to(exact: str, written: str, places: int) -> bool:
    import sympy

    from forkpipe.verification.math_reading import read_number

    value = read_number(exact)
    if value is None or value.atoms(sympy.Float):
        return False
    million = sympy.Integer(10) ** 6
    if value.is_Rational and (value * million).is_Integer:
        return False
    difference = abs(value - sympy.Rational(written)).evalf(places + 25)
    return bool(difference <= sympy.Rational(1, 2 * 10**places))


def approximation(gold: str, prediction: str, ask: Ask) -> bool:
    r"""Read `exact \\approx decimal` as the exact value.

    The decimal of a gold answer, and that of a prediction which it is compared with, is at most 1 % from the exact
    value. A prediction alone may have rounded its exact value wrongly.

    >>> (approximation(r"\frac{2}{3} \approx 0.667", r"\frac{2}{3}", str.__eq__),
    ...  approximation(r"\frac{2}{3}", r"\frac{2}{3} \approx 0.6", str.__eq__))
    (True, True)
    >>> (approximation(r"3 \approx 4", "3", str.__eq__), approximation("0.6", r"\frac{2}{3} \approx 0.6", str.__eq__))
    (False, False)
    """
    sides = [_APPROXIMATELY.split(side) for side in (gold, prediction)]
    if sorted(map(len, sides))[-1] != 2 or not all(part for side in sides for part in side):
        return False
    checked = [side for side in sides if len(side) == 2] if len(sides[0]) == 2 else []
    return all(_is_near(*side) for side in checked) and ask(sides[0][0], sides[1][0])


def _is_near(exact: str, written: str) -> bool:
    from forkpipe.verification.math_reading import read_number

    values = read_number(exact), read_number(written)
    return None not in values and bool(abs(values[0] - values[1]) <= abs(values[0]) / 100)


RULES = (
    Rule("thousands", thousands),
    Rule("decimal-comma", decimal_comma),
    Rule("scientific", scientific),
    Rule("mixed-number", mixed_number),
    Rule("repeating-decimal", repeating),
    Rule("base", base),
    Rule("number-words", number_words),
    Rule("time-of-day", time_of_day),
    Rule("decimal", decimal, reads=True),
    Rule("approximation", approximation, reads=True),
)
GUARDS = (Guard("other-base", other_base, ("base",)), Guard("other-time", other_time, ("time-of-day",)))
