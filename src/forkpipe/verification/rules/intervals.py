r"""Sets of real numbers: inequalities, intervals and their unions."""

import re
from itertools import pairwise
from typing import NamedTuple

from forkpipe.verification.rules.base import Ask, Rule
from forkpipe.verification.text import inside, is_decimal, split_top

_RELATION = re.compile(r"\s*(\\(?:le|ge|ne)(?![A-Za-z])|<|>)\s*")
_VARIABLE = re.compile(
    r"(?:[A-Za-z]|\\(?:alpha|beta|theta|lambda|mu|phi))(?:_\{?\w+\}?)?|[A-Za-z]\s*\(\s*[A-Za-z]\s*\)"
)
_MEMBER = re.compile(r"^([A-Za-z]|\\[a-z]+)\s*\\in\s*")
_BUILDER = re.compile(r"[A-Za-z](?:\s*\\in\s*\\mathbb\{R\})?\s*(?:\\mid\b|\||:)\s*(.+)")
_REALS = {r"\mathbb{R}", "all real numbers", "all reals"}
_EXCEPT = re.compile(r"^(?:\\mathbb\{R\}|all real numbers|all reals)\s*(?:\\setminus|-|except)\s*(.+)$")
_UNION = re.compile(r"\s*(?:\\cup|\bor\b)\s*")
_LOWEST, _HIGHEST = r"-\infty", r"\infty"


class Piece(NamedTuple):
    """An interval: its ends, and whether each belongs to it."""

    low: str
    low_in: bool
    high: str
    high_in: bool


def as_pieces(text: str) -> tuple[list[Piece], str, bool] | None:
    r"""Return the intervals whose union the text is, its variable, and whether a relation was read; else None.

    >>> as_pieces(r"-2 \le x < 5")
    ([Piece(low='-2', low_in=True, high='5', high_in=False)], 'x', True)
    >>> as_pieces(r"x \ne 2")[0] == as_pieces(r"(-\infty, 2) \cup (2, \infty)")[0]
    True
    >>> as_pieces("x + 1") is None
    True
    """
    variable = ""
    if (within := inside(text, r"\{", r"\}")) is not None and (builder := _BUILDER.match(within)):
        text = builder[1]
    if member := _MEMBER.match(text):
        variable, text = member[1], text[member.end() :]
    if text in _REALS:
        return [Piece(_LOWEST, False, _HIGHEST, False)], variable, True
    if (without := _EXCEPT.match(text)) is not None:
        holes = split_top(without[1].replace(r"\{", "").replace(r"\}", ""), re.compile(r"\s*,\s*|\s+and\s+"))
        holes = [hole.split("=")[-1].strip() for hole in holes]
        return (_around(holes), variable, True) if all(holes) else None
    pieces: list[Piece] = []
    related = False
    for part in split_top(text, _UNION):
        found = _interval(part) or _points(part) or _relations(part)
        if found is None:
            return None
        if isinstance(found, Piece):
            pieces.append(found)
        else:
            related = related or bool(found[1])
            if variable and found[1] and found[1] != variable:
                return None
            pieces, variable = pieces + found[0], found[1] or variable
    if all(piece.low == piece.high for piece in pieces):
        return None  # points alone are a list, see `rules.lists`
    return pieces, variable, related or bool(member)


def _points(text: str) -> tuple[list[Piece], str] | None:
    r"""Return the points of `\{5, 6\}` or of `x = 5`."""
    if (within := inside(text, r"\{", r"\}")) is not None and not re.search(r"\\mid|[|:]", within):
        numbers = split_top(within, re.compile(r"\s*,\s*"))
        return ([Piece(number, True, number, True) for number in numbers], "") if all(numbers) else None
    sides = split_top(text, re.compile(r"\s*=\s*"))
    if len(sides) == 2 and _is_variable(sides[0]) and sides[1]:
        return [Piece(sides[1], True, sides[1], True)], sides[0]
    return None


def _around(holes: list[str]) -> list[Piece]:
    ends = [_LOWEST, *holes, _HIGHEST]
    return [Piece(low, False, high, False) for low, high in pairwise(ends)]


def _interval(text: str) -> Piece | None:
    for opening, closing in (("(", ")"), ("(", "]"), ("[", ")"), ("[", "]")):
        if text.startswith(opening) and text.endswith(closing):
            ends = split_top(text[1:-1], re.compile("[,;]"))
            if len(ends) == 2 and all(ends):
                return Piece(ends[0], opening == "[", ends[1], closing == "]")
    return None


def _relations(text: str) -> tuple[list[Piece], str] | None:
    both = split_top(text, re.compile(r"\s*(?:\band\b|,)\s*"))
    if len(both) == 2:
        return _intersection(both)
    sides = split_top(text, _RELATION)
    signs = [match[1] for match in _RELATION.finditer(text)]
    if len(signs) != len(sides) - 1 or not all(sides):
        return None
    if len(sides) == 3 and (size := inside(sides[1], "|", "|")) is not None and _is_variable(size):
        around = _relations(f"{sides[0]} {signs[0]} {size} {signs[1]} {sides[2]}")
        if around is None or not isinstance(around, tuple):
            return None
        low, low_in, high, high_in = around[0][0]
        return [Piece(_negative(high), high_in, _negative(low), low_in), *around[0]], size
    if len(sides) == 3 and _is_variable(sides[1]) and signs[0][-1] in "<e" and signs[1] in (signs[0], "<", r"\le"):
        if signs[0] in ("<", r"\le"):
            return [Piece(sides[0], signs[0] == r"\le", sides[2], signs[1] == r"\le")], sides[1]
        return None
    if len(sides) == 3 and _is_variable(sides[1]) and all(sign in (">", r"\ge") for sign in signs):
        return [Piece(sides[2], signs[1] == r"\ge", sides[0], signs[0] == r"\ge")], sides[1]
    if len(sides) != 2:
        return None
    left, right, sign = sides[0], sides[1], signs[0]
    if (size := inside(left, "|", "|")) is not None and _is_variable(size) and sign in ("<", r"\le"):
        return [Piece(_negative(right), sign == r"\le", right, sign == r"\le")], size
    if size is not None and _is_variable(size) and sign in (">", r"\ge"):
        return [
            Piece(_LOWEST, False, _negative(right), sign == r"\ge"),
            Piece(right, sign == r"\ge", _HIGHEST, False),
        ], size
    if _is_variable(right) and not _is_variable(left):
        left, right = right, left
        sign = {"<": ">", ">": "<", r"\le": r"\ge", r"\ge": r"\le"}.get(sign, sign)
    if not _is_variable(left):
        return None
    if sign == r"\ne":
        return _around([right]), left
    if sign in ("<", r"\le"):
        return [Piece(_LOWEST, False, right, sign == r"\le")], left
    return [Piece(right, sign == r"\ge", _HIGHEST, False)], left


def _intersection(both: list[str]) -> tuple[list[Piece], str] | None:
    """Return one interval for a lower and an upper bound of the same variable, two holes for two exceptions."""
    first, second = _relations(both[0]), _relations(both[1])
    if first is None or second is None or first[1] != second[1]:
        return None
    if len(first[0]) == len(second[0]) == 2 and first[0][0].high == first[0][1].low:
        return _around([first[0][0].high, second[0][0].high]), first[1]
    if len(first[0]) == 2 and len(second[0]) == 1:
        first, second = second, first
    if len(first[0]) == 1 and len(second[0]) == 2 and second[0][0].high == second[0][1].low:
        return _with_hole(first[0][0], second[0][0].high), first[1]
    if len(first[0]) != 1 or len(second[0]) != 1:
        return None
    lower, upper = (first[0][0], second[0][0]) if second[0][0].low == _LOWEST else (second[0][0], first[0][0])
    if lower.high != _HIGHEST or upper.low != _LOWEST or lower.low == _LOWEST:
        return None
    return [Piece(lower.low, lower.low_in, upper.high, upper.high_in)], first[1]


def _with_hole(piece: Piece, hole: str) -> list[Piece]:
    """Take a number out of an interval, where both are written in digits; elsewhere it is taken to lie inside."""
    ends = [end for end in (piece.low, hole, piece.high) if is_decimal(end)]
    if ends != sorted(ends, key=float):
        return [piece]
    return [Piece(piece.low, piece.low_in, hole, False), Piece(hole, False, piece.high, piece.high_in)]


def _is_variable(text: str) -> bool:
    return _VARIABLE.fullmatch(text.strip()) is not None


def _negative(text: str) -> str:
    return f"-{text}" if re.fullmatch(r"[\w.]+|\\sqrt\{[^{}]*\}|\\frac\{[^{}]*\}\{[^{}]*\}", text) else f"-({text})"


def interval(gold: str, prediction: str, ask: Ask) -> bool:
    r"""Compare inequalities, intervals and unions of them as sets, end by end.

    >>> interval("x > 3", r"(3, \infty)", str.__eq__), interval(r"x \ge 3", r"(3, \infty)", str.__eq__)
    (True, False)
    >>> interval("x < 1 or x > 2", r"(2, \infty) \cup (-\infty, 1)", str.__eq__), interval("x > 3", "y > 3", str.__eq__)
    (True, False)
    """
    expected, given = as_pieces(gold), as_pieces(prediction)
    if expected is None or given is None or len(expected[0]) != len(given[0]):
        return False
    if expected[1] and given[1] and expected[1] != given[1]:
        return False
    left = list(given[0])
    for piece in expected[0]:
        twin = next((other for other in left if _same(piece, other, ask)), None)
        if twin is None:
            return False
        left.remove(twin)
    return True


def _same(one: Piece, other: Piece, ask: Ask) -> bool:
    return (one.low_in, one.high_in) == (other.low_in, other.high_in) and all(
        mine == its or (r"\infty" not in mine + its and ask(mine, its))
        for mine, its in ((one.low, other.low), (one.high, other.high))
    )


RULES = (Rule("interval", interval),)
