r"""Split a trace into thinking, solution and answer, and count its values.

Every pattern is bounded or matches disjoint stretches, so the time is linear in the length of the text.
"""

import itertools
import re
from collections import Counter

from forkpipe.core.responses import boxes_of, split_reasoning
from forkpipe.strategies.vocabulary import is_prose

ANY_TAG = re.compile(r"</?\|?[A-Za-z_]{3,40}[0-9]{0,3}\|?>")  # <think>, </think>, <think3>, <|im_end|>
_SHORTEST_SOLUTION = 10
_OPENS_BOX = re.compile(r"\\(?:boxed|fbox)\s*\{(?:\s*\})?")


def split_thinking(text: str) -> tuple[str, str]:
    """Return (thinking, solution); a trace with a solution of fewer than ten words is all solution."""
    thinking, solution = split_reasoning(text)
    is_solution = len(solution.split(maxsplit=_SHORTEST_SOLUTION)) >= _SHORTEST_SOLUTION
    return (thinking, solution) if is_solution else ("", text)


def split_boxed(text: str) -> tuple[str, list[str]]:
    r"""Return a text without its outermost boxes, and the contents of the boxes.

    >>> split_boxed(r"so x = 2 \boxed{\frac{1}{2}}.")
    ('so x = 2  .', ['\\frac{1}{2}'])
    """
    boxes = boxes_of(text)
    starts = [0, *(box.end for box in boxes)]
    ends = [*(box.start for box in boxes), len(text)]
    outside = " ".join(text[start:end] for start, end in zip(starts, ends, strict=True))
    # Blank boxes and boxes that are never closed are left: their content stays.
    return _OPENS_BOX.sub("", outside), [box.inside for box in boxes]


_NUMBER = re.compile(r"(?<![0-9.])[0-9]{1,3}(?:,[0-9]{3}){1,8}(?![0-9,])|[0-9]+(?:\.[0-9]+)?")
_FRACTION = re.compile(r"\\[dt]?frac\s?\{\s?([0-9]{1,20})\s?\}\s?\{\s?([0-9]{1,20})\s?\}")


def count_values(text: str) -> Counter[str]:
    r"""Count the numbers in a text, in one notation; a numeric \frac is one value.

    >>> sorted(count_values(r"1,250 + 0.50 = \frac{5}{6}, 007"))
    ['0.5', '1250', '5/6', '7']
    """
    counts = Counter(f"{_plain(match[1])}/{_plain(match[2])}" for match in _FRACTION.finditer(text))
    counts.update(_numbers(_FRACTION.sub(" ", text)))
    return counts


def count_values_produced(text: str) -> Counter[str]:
    """Count the values of a solution, and in bare notation also the pairs of one value and the next."""
    values = count_values(text)
    if is_prose(text):
        # A single digit is mostly the number of a step, an exponent or a coefficient.
        return Counter({value: times for value, times in values.items() if len(value) > 1})
    # Bare notation is mostly numbers; their order shows how they were computed.
    values.update(f"{first} {second}" for first, second in itertools.pairwise(_numbers(text)))
    return values


def _numbers(text: str) -> list[str]:
    return [_plain(match.group()) for match in _NUMBER.finditer(text.replace("{,}", ","))]


def _plain(number: str) -> str:
    whole, _, decimals = number.replace(",", "").partition(".")
    whole, decimals = whole.lstrip("0") or "0", decimals.rstrip("0")
    return f"{whole}.{decimals}" if decimals else whole
