r"""Names of values: `x = 1`, `f(n) = n^2`, `AB = 5`, `min = 2`."""

import re
from typing import NamedTuple

from forkpipe.verification.rules.base import Ask, Guard, Rule
from forkpipe.verification.rules.lists import MOST_ELEMENTS, elements, split_list
from forkpipe.verification.text import inside, is_decimal, split_top

_GREEK = r"\\(?:alpha|beta|gamma|delta|epsilon|theta|lambda|mu|rho|sigma|tau|phi|varphi|omega|Delta|ell)"
_SYMBOL = rf"(?:[A-Za-z]|{_GREEK})(?:_\s*(?:\{{[^{{}}]*\}}|\w))?'*"
_NAME = re.compile(
    rf"{_SYMBOL}"
    rf"|{_SYMBOL}\s*\(\s*[^()]{{1,12}}\s*\)"  # f(n), P(X = 2)
    r"|\|?\s*(?:m\s*)?(?:\\(?:angle|triangle|overline|overrightarrow)\s*)?\{?[A-Z]{1,4}\}?\s*\|?"  # AB, \angle ABC
    r"|(?:[A-Za-z]{2,}(?:\s+[A-Za-z]{2,}){0,3})"  # min, area
    r"|\|?\\frac\s*\{[A-Z]{2}\}\s*\{[A-Z]{2}\}\|?"
    rf"|[A-Z]_\{{[A-Z]+\}}"
    rf"|{_SYMBOL}(?:\s*:\s*{_SYMBOL})+"  # V_1 : V_2
)
_COMPUTED = re.compile(r"(?:[\d.\s+*/^(){}!-]|\\(?:frac|sqrt|cdot|times|pi|binom)\b){3,}|\d!")
"""What was computed, as in `1 + 2 = 3`."""
_ROOT_INDEX = re.compile(r"\s*_\s*(?:\{\s*\d+(?:\s*,\s*\d+)*\s*\}|\d+)$")
_UNKNOWNS = {"x", "y", "z", "t", "r", "k", "m", r"\lambda", r"\alpha"}
"""Letters of which indices count the roots of one equation."""
_FUNCTION_WORDS = {"sin", "cos", "tan", "log", "ln", "mod", "max of", "if", "for"}


class Part(NamedTuple):
    """One part of an answer, with the name it is given, if any."""

    name: str
    value: str


def named_parts(text: str) -> list[Part]:
    r"""Return the parts of an answer with their names; `(x, y) = (1, 2)` are two.

    >>> named_parts("x = 1000, y = 10")
    [Part(name='x', value='1000'), Part(name='y', value='10')]
    >>> named_parts("(x, y) = (1, 2)")[1], named_parts("x + y = 10")
    (Part(name='y', value='2'), [Part(name='', value='x + y = 10')])
    """
    sides = split_top(text, re.compile(r"\s*(?<![<>:!\\])=\s*"))
    if len(sides) == 2 and all(sides):
        names, values = (inside(side, "(", ")") for side in sides)
        if names is not None and values is not None:
            left, right = split_top(names, re.compile(",")), split_top(values, re.compile("[,;]"))
            if len(left) == len(right) > 1 and all(map(is_name, left)):
                return [Part(*pair) for pair in zip(left, right, strict=True)]
    if len(sides) > 2 and elements(sides[-1]) is None:
        # a = b = c = 1; what was computed on the way, as in x = 5 + 6 = 11, is no name
        given = [name for name in sides[:-1] if not (_COMPUTED.fullmatch(name) or is_decimal(name))]
        if all(map(is_name, given)):
            return [Part(name, sides[-1]) for name in given or sides[:1]]
    found: list[Part] = []
    for part in split_list(text):
        match = split_top(part, re.compile(r"\s*(?<![<>:!\\])=\s*|:\s+|\s+is\s+"))
        if len(match) == 2 and is_name(match[0]) and match[1]:
            found.append(Part(" ".join(match[0].split()), match[1]))
        elif found and found[-1].name and len(match) == 1:
            # `x = 1, -2` gives x two values, `a = 4, -8, -10` three
            found.append(Part(found[-1].name, part))
        else:
            found.append(Part("", part))
    return found


def is_name(text: str) -> bool:
    r"""Say whether the text names a value: a variable, `f(n)`, `AB`, `\angle ABC`, a few words, or what was computed.

    >>> is_name("x_{1}"), is_name("f(n)"), is_name("2x"), is_name("x + y")
    (True, True, False, False)
    """
    text = text.strip()
    if _COMPUTED.fullmatch(text):
        return True
    return _NAME.fullmatch(text) is not None and text.lower() not in _FUNCTION_WORDS


def names(gold: str, prediction: str, ask: Ask) -> bool:
    r"""Leave out the names of values, or match values by their names.

    Values of different names have an order, which is theirs; values of one name (`x = 1, x = 2`) have none. The same
    holds of counted things, as in `5 apples and 3 pears`.

    >>> names("x = 1000, y = 10", "10^3, 10", lambda g, p: (g, p) in (("1000", "10^3"), ("10", "10")))
    True
    >>> names("x = 3, y = -2", "-2, 3", str.__eq__), names("x = 3, y = -2", "y = -2, x = 3", str.__eq__)
    (False, True)
    """
    expected, given = named_parts(gold), named_parts(prediction)
    if max(len(expected), len(given)) > MOST_ELEMENTS:
        return False
    our_names, their_names = [part.name for part in expected], [part.name for part in given]
    if not any(our_names) and not any(their_names):
        return False
    if all(our_names) and all(their_names):
        return _by_name(expected, given, ask)
    named, bare = (expected, prediction) if all(our_names) else (given, gold) if all(their_names) else ([], "")
    if not named:
        return False
    flipped: Ask = ask if named is expected else lambda value, other: ask(other, value)
    values = [part.value for part in named]
    if len(named) == 1:
        return flipped(values[0], bare)
    letters = _solved_for(named)
    if len(letters) == 1:
        return flipped(", ".join(values), bare)
    if len(letters) < len(named):
        grouped = _solutions(named, len(letters))
        return grouped is not None and flipped(grouped, bare)
    others = elements(bare)
    return (
        others is not None
        and others[0] != "set"
        and len(others[1]) == len(values)
        and all(flipped(value, other) for value, other in zip(values, others[1], strict=True))
    )


def _solved_for(parts: list[Part]) -> set[str]:
    """Return the different names; `x_1` and `x_2` are two solutions for x."""
    return {_without_index(part.name) for part in parts}


def _without_index(name: str) -> str:
    return _ROOT_INDEX.sub("", name)


def _solutions(parts: list[Part], size: int) -> str | None:
    """Write `x = 1, y = 2, x = 3, y = 4` as two tuples; None where the names do not come in such turns."""
    order = [_without_index(part.name) for part in parts[:size]]
    groups = [parts[start : start + size] for start in range(0, len(parts), size)]
    for group in groups:
        indices = {match[0] if (match := _ROOT_INDEX.search(part.name)) else "" for part in group}
        if [_without_index(part.name) for part in group] != order or len(indices) > 1:
            return None
    return ", ".join(f"({', '.join(part.value for part in group)})" for group in groups)


def _by_name(expected: list[Part], given: list[Part], ask: Ask) -> bool:
    if (roots := _roots(expected, given)) is not None:
        return ask(*roots)
    plain = (
        [re.sub(r"[\s{}]", "", part.name) for part in expected],
        [re.sub(r"[\s{}]", "", part.name) for part in given],
    )
    if len(expected) == 1 == len(given):
        function = any("(" in name for name in plain[0] + plain[1])
        # f(x) = ... and y = ...: two names of the same curve
        return (plain[0] == plain[1] or (function and "y" in plain[0] + plain[1])) and ask(
            expected[0].value, given[0].value
        )
    if sorted(plain[0]) != sorted(plain[1]):
        return False
    if len(set(plain[0])) == 1:
        return ask(", ".join(part.value for part in expected), ", ".join(part.value for part in given))
    if len(set(plain[0])) < len(plain[0]):
        return False
    found = dict(zip(plain[1], given, strict=True))
    return all(ask(part.value, found[name].value) for name, part in zip(plain[0], expected, strict=True))


def _roots(expected: list[Part], given: list[Part]) -> tuple[str, str] | None:
    """Return the values of both as lists, whose order says nothing, where they are roots of one unknown; else None.

    That is `x = 2, x = 3`, `x_1 = 2, x_2 = 3` or `x_{1,2} = 1 \\pm 2`. Indices on both sides can be exchanged only
    between two roots with a letter that is usual for them: `a_1, a_2` are terms of a sequence, and `x_1, x_2, x_3`
    may be the unknowns of a system.
    """
    letters = _solved_for(expected) | _solved_for(given)
    indexed = [all(_ROOT_INDEX.search(part.name) for part in side) for side in (expected, given)]
    one_each = [all("," not in part.name for part in side) for side in (expected, given)]
    if len(letters) != 1 or not any(indexed) or any("(" in part.name for part in expected + given):
        return None
    ordered = [sorted(re.sub(r"[\s{}]", "", part.name) for part in side) for side in (expected, given)]
    if (
        all(indexed)
        and all(one_each)
        and not (letters <= _UNKNOWNS and ordered[0] == ordered[1] and len(expected) == 2)
    ):
        return None
    first, second = (", ".join(part.value for part in side) for side in (expected, given))
    return first, second


def other_order(gold: str, prediction: str) -> bool:
    """Say whether one names several different values and the other lists them without names.

    >>> other_order("x = 1, y = 2", "2, 1"), other_order("x_1 = 1, x_2 = 2", "2, 1")
    (True, False)
    """
    expected, given = named_parts(gold), named_parts(prediction)
    for named, others, bare in ((expected, given, prediction), (given, expected, gold)):
        if len(named) > 1 and all(part.name for part in named) and not any(part.name for part in others):
            return len(_solved_for(named)) == len(named) and elements(bare) is not None
    return False


def other_value(gold: str, prediction: str) -> bool:
    """Say whether both give the same name two numbers that are not the same.

    >>> other_value("f(2) = 7", "f(2) = 8"), other_value("x = 5", "x = 5.0")
    (True, False)
    """
    expected, given = named_parts(gold), named_parts(prediction)
    if len(expected) != 1 or len(given) != 1 or not expected[0].name or expected[0].name != given[0].name:
        return False
    values = expected[0].value, given[0].value
    return all(map(is_decimal, values)) and float(values[0]) != float(values[1])


RULES = (Rule("names", names),)
GUARDS = (Guard("other-order", other_order, ("names",)), Guard("other-value", other_value))
