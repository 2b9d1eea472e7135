r"""Answers of several parts: lists, sets, tuples, and their order."""

import re
from itertools import product
from typing import Literal

from forkpipe.verification.rules.base import Ask, Guard, Rule
from forkpipe.verification.text import inside, split_top

MOST_ELEMENTS = 24
"""Longer lists are left to math-verify: every prediction may be asked about with every gold element."""

_SEPARATOR = re.compile(r"\s*(?:[,;]\s*(?:and|or)\b|[,;]|\band\b|\bor\b)\s*")
_PART = re.compile(r"(?:^|(?<=[\s,;]))\(?(?:part\s+)?([a-h]|[1-9]|i{1,3}|iv|v)\)\s*[:.]?\s*", re.IGNORECASE)
_SEQUENCES = (list("abcdefgh"), list("123456789"), ["i", "ii", "iii", "iv", "v"])

Kind = Literal["list", "set", "tuple"]


def elements(text: str) -> tuple[Kind, list[str]] | None:
    r"""Return what the answer is a collection of; None for a single answer.

    A tuple has an order. `(1, 2)` can be an interval too; what it is compared with says which.

    >>> elements(r"\{1, 2\}"), elements("3 and 4"), elements("(1, -2)"), elements("(1, 2), (3, 4)")
    (('set', ['1', '2']), ('list', ['3', '4']), ('tuple', ['1', '-2']), ('list', ['(1, 2)', '(3, 4)']))
    >>> elements("1,000") is None, elements("x + 1") is None
    (True, True)
    """
    if (within := inside(text, r"\{", r"\}")) is not None:
        return "set", split_list(within)
    if (within := inside(text, "(", ")")) is not None and len(found := split_list(within)) > 1:
        return "tuple", found
    if (within := inside(text, "[", "]")) is not None and len(found := split_list(within)) > 2:
        return "tuple", found
    found = split_list(text)
    if len(found) > 1 and not re.fullmatch(r"-?\d{1,3}(?:,\d{3})+(?:\.\d+)?", text):
        return "list", found
    return None


def split_list(text: str) -> list[str]:
    """Split at commas, semicolons, "and" and "or"; the text alone where a part would be empty or they are too many."""
    parts = split_top(text, _SEPARATOR)
    return parts if all(parts) and len(parts) <= MOST_ELEMENTS else [text]


def collections(gold: str, prediction: str, ask: Ask) -> bool:
    r"""Compare element by element: tuples in their order, sets and lists of solutions in any.

    >>> collections(r"\{1, 2, 3\}", "3, 2 and 1", str.__eq__), collections("(1, 2)", "(2, 1)", str.__eq__)
    (True, False)
    >>> collections("1, 2", "1, 2, 3", str.__eq__), collections("(1, 2)", r"\{1, 2\}", str.__eq__)
    (False, False)
    """
    expected, given = elements(_member(gold)), elements(_member(prediction))
    if expected is None or given is None:
        if expected is not None and expected[0] == "set" and len(expected[1]) == 1:
            return ask(expected[1][0], _member(prediction))
        if given is not None and given[0] == "set" and len(given[1]) == 1:
            return ask(_member(gold), given[1][0])
        return (_member(gold), _member(prediction)) != (gold, prediction) and ask(_member(gold), _member(prediction))
    if all(part.startswith("(") for part in expected[1] + given[1]):  # solutions: one given twice is one
        expected, given = ((kind, _distinct(parts)) for kind, parts in (expected, given))
    kinds = {expected[0], given[0]}
    if len(expected[1]) != len(given[1]) or kinds == {"set", "tuple"}:
        return False
    if kinds == {"list", "tuple"} and any(part.startswith("(") for part in expected[1] + given[1]):
        return False
    if "tuple" in kinds:
        return all(ask(one, other) for one, other in zip(expected[1], given[1], strict=True))
    return _matched(expected[1], given[1], ask)


def _distinct(parts: list[str]) -> list[str]:
    return list({part.replace(" ", ""): part for part in parts}.values())


_MEMBER = re.compile(r"(?:\([A-Za-z, ]{1,20}\)|[A-Za-z](?:_\{?\w\}?)?|\\[a-z]+)\s*\\in\s*(?=\\\{)")


def _member(text: str) -> str:
    """Leave out what is said to be in a set: `x in {0, 4}`."""
    return _MEMBER.sub("", text)


def _matched(expected: list[str], given: list[str], ask: Ask) -> bool:
    """Say whether every element has one of its own on the other side; equality is transitive, so greed is no loss."""
    left = list(given)
    for one in expected:
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
    if written != [gold, prediction] and ask(*written):
        return True
    each = [_each_sign(side) for side in (gold, prediction)]
    return each not in ([gold, prediction], written) and ask(*each)


def _each_sign(text: str) -> str:
    r"""Write a tuple with several signs as the points that it stands for if each sign is free.

    >>> _each_sign(r"(\pm 1, \pm 2)"), _each_sign(r"(\pm 1, \mp 2)")
    ('(1, 2), (1, -2), (-1, 2), (-1, -2)', '(\\pm 1, \\mp 2)')
    """
    within = inside(text, "(", ")")
    entries = split_list(within) if within is not None else []
    signed = sum(entry.startswith(r"\pm") for entry in entries)
    if not 2 <= signed <= 3 or r"\mp" in text or text.count(r"\pm") != signed:
        return text
    choices = [[entry[3:].strip(), f"-{entry[3:].strip()}"] if r"\pm" in entry else [entry] for entry in entries]
    return ", ".join(f"({', '.join(point)})" for point in product(*choices))


def _both_signs(text: str) -> str:
    if r"\pm" not in text:
        return text
    if (point := re.fullmatch(r"\\pm\s*\((.+)\)", text)) and len(entries := split_list(point[1])) > 1:
        opposite = (entry[1:] if entry.startswith("-") else f"-({entry})" for entry in entries)
        return f"({point[1]}), ({', '.join(opposite)})"
    parts: list[str] = []
    for part in split_list(text):
        if r"\pm" in part or r"\mp" in part:
            plus = re.sub(r"(^|[=({,]\s*)\\pm\s*", r"\1", part).replace(r"\pm", "+").replace(r"\mp", "-")
            parts += [plus, part.replace(r"\pm", "-").replace(r"\mp", "+")]
        else:
            parts.append(part)
    return ", ".join(" ".join(part.split()).replace("- ", "- ") for part in parts)


def lettered_parts(gold: str, prediction: str, ask: Ask) -> bool:
    """Compare the parts of a question, (a), (b), ..., with each other or with a list in their order.

    >>> lettered_parts("(a) 5 (b) 6", "5, 6", str.__eq__), lettered_parts("(a) 5 (b) 6", "(b) 5 (a) 6", str.__eq__)
    (True, False)
    """
    expected, given = _lettered(gold), _lettered(prediction)
    if expected is None and given is None:
        return False
    values = [expected or _listed(gold), given or _listed(prediction)]
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
    expected, given = elements(gold), elements(prediction)
    if expected is None or given is None or expected[0] != given[0] or len(expected[1]) != len(given[1]):
        return False
    return sorted(expected[1]) != sorted(given[1]) and set(expected[1]) == set(given[1])


RULES = (
    Rule("plus-minus", plus_minus),
    Rule("lettered-parts", lettered_parts),
    Rule("collections", collections),
)
GUARDS = (
    Guard("other-count", other_count),
    Guard("other-part", other_part, ("lettered-parts",)),
)
