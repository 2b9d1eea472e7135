"""Whether a program's output, or a function's value, is the expected one.

| rule | output | value |
|---|---|---|
| lcb | stripped lines are equal, or equal as decimal numbers word by word | `==`, tuples as lists |
| tokens | words are equal | as lcb |
| floats | words are equal, or within a tolerance where one is written with a point or exponent | floats within it |
| exact | every character | types too, tuples are no lists |
| any_order | the lines in any order | a list in any order |

`python`, which asserts use, is `==` as Python has it. Only plain data is compared, and nothing that a program wrote is
evaluated, expanded or hashed in numbers that it could choose to collide.
"""

import json
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

from forkpipe.sandbox.values import encode, untagged

LONGEST_NUMBER = 1000
"""Characters; longer numbers are compared as text."""
SLACK = 1 << 20
"""Characters that an output or value may be longer than any that is right, before it is different by its length alone:
splitting megabytes into lines or words takes a hundred times as much memory."""
MOST_PAIRED = 2000
"""Elements of lists in any order that are compared each with each, where they are not written alike."""
MOST_HASHED = 1000
"""Elements of a frozen set or tuple that is itself an element or a key."""


def same_output(rule: str, expected: str, output: str, rel_tol: float = 1e-6, abs_tol: float = 1e-6) -> bool:
    r"""Say whether an output is the expected one.

    >>> same_output("lcb", "1.0 2\n", " 1 2.00 \n\n"), same_output("lcb", "0.3333333", "0.3333334")
    (True, False)
    >>> same_output("floats", "0.3333333", "0.3333334"), same_output("tokens", "a b", "a\nb")
    (True, True)
    """
    if rule == "exact":
        return expected == output
    output = output.strip()
    if len(output) > SLACK + 16 * len(expected):
        return False
    if rule == "tokens":
        return expected.split() == output.split()
    if rule == "floats":
        wanted, given = expected.split(), output.split()
        return len(wanted) == len(given) and all(
            a == b or _close_words(a, b, rel_tol, abs_tol) for a, b in zip(wanted, given, strict=True)
        )
    if output.count("\n") != expected.strip().count("\n"):
        return False
    lines, theirs = _lines(expected), _lines(output)
    if rule == "any_order":
        return Counter(lines) == Counter(theirs)
    return len(lines) == len(theirs) and all(a == b or _equal_numbers(a, b) for a, b in zip(lines, theirs, strict=True))


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.strip().split("\n")]


def _equal_numbers(expected: str, line: str) -> bool:
    words, theirs = expected.split(), line.split()
    if len(words) != len(theirs):
        return False
    try:
        return all(_decimal(a) == _decimal(b) for a, b in zip(words, theirs, strict=True))
    except InvalidOperation:
        return False


def _decimal(word: str) -> Decimal:
    """Return a number without expanding its exponent; InvalidOperation where it is none or too long."""
    if len(word) > LONGEST_NUMBER:
        raise InvalidOperation
    return Decimal(word)


def _close_words(expected: str, word: str, rel_tol: float, abs_tol: float) -> bool:
    if max(len(expected), len(word)) > LONGEST_NUMBER:
        return False
    if not any(mark in text for text in (expected, word) for mark in ".eE"):
        return False
    try:
        return _close(float(expected), float(word), rel_tol, abs_tol)
    except ValueError:
        return False


def _close(expected: float, value: float, rel_tol: float, abs_tol: float) -> bool:
    try:
        return expected == value or abs(expected - value) <= max(abs_tol, rel_tol * abs(expected))
    except OverflowError:
        return False


def same_value(rule: str, expected: Any, tagged: Any, rel_tol: float = 1e-6, abs_tol: float = 1e-6) -> bool:
    """Say whether a value is the expected one; ValueError where it is none that `values.encode` writes.

    Args:
        rule: see the module.
        expected: plain data.
        tagged: parsed JSON of `values.encode`.
        rel_tol: of floats.
        abs_tol: of floats.

    >>> same_value("lcb", [1, [2]], {"t": [1, {"t": [2.0]}]}), same_value("exact", [1], [1.0])
    (True, False)
    """
    try:
        if rule == "any_order" and isinstance(expected, list | tuple):
            return _same_in_any_order(expected, _items(tagged))
        return _Comparison(rule, rel_tol, abs_tol).same(expected, tagged)
    except (TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ValueError(f"no value as the sandbox writes it: {type(error).__name__}") from error


def _items(tagged: Any) -> list[Any] | None:
    if isinstance(tagged, dict):
        tagged = tagged.get("t")
    return tagged if isinstance(tagged, list) else None


def _same_in_any_order(expected: Sequence[Any], items: list[Any] | None) -> bool:
    """Compare as text first; else match items one by one, where each expected value takes the first that is left."""
    if items is None or len(items) != len(expected):
        return False
    if Counter(map(_written, items)) == Counter(_written(json.loads(encode(value))) for value in expected):
        return True
    if len(items) > MOST_PAIRED:
        return False
    comparison = _Comparison("lcb", 0.0, 0.0)
    left = list(items)
    for value in expected:
        match = next((at for at, item in enumerate(left) if comparison.same(value, item)), None)
        if match is None:
            return False
        left.pop(match)
    return True


def _written(tagged: Any) -> str:
    return json.dumps(_listed(tagged))


def _listed(tagged: Any) -> Any:
    """Return a tagged value with its tuples as lists."""
    if isinstance(tagged, dict):
        return _listed(tagged["t"]) if "t" in tagged else tagged
    return [_listed(item) for item in tagged] if isinstance(tagged, list) else tagged


class _Comparison:
    def __init__(self, rule: str, rel_tol: float, abs_tol: float) -> None:
        self._exact = rule == "exact"
        self._tuples_are_lists = rule not in ("exact", "python")
        self._tolerance = (rel_tol, abs_tol) if rule == "floats" else None

    def same(self, expected: Any, tagged: Any) -> bool:
        if isinstance(tagged, dict):
            ((tag, inside),) = tagged.items()
            return self._same_tagged(expected, tag, inside)
        if isinstance(tagged, list):
            return (
                isinstance(expected, list) or (self._tuples_are_lists and isinstance(expected, tuple))
            ) and self._same_items(expected, tagged)
        return self._same_scalar(expected, tagged)

    def _same_tagged(self, expected: Any, tag: str, inside: Any) -> bool:
        if tag == "t":
            return (
                isinstance(expected, tuple) or (self._tuples_are_lists and isinstance(expected, list))
            ) and self._same_items(expected, inside)
        if tag == "d":
            return isinstance(expected, dict) and self._same_dict(expected, inside)
        if tag in "sz":
            kinds = (set if tag == "s" else frozenset) if self._exact else (set, frozenset)
            return isinstance(expected, kinds) and self._same_set(expected, inside)
        return self._same_scalar(expected, untagged({tag: inside}))

    def _same_items(self, expected: Sequence[Any], items: list[Any]) -> bool:
        return len(expected) == len(items) and all(map(self.same, expected, items))

    def _same_scalar(self, expected: Any, value: Any) -> bool:
        if self._exact and type(expected) is not type(value):
            return False
        if self._tolerance and isinstance(expected, float) and isinstance(value, int | float):
            return _close(expected, value, *self._tolerance)
        return bool(expected == value)

    def _same_dict(self, expected: dict[Any, Any], pairs: list[list[Any]]) -> bool:
        """Look keys up among the expected ones; a dictionary of the given keys could be made to collide."""
        if len(pairs) != len(expected):
            return False
        seen = set()
        for tagged_key, item in pairs:
            key = _hashable(tagged_key)
            if key not in expected or not self.same(expected[key], item):
                return False
            seen.add(key)  # one of the expected keys, so no more and no worse than those
        return len(seen) == len(expected)

    def _same_set(self, expected: set[Any] | frozenset[Any], items: list[Any]) -> bool:
        if len(items) != len(expected):
            return False
        seen = set()
        for item in items:
            value = _hashable(item)
            if value not in expected:
                return False
            seen.add(value)  # one of the expected values, so no more and no worse than those
        return len(seen) == len(expected)


def _hashable(tagged: Any) -> Any:
    inside = next(iter(tagged.values())) if isinstance(tagged, dict) and tagged else None
    if isinstance(inside, list) and len(inside) > MOST_HASHED:
        raise TypeError("an element is too large")
    return untagged(tagged)
