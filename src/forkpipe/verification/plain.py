r"""Plain numbers: what exact arithmetic settles without math-verify, which takes milliseconds a question.

Pure text work, fast enough for the process that asks.
"""

import re
from decimal import Decimal
from fractions import Fraction

_DIGITS_AT_MOST = 4000
"""Python refuses to read integers of more than 4300 digits."""
_DELIMITERS = (("$$", "$$"), ("$", "$"), (r"\(", r"\)"), (r"\[", r"\]"))
_TEXT_COMMAND = re.compile(r"\\(?:text|textbf|mathrm|mathbf|mbox)\s*\{([^{}]*)\}")
_DECIMAL = re.compile(r"[+\-−]?[0-9]*\.[0-9]{1,6}")
_INTEGER = re.compile(
    r"(?P<sign>[+\-−]?)\s*"
    r"(?P<digits>[1-9][0-9]{0,2}(?:(?:,\\!|,|\{,\}|\\,)[0-9]{3})+|[0-9]+)"
    r"(?:\.0*)?"
)
_FRACTION = re.compile(
    r"(?P<sign>[-−]?)\s*(?:\\[dtc]?frac\s*(?:\{\s*(?P<over>-?\d{1,30})\s*\}|(?P<o>\d))\s*"
    r"(?:\{\s*(?P<under>\d{1,30})\s*\}|(?P<u>\d))|(?P<above>\d{1,30})\s*/\s*(?P<below>\d{1,30}))"
)
_LONG_DECIMAL = re.compile(r"[+\-−]?\d{0,40}\.\d{1,100}")
_OPENING = ("(", "[")
_BRACKETS = set("()[]")
_MILLION = 10**6


def parse_integer(text: str) -> int | None:
    r"""Return the integer that `text` writes, or None where it is anything else or not certain.

    Reads signs, leading zeros, commas between groups of three, `5.` and `5.0`, a leading currency sign, and sees
    through `$...$`, `\(...\)` and `\text{...}`. Units, percent signs, bases and expressions are not certain.

    >>> parse_integer("$1,000$"), parse_integer("073"), parse_integer(r"\text{-5.0}"), parse_integer("1,00")
    (1000, 73, -5, None)
    """
    if len(text) > _DIGITS_AT_MOST:
        return None
    bare = _without_wrapping(text)
    for currency in (r"\$", "$"):
        bare = bare.removeprefix(currency)
    match = _INTEGER.fullmatch(bare.strip())
    if match is None:
        return None
    value = int(re.sub(r"[^0-9]", "", match["digits"]))
    return -value if match["sign"] in ("-", "−") else value


def parse_decimal(text: str) -> Decimal | None:
    r"""Return the number that `text` writes as an integer (see `parse_integer`) or as digits with a point, else None.

    At most six digits after the point and fifteen in all, so that no two of them are equal up to rounding. Numbers set
    as text are left out: they may be words, and are to math-verify.

    >>> parse_decimal("1,000") == parse_decimal("1000.0"), parse_decimal("-.50"), parse_decimal("0.3333333")
    (True, Decimal('-0.50'), None)
    """
    integer = None if _TEXT_COMMAND.search(text[:_DIGITS_AT_MOST]) else parse_integer(text)
    if integer is not None:
        return Decimal(integer)
    match = _DECIMAL.fullmatch(text[:40].strip()) if len(text) <= 40 else None
    return None if match is None or len(re.sub(r"\D", "", match[0])) > 15 else Decimal(match[0].replace("−", "-"))


def _without_wrapping(text: str) -> str:
    """Strip whitespace, math delimiters and text commands around the whole of `text`, however they are nested."""
    while True:
        inner = text.strip()
        for opening, closing in _DELIMITERS:
            if len(inner) > len(opening) + len(closing) and inner.startswith(opening) and inner.endswith(closing):
                inner = inner[len(opening) : -len(closing)].strip()
                break
        if command := _TEXT_COMMAND.fullmatch(inner):
            inner = command[1]
        if inner == text:
            return inner
        text = inner


def settle(gold: str, prediction: str) -> bool | None:
    r"""Say whether two plain numbers are equal; None where one is no plain number, or rounding has to decide.

    Two fractions and two short decimals are compared exactly. Of two long decimals, one must be the other rounded or
    cut. Tuples and intervals in the same brackets are compared number by number. A decimal against a fraction that has
    no end within six digits is left to the rules.

    >>> settle(r"\frac{1}{2}", "0.5"), settle(r"-\dfrac{2}{4}", "-1/2"), settle("1/3", "1/4"), settle("1/3", "0.333")
    (True, True, False, None)
    >>> settle("0.6666667", "0.66666667"), settle("1.53978589", "1.53978590"), settle("x", "1")
    (True, False, None)
    >>> settle("(1, 2]", "(1,2.0]"), settle("(1, 2)", "(2, 1)"), settle("(1, x)", "(1, x)")
    (True, False, None)
    """
    if gold[:1] in _OPENING and gold[:1] == prediction[:1] and gold[-1:] == prediction[-1:]:
        parts = gold[1:-1].split(","), prediction[1:-1].split(",")
        if len(parts[0]) == len(parts[1]) > 1 and not _BRACKETS.intersection(gold[1:-1] + prediction[1:-1]):
            settled = [settle(*pair) for pair in zip(*parts, strict=True)]
            return False if False in settled else None if None in settled else True
    expected, found = _decimal(gold), _decimal(prediction)
    if expected is not None and found is not None:
        return expected == found or _is_shortened(expected, found) or _is_shortened(found, expected)
    one = _fraction(gold) if expected is None else Fraction(expected)
    other = _fraction(prediction) if found is None else Fraction(found)
    if one is None or other is None:
        return None
    exact = all(number is None or number == int(number) for number in (expected, found))
    ends = all((number * _MILLION).denominator == 1 for number in (one, other))
    return one == other or (False if exact or ends else None)


def _decimal(text: str) -> Decimal | None:
    number = parse_decimal(text)
    if number is None and len(text) < 150 and _LONG_DECIMAL.fullmatch(bare := text.strip().strip("$").strip()):
        return Decimal(bare.replace("−", "-"))
    return number


def _is_shortened(long: Decimal, short: Decimal) -> bool:
    """Say whether a decimal, rounded or cut to the length of a shorter one of at least six places, is that one."""
    exponent = short.as_tuple().exponent
    if not isinstance(exponent, int) or exponent > -6 or len(long.as_tuple().digits) > 100:
        return False
    places = Decimal(1).scaleb(exponent)
    shortened = (long.quantize(places, rounding=way) for way in ("ROUND_HALF_UP", "ROUND_DOWN"))
    return any(number == short for number in shortened)


def _fraction(text: str) -> Fraction | None:
    match = _FRACTION.fullmatch(text.strip().strip("$").strip()) if len(text) < 100 else None
    if match is None:
        return None
    over = int(match["over"] or match["o"] or match["above"])
    under = int(match["under"] or match["u"] or match["below"])
    return None if under == 0 else Fraction(-over if match["sign"] else over, under)
