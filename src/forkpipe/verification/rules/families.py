r"""Families of values: general solutions with an integer parameter, residue classes, functions with free constants."""

import re
from itertools import permutations
from typing import Any, NamedTuple

from forkpipe.verification.rules.base import Ask, Guard, Rule
from forkpipe.verification.text import inside, letters_of, renamed, split_top

_SAID = r"[\s,;(]*(?:\b(?:where|for|with|and)\b)?\s*(?:\b(?:any|all|some|every|each|an?)\s+)?"
_INTEGERS = re.compile(
    rf"{_SAID}(?:(?:integers?\s+)?(?P<k>[a-zA-Z])\s*"
    r"(?:\\in\s*\\mathbb\{Z\}|is an(?:y)? integer|is integer|an integer|integer)"
    r"|\bintegers?\s+(?P<named>[a-zA-Z]))\s*\)?$"
)
_CONSTANT = r"[A-Za-z](?:_\s*\{?\d\}?)?"
_KIND = r"(?:arbitrary\s+|real\s+)*(?:constants?|numbers?)"
_CONSTANT_SAID = re.compile(
    rf"{_SAID}(?:{_KIND}\s+(?P<named>{_CONSTANT})"
    rf"|(?P<c>{_CONSTANT})\s*(?:\\in\s*\\mathbb\{{[RC]\}}|(?:is|are)\s+(?:an?\s+|any\s+)?{_KIND}))\s*\)?$"
)
_RESIDUES = r"(?:\\pm\s*)?-?\d+(?:\s*(?:,|\bor\b|\band\b)\s*(?:\\pm\s*)?-?\d+)*"
_CONGRUENCE = re.compile(
    rf"(?:(?P<name>[A-Za-z])\s*\\equiv\s*)?(?P<rest>{_RESIDUES})\s*(?:\(\s*)?"
    r"\\?(?:pmod|bmod|mod)\s*\{?\s*(?P<modulus>\d+)\s*\}?\s*\)?"
)
_FAMILY = re.compile(
    r"(?:(?P<name>[A-Za-z])\s*=\s*)?(?:(?P<modulus>\d+)\s*[kmnt]\s*(?P<rest>[+-]\s*\d+)?"
    r"|(?P<first>-?\d+)\s*\+\s*(?P<times>\d+)\s*[kmnt])"
)
_NAMED = re.compile(r"(?P<name>[A-Za-z]|\\(?:theta|alpha|phi|beta))\s*=\s*(?=[^=]+$)")
_PARAMETERS = ("k", "n", "m", "t")
_FUNCTION = re.compile(r"([A-Za-z])\s*\(\s*([A-Za-z])\s*\)\s*=\s*(.+)|(y)\s*=\s*(.+)")
_FREE = re.compile(r"(?<![A-Za-z\\_])(?:[CcAB]_\s*\{?\d\}?|[CcKkAB](?![a-zA-Z]{2})(?!_))")
r"""Letters that stand for a constant that may have any value, in `f(x) = cx`."""
_POINT_PARAMETERS = ("t", "s", "r", "u", "k", "n", "m")


def without_parameter(text: str) -> str:
    r"""Leave out what says that a letter is an integer.

    >>> without_parameter(r"2k\pi, k \in \mathbb{Z}"), without_parameter("3n for any integer n")
    ('2k\\pi', '3n')
    """
    said = _INTEGERS.search(text)
    return text[: said.start()].strip() if said else text


def integer_parameter(gold: str, prediction: str, ask: Ask) -> bool:
    r"""Leave out "k an integer" and give both sides' parameter one name.

    >>> (integer_parameter(r"2k\pi, k \in \mathbb{Z}", r"2n\pi", str.__eq__),
    ...  integer_parameter(r"2k\pi", r"k\pi", str.__eq__))
    (True, False)
    """
    expected, given = _INTEGERS.search(gold), _INTEGERS.search(prediction)
    left, right = without_parameter(gold), without_parameter(prediction)
    if not (expected and given) and (r"\pi" not in left or not (expected or given)):
        return False
    letters = [
        _letter(said) if said else next(iter(set(_inner_letters(side.split("=")[-1])) & set("kn")), "")
        for said, side in ((expected, left), (given, right))
    ]
    if not all(letters):
        return False
    return ask(left, right if letters[0] == letters[1] else renamed(right, letters[1], letters[0]))


def _letter(said: re.Match[str]) -> str:
    return str(said["k"] or said["named"])


def _inner_letters(text: str) -> set[str]:
    return set(re.sub(r"\\[A-Za-z]+", " ", text))


class _Linear(NamedTuple):
    """The values step * k + start of all integers k."""

    name: str
    step: Any
    start: Any
    declared: bool
    """Whether the text names k an integer."""


def family(gold: str, prediction: str, ask: Ask) -> bool:
    r"""Compare all values of `4k - 1` and `4n + 3` for integers; at least one side has to say that these are meant.

    >>> (family(r"4k - 1, k \in \mathbb{Z}", r"4n + 3, n \in \mathbb{Z}", str.__eq__),
    ...  family("4k - 1", "4k + 3", str.__eq__), family(r"4k - 1, k \in \mathbb{Z}", "4k + 1", str.__eq__))
    (True, False, False)
    """
    if not (_INTEGERS.search(gold) or _INTEGERS.search(prediction)):
        return False
    import sympy

    expected, given = _linear(gold), _linear(prediction)
    if expected is None or given is None or (expected.name and given.name and expected.name != given.name):
        return False
    if abs(sympy.simplify(expected.step / given.step)) != 1:
        return False
    return bool(sympy.simplify((expected.start - given.start) / expected.step).is_integer)


def _linear(text: str) -> _Linear | None:
    import sympy

    from forkpipe.verification.math_reading import read_gold

    said = _INTEGERS.search(text)
    text = without_parameter(text)
    named = _NAMED.match(text)
    readings = [one for one in read_gold(text[named.end() :] if named else text) if not isinstance(one, str)]
    if len(readings) != 1 or not isinstance(readings[0], sympy.Expr) or readings[0].has(sympy.Float):
        return None
    expression = readings[0].doit()
    symbols = list(expression.free_symbols)  # math-verify's symbols have assumptions of their own
    if len(symbols) != 1 or symbols[0].name not in ((_letter(said),) if said else _PARAMETERS):
        return None
    (parameter,) = symbols
    step = sympy.simplify(expression.diff(parameter))
    if step == 0 or step.free_symbols:
        return None
    return _Linear(named["name"] if named else "", step, expression.subs(parameter, 0), said is not None)


def congruence(gold: str, prediction: str, ask: Ask) -> bool:
    r"""Compare residues of the same modulus, with or without the name of what has them.

    >>> (congruence(r"x \equiv 3 \pmod{7}", r"3 \pmod 7", str.__eq__),
    ...  congruence(r"3 \pmod{7}", r"3 \pmod{5}", str.__eq__))
    (True, False)
    >>> congruence(r"x \equiv 1, 4 \pmod 5", r"x \equiv \pm 1 \pmod 5", str.__eq__)
    True
    """
    expected, given = _residue(gold), _residue(prediction)
    if expected is None or given is None or not (_CONGRUENCE.fullmatch(gold) or _CONGRUENCE.fullmatch(prediction)):
        return False
    return expected[1:] == given[1:] and (not expected[0] or not given[0] or expected[0] == given[0])


def _residue(text: str) -> tuple[str, set[int], int] | None:
    r"""Return the name, the residues and the modulus of residue classes, also of `4k + 3`.

    >>> _residue(r"x \equiv 7 \pmod 4"), _residue(r"x = 4k+3, k \in \mathbb{Z}"), _residue("k + 3")
    (('x', {3}, 4), ('x', {3}, 4), None)
    """
    if match := _CONGRUENCE.fullmatch(text):
        modulus, rests = int(match["modulus"]), re.findall(r"(\\pm)?\s*(-?\d+)", match["rest"])
    elif match := _FAMILY.fullmatch(without_parameter(text)):
        modulus = int(match["modulus"] or match["times"])
        rests = [("", (match["rest"] or match["first"] or "0").replace(" ", ""))]
    else:
        return None
    residues = {sign * int(rest) for both, rest in rests for sign in ((1, -1) if both else (1,))}
    return (match["name"] or "", {rest % modulus for rest in residues}, modulus) if modulus else None


def other_modulus(gold: str, prediction: str) -> bool:
    r"""Say whether both are residues, of which math-verify does not read the modulus.

    >>> other_modulus(r"3 \pmod{7}", r"3 \pmod{5}")
    True
    """
    return bool(_CONGRUENCE.fullmatch(gold) and _CONGRUENCE.fullmatch(prediction))


def constants(gold: str, prediction: str, ask: Ask) -> bool:
    r"""Give the free constants of a function, or the parameter of a point on a line, the names of the other side.

    Free are `c`, `k`, `C_1` and the like, and a letter that the answer calls a constant. A letter that stands on both
    sides keeps its name.

    >>> constants("f(x) = cx", "f(x) = kx", str.__eq__), constants("y = Ce^{2x}", "y = Ae^{3x}", str.__eq__)
    (True, False)
    >>> constants("(1+2t, t)", "(1+2s, s)", str.__eq__), constants("f(x) = ax", "f(x) = bx", str.__eq__)
    (True, False)
    """
    sides, said = zip(*map(_without_constant, (gold, prediction)), strict=True)
    letters = [_free_letters(side, declared) for side, declared in zip(sides, said, strict=True)]
    ours, theirs = ([one for one in side if one not in other] for side, other in (letters, letters[::-1]))
    if len(ours) != len(theirs) or len(ours) > 3:
        return False
    if not ours:
        return sides != (gold, prediction) and ask(*sides)
    for order in permutations(ours):
        written = sides[1]
        for number, old in enumerate(theirs):
            written = renamed(written, old, f"\0{number}\0")
        for number, new in enumerate(order):
            written = written.replace(f"\0{number}\0", new)
        if ask(sides[0], written):
            return True
    return False


def _without_constant(text: str) -> tuple[str, str]:
    """Return a text without what says that a letter is a constant, and that letter."""
    said = _CONSTANT_SAID.search(text)
    return (text[: said.start()].strip(), str(said["c"] or said["named"])) if said else (text, "")


def _free_letters(text: str, declared: str) -> list[str]:
    """Return the letters that may have any value, each once, in order."""
    if (within := inside(text, "(", ")")) is not None:
        parts = split_top(within, re.compile(","))
        letters = [letters_of(re.sub(r"(?<=\d)(?=[a-z])", " ", part)) for part in parts]
        used = set().union(*letters)
        return sorted(used) if len(used) == 1 and used <= {*_POINT_PARAMETERS} and letters.count(used) > 1 else []
    function = _FUNCTION.fullmatch(text)
    if function is None:
        return []
    free = [match[0] for match in _FREE.finditer(function[3] or function[5])]
    if function[4]:  # y = kx may be a line whose slope is given
        free = [letter for letter in free if letter[0].isupper() or "_" in letter]
    argument = function[2] or "x"
    known = declared and re.search(rf"(?<![A-Za-z\\]){re.escape(declared)}", function[3] or function[5])
    return list(dict.fromkeys(letter for letter in [*free, *([declared] if known else [])] if letter != argument))


RULES = (
    Rule("integer-parameter", integer_parameter),
    Rule("congruence", congruence),
    Rule("family", family, reads=True),
    Rule("constants", constants),
)
GUARDS = (Guard("other-modulus", other_modulus, ("congruence",)),)
