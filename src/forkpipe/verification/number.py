"""Numbers with a tolerance: measured or computed values, where the last digits are nobody's business."""

import math
import re
from collections.abc import Sequence

from forkpipe.core.errors import InputError
from forkpipe.core.records import Verdict
from forkpipe.verification.answers import find_answer, gold_answer
from forkpipe.verification.plain import parse_decimal

_NUMBER = re.compile(r"[-+−]?\s*(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)?(?:\.[0-9]+)?(?:\s*[eE]\s*[-+]?[0-9]{1,3})?")
_POWER = re.compile(r"\s*(?:\\times|\\cdot|[x×*])\s*10\s*\^\s*\{?\s*([-+−]?[0-9]{1,3})\s*\}?")
_FRACTION = re.compile(r"\\[dt]?frac\s*\{\s*([-+]?[0-9.]+)\s*\}\s*\{\s*([0-9.]+)\s*\}|([-+]?[0-9.]+)\s*/\s*([0-9.]+)")


class NumberVerifier:
    r"""Says whether a number is within a tolerance of the gold number; units and words after it are ignored.

    >>> verifier = NumberVerifier(relative=0.01)
    >>> [v.verdict for v in verifier.verify(["3.14"] * 2, [r"\boxed{3.15 \text{ m}}", r"\boxed{3.2}"], [False, False])]
    ['correct', 'wrong']
    """

    name = "number"
    version = "1"

    def __init__(self, relative: float = 1e-6, absolute: float = 0.0) -> None:
        """Make a verifier; a number passes if it is within either tolerance of the gold number.

        Args:
            relative: share of the gold number, at least 0.
            absolute: distance from it, at least 0.

        Raises:
            InputError: a tolerance is negative or no number.
        """
        for name, value in (("relative", relative), ("absolute", absolute)):
            if not value >= 0 or math.isinf(value):
                raise InputError(f"verification {name} is {value}, expected a number of at least 0")
        self._relative = relative
        self._absolute = absolute

    def verify(self, gold: Sequence[str], responses: Sequence[str], truncated: Sequence[bool]) -> list[Verdict]:
        """Return one verdict a response, in order; ValueError if the three differ in length."""
        return [self._verdict(*row) for row in zip(gold, responses, truncated, strict=True)]

    def check_gold(self, golds: Sequence[str]) -> list[bool]:
        """Say of each gold answer whether it begins with a number."""
        return [read_float(gold_answer(gold)) is not None for gold in golds]

    def close(self) -> None:
        """Do nothing: there are no workers."""

    def _verdict(self, gold: str, response: str, truncated: bool) -> Verdict:
        if truncated:
            return Verdict("truncated")
        expected = read_float(gold_answer(gold))
        if expected is None:
            return Verdict("unparsed", rule="gold-unparsed")
        answer = find_answer(response)
        value = read_float(answer.text) if answer else None
        if answer is None or value is None:
            return Verdict("unparsed", answer.text if answer else "", "", answer.found_in if answer else "")
        close = math.isclose(value, expected, rel_tol=0, abs_tol=max(self._absolute, self._relative * abs(expected)))
        return Verdict("correct" if close else "wrong", answer.text, "tolerance", answer.found_in)


def read_float(text: str) -> float | None:
    r"""Return the number with which a text begins, None where it begins with none.

    >>> read_float("-1,234.5 m"), read_float(r"3 \times 10^{8}"), read_float(r"\frac{1}{4}"), read_float("about 3")
    (-1234.5, 300000000.0, 0.25, None)
    """
    text = text.strip().strip("$").strip().removeprefix(r"\$").strip()
    plain = parse_decimal(text)
    try:
        if plain is not None:
            return float(plain)
        if fraction := _FRACTION.match(text):
            over, under = (fraction[1], fraction[2]) if fraction[1] else (fraction[3], fraction[4])
            return float(over) / float(under)
        number = _NUMBER.match(text)
        if number is None or not re.search(r"[0-9]", number[0]):
            return None
        value = float(re.sub(r"[\s,]", "", number[0]).replace("−", "-"))
        power = _POWER.match(text, number.end())
        value = value * 10.0 ** int(power[1].replace("−", "-")) if power else value
    except (ValueError, OverflowError, ZeroDivisionError):
        return None
    return value if math.isfinite(value) else None
