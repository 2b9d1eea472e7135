r"""Answers of several parts: their names, their order, and what is one of them."""

import re
from typing import Literal, NamedTuple

from forkpipe.verification.rules.base import Ask, Guard, Rule
from forkpipe.verification.text import inside, is_decimal, split_top

MOST_ELEMENTS = 24
"""Longer lists are left to math-verify: every prediction may be asked about with every gold element."""

_SEPARATOR = re.compile(r"\s*(?:[,;]\s*(?:and|or)\b|[,;]|\band\b|\bor\b)\s*")
_GREEK = r"\\(?:alpha|beta|gamma|delta|epsilon|theta|lambda|mu|rho|sigma|tau|phi|varphi|omega|Delta|ell)"
_SYMBOL = rf"(?:[A-Za-z]|{_GREEK})(?:_\s*(?:\{{[^{{}}]*\}}|\w))?'*"
_NAME = re.compile(
    rf"{_SYMBOL}"
    rf"|{_SYMBOL}\s*\(\s*[^()=]{{1,12}}\s*\)"  # f(n)
    r"|\|?\s*(?:m\s*)?(?:\\(?:angle|triangle|overline|overrightarrow)\s*)?\{?[A-Z]{1,4}\}?\s*\|?"  # AB, |AB|, \angle ABC
    r"|(?:[A-Za-z]{2,}(?:\s+[A-Za-z]{2,}){0,3})"  # min, area
    r"|\|?\\frac\s*\{[A-Z]{2}\}\s*\{[A-Z]{2}\}\|?"
    rf"|[A-Z]_\{{[A-Z]+\}}"
)
_FUNCTION_WORDS = {"sin", "cos", "tan", "log", "ln", "mod", "max of", "if", "for"}
_PART = re.compile(r"(?:^|(?<=[\s,;]))\(?(?:part\s+)?([a-h]|[1-9]|i{1,3}|iv|v)\)\s*[:.]?\s*", re.IGNORECASE)
_SEQUENCES = (list("abcdefgh"), list("123456789"), ["i", "ii", "iii", "iv", "v"])

Kind = Literal["list", "set", "tuple"]


class Part(NamedTuple):
    """One part of an answer, with the name it is given, if any."""

    name: str
    value: str


def elements(text: str) -> tuple[Kind, list[str]] | None:
    r"""Return what the answer is a collection of; None for a single answer.

    A tuple has an order. `(1, 2)` can be an interval too; what it is compared with says which.

    >>> elements(r"\{1, 2\}"), elements("3 and 4"), elements("(1, -2)"), elements("(1, 2), (3, 4)")
    (('set', ['1', '2']), ('list', ['3', '4']), ('tuple', ['1', '-2']), ('list', ['(1, 2)', '(3, 4)']))
    >>> elements("1,000") is None, elements("x + 1") is None
    (True, True)
    """
    if (within := inside(text, r"\{", r"\}")) is not None:
        return "set", _split(within)
    if (within := inside(text, "(", ")")) is not None and len(found := _split(within)) > 1:
        return "tuple", found
    if (within := inside(text, "[", "]")) is not None and len(found := _split(within)) > 2:
        return "tuple", found
    found = _split(text)
    if len(found) > 1 and not re.fullmatch(r"-?\d{1,3}(?:,\d{3})+(?:\.\d+)?", text):
        return "list", found
    return None


def _split(text: str) -> list[str]:
    parts = split_top(text, _SEPARATOR)
    return parts if all(parts) and len(parts) <= MOST_ELEMENTS else [text]


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
    if len(sides) > 2 and all(map(is_name, sides[:-1])) and elements(sides[-1]) is None:
        return [Part(name, sides[-1]) for name in sides[:-1]]  # a = b = c = 1
    found: list[Part] = []
    for part in _split(text):
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
    r"""Say whether the text names a value: a variable, `f(n)`, `AB`, `\angle ABC` or a few words.

    >>> is_name("x_{1}"), is_name("f(n)"), is_name("2x"), is_name("x + y")
    (True, True, False, False)
    """
    text = text.strip()
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
    ours, theirs = named_parts(gold), named_parts(prediction)
    if max(len(ours), len(theirs)) > MOST_ELEMENTS:
        return False
    our_names, their_names = [part.name for part in ours], [part.name for part in theirs]
    if not any(our_names) and not any(their_names):
        return False
    if all(our_names) and all(their_names):
        return _by_name(ours, theirs, ask)
    named, bare = (ours, prediction) if all(our_names) else (theirs, gold) if all(their_names) else ([], "")
    if not named:
        return False
    flipped: Ask = ask if named is ours else lambda value, other: ask(other, value)
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
    return {re.sub(r"_\s*(?:\{\d+\}|\d+)$", "", part.name) for part in parts}


def _solutions(parts: list[Part], size: int) -> str | None:
    """Write `x = 1, y = 2, x = 3, y = 4` as two tuples; None where the names do not come in such turns."""
    order = [part.name for part in parts[:size]]
    groups = [parts[start : start + size] for start in range(0, len(parts), size)]
    if any([part.name for part in group] != order for group in groups):
        return None
    return ", ".join(f"({', '.join(part.value for part in group)})" for group in groups)


def _by_name(ours: list[Part], theirs: list[Part], ask: Ask) -> bool:
    plain = [re.sub(r"[\s{}]", "", part.name) for part in ours], [re.sub(r"[\s{}]", "", part.name) for part in theirs]
    if len(ours) == 1 == len(theirs):
        function = any("(" in name for name in plain[0] + plain[1])
        # f(x) = ... and y = ...: two names of the same curve
        return (plain[0] == plain[1] or (function and "y" in plain[0] + plain[1])) and ask(
            ours[0].value, theirs[0].value
        )
    if sorted(plain[0]) != sorted(plain[1]):
        return False
    if len(set(plain[0])) == 1:
        return ask(", ".join(part.value for part in ours), ", ".join(part.value for part in theirs))
    if len(set(plain[0])) < len(plain[0]):
        return False
    found = dict(zip(plain[1], theirs, strict=True))
    return all(ask(part.value, found[name].value) for name, part in zip(plain[0], ours, strict=True))


def collections(gold: str, prediction: str, ask: Ask) -> bool:
    r"""Compare element by element: tuples in their order, sets and lists of solutions in any.

    >>> collections(r"\{1, 2, 3\}", "3, 2 and 1", str.__eq__), collections("(1, 2)", "(2, 1)", str.__eq__)
    (True, False)
    >>> collections("1, 2", "1, 2, 3", str.__eq__), collections("(1, 2)", r"\{1, 2\}", str.__eq__)
    (False, False)
    """
    ours, theirs = elements(_member(gold)), elements(_member(prediction))
    if ours is None or theirs is None:
        if ours is not None and ours[0] == "set" and len(ours[1]) == 1:
            return ask(ours[1][0], _member(prediction))
        if theirs is not None and theirs[0] == "set" and len(theirs[1]) == 1:
            return ask(_member(gold), theirs[1][0])
        return (_member(gold), _member(prediction)) != (gold, prediction) and ask(_member(gold), _member(prediction))
    kinds = {ours[0], theirs[0]}
    if len(ours[1]) != len(theirs[1]) or kinds == {"set", "tuple"}:
        return False
    if kinds == {"list", "tuple"} and any(part.startswith("(") for part in ours[1] + theirs[1]):
        return False
    if "tuple" in kinds:
        return all(ask(one, other) for one, other in zip(ours[1], theirs[1], strict=True))
    return _matched(ours[1], theirs[1], ask)


_MEMBER = re.compile(rf"{_SYMBOL}\s*\\in\s*(?=\\\{{)")


def _member(text: str) -> str:
    """Leave out what is said to be in a set: `x in {0, 4}`."""
    return _MEMBER.sub("", text)


def _matched(ours: list[str], theirs: list[str], ask: Ask) -> bool:
    """Say whether every element has one of its own on the other side; equality is transitive, so greed is no loss."""
    left = list(theirs)
    for one in ours:
        twin = next((other for other in left if one == other), None)
        twin = twin if twin is not None else next((other for other in left if ask(one, other)), None)
        if twin is None:
            return False
        left.remove(twin)
    return True


def plus_minus(gold: str, prediction: str, ask: Ask) -> bool:
    r"""Write a plus-minus as the two values it stands for.

    >>> plus_minus(r"1 \pm \sqrt{19}", r"1 + \sqrt{19}, 1 - \sqrt{19}", str.__eq__)
    True
    """
    written = [_both_signs(side) for side in (gold, prediction)]
    return written != [gold, prediction] and ask(*written)


def _both_signs(text: str) -> str:
    if r"\pm" not in text:
        return text
    parts: list[str] = []
    for part in _split(text):
        if r"\pm" in part or r"\mp" in part:
            plus = re.sub(r"(^|[=({]\s*)\\pm\s*", r"\1", part).replace(r"\pm", "+").replace(r"\mp", "-")
            parts += [plus, part.replace(r"\pm", "-").replace(r"\mp", "+")]
        else:
            parts.append(part)
    return ", ".join(" ".join(part.split()).replace("- ", "- ") for part in parts)


def lettered_parts(gold: str, prediction: str, ask: Ask) -> bool:
    """Compare the parts of a question, (a), (b), ..., with each other or with a list in their order.

    >>> lettered_parts("(a) 5 (b) 6", "5, 6", str.__eq__), lettered_parts("(a) 5 (b) 6", "(b) 5 (a) 6", str.__eq__)
    (True, False)
    """
    ours, theirs = _lettered(gold), _lettered(prediction)
    if ours is None and theirs is None:
        return False
    values = [ours or _listed(gold), theirs or _listed(prediction)]
    first, second = values
    return (
        first is not None
        and second is not None
        and len(first) == len(second)
        and all(ask(one, other) for one, other in zip(first, second, strict=True))
    )


def _listed(text: str) -> list[str] | None:
    found = elements(text)
    return found[1] if found is not None and found[0] != "set" else None


def _lettered(text: str) -> list[str] | None:
    marks = list(_PART.finditer(text))
    if len(marks) < 2 or marks[0].start() != 0:
        return None
    letters = [mark[1].lower() for mark in marks]
    if not any(letters == sequence[: len(letters)] for sequence in _SEQUENCES):
        return None
    ends = [mark.start() for mark in marks[1:]] + [len(text)]
    values = [
        re.sub(r"(?:[,;.]|\band\b|\s)+$", "", text[mark.end() : end]) for mark, end in zip(marks, ends, strict=True)
    ]
    return values if all(values) else None


def other_order(gold: str, prediction: str) -> bool:
    """Say whether one names several different values and the other lists them without names.

    >>> other_order("x = 1, y = 2", "2, 1"), other_order("x_1 = 1, x_2 = 2", "2, 1")
    (True, False)
    """
    ours, theirs = named_parts(gold), named_parts(prediction)
    if len(ours) != len(theirs) or len(ours) < 2 or bool(ours[0].name) == bool(theirs[0].name):
        return False
    named = ours if ours[0].name else theirs
    return all(part.name for part in named) and len(_solved_for(named)) == len(named)


def other_value(gold: str, prediction: str) -> bool:
    """Say whether both give the same name two numbers that are not the same.

    >>> other_value("f(2) = 7", "f(2) = 8"), other_value("x = 5", "x = 5.0")
    (True, False)
    """
    ours, theirs = named_parts(gold), named_parts(prediction)
    if len(ours) != 1 or len(theirs) != 1 or not ours[0].name or ours[0].name != theirs[0].name:
        return False
    values = ours[0].value, theirs[0].value
    return all(map(is_decimal, values)) and float(values[0]) != float(values[1])


def other_part(gold: str, prediction: str) -> bool:
    """Say whether both have lettered parts: these are compared one by one.

    >>> other_part("(a) 5 (b) 6", "(a) 6 (b) 5")
    True
    """
    return _lettered(gold) is not None and _lettered(prediction) is not None


def other_count(gold: str, prediction: str) -> bool:
    """Say whether two bare lists of the same length hold the same values, but not as often.

    >>> other_count("1, 1, 2", "1, 2, 2"), other_count("1, 2", "2, 1")
    (True, False)
    """
    ours, theirs = elements(gold), elements(prediction)
    if ours is None or theirs is None or ours[0] != theirs[0] or len(ours[1]) != len(theirs[1]):
        return False
    return sorted(ours[1]) != sorted(theirs[1]) and set(ours[1]) == set(theirs[1])


RULES = (
    Rule("plus-minus", plus_minus),
    Rule("lettered-parts", lettered_parts),
    Rule("names", names),
    Rule("collections", collections),
)
GUARDS = (
    Guard("other-count", other_count),
    Guard("other-order", other_order, ("names",)),
    Guard("other-value", other_value),
    Guard("other-part", other_part, ("lettered-parts",)),
)
