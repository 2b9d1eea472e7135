r"""Vectors, matrices, functions, ratios: one object in two notations."""

import re

from forkpipe.verification.rules.base import Ask, Rule
from forkpipe.verification.text import inside, letters_of, renamed, split_top

_MATRIX = re.compile(r"\\begin\{([pbB]?matrix|array)\}(?:\{[lcr|]+\})?(.*?)\\end\{\1\}", re.DOTALL)
_BRACKETED = re.compile(r"[(\[]\s*(\\begin\{(?:matrix|array)\}.*\\end\{(?:matrix|array)\})\s*[)\]]", re.DOTALL)
_TERM = re.compile(
    r"\s*(?P<sign>[+-]?)\s*(?P<size>[^+\-]*?)\s*(?:\\(?:vec|hat|bm|boldsymbol|mathbf|text)\s*\{?\s*)?(?P<axis>\\imath|\\jmath|[ijk])\}?\s*"
)
_FUNCTION = re.compile(r"([A-Za-z](?:_\{?\w\}?)?)\s*\(\s*([A-Za-z])\s*\)\s*=\s*(.+)")
_TERM_OF_RATIO = re.compile(r"(?:[\d.\s{}()^+*/-]|\\[a-z]+|(?<![A-Za-z])[A-Za-z](?![A-Za-z])){1,40}")
"""Numbers and single letters: what stands around a colon in prose is no ratio."""
_RATIO = re.compile(r"\s*(?::|\bto\b|\\colon)\s*")


def rows_of(text: str) -> list[list[str]] | None:
    r"""Return the rows of a matrix, however it is written, None where it is none.

    >>> rows_of(r"\begin{pmatrix} 1 & 2 \\ 3 & 4 \end{pmatrix}"), rows_of("[[1, 2], [3, 4]]")
    ([['1', '2'], ['3', '4']], [['1', '2'], ['3', '4']])
    """
    if bracketed := _BRACKETED.fullmatch(text):
        text = bracketed[1]
    if match := _MATRIX.fullmatch(text):
        lines = [line for line in split_top(match[2], re.compile(r"\\\\(?:\[[^\]]*\])?")) if line]
        rows = [split_top(line, re.compile("&")) for line in lines]
    else:
        within = inside(text, "[", "]")
        inner = [inside(part, "[", "]") for part in split_top(within, re.compile(","))] if within else []
        if not inner or any(part is None for part in inner):
            return None
        rows = [split_top(part or "", re.compile(",")) for part in inner]
    return rows if rows and len({len(row) for row in rows}) == 1 and all(cell for row in rows for cell in row) else None


def matrix(gold: str, prediction: str, ask: Ask) -> bool:
    r"""Compare matrices of the same shape cell by cell.

    >>> matrix("[[1, 2], [3, 4]]", r"\begin{bmatrix} 1 & 2 \\ 3 & 4 \end{bmatrix}", str.__eq__)
    True
    """
    expected, given = rows_of(gold), rows_of(prediction)
    if expected is None or given is None or len(expected) != len(given) or len(expected[0]) != len(given[0]):
        return False
    return all(
        one == other or ask(one, other)
        for row, its in zip(expected, given, strict=True)
        for one, other in zip(row, its, strict=True)
    )


def vector(gold: str, prediction: str, ask: Ask) -> bool:
    r"""Compare a column, a row, angle brackets, unit vectors and a tuple, entry by entry in their order.

    >>> (vector(r"\begin{pmatrix} 1 \\ 2 \end{pmatrix}", "(1, 2)", str.__eq__),
    ...  vector(r"\langle 1, 2 \rangle", "(2, 1)", str.__eq__))
    (True, False)
    >>> vector("3i - 4j", "(3, -4)", str.__eq__)
    True
    """
    expected, given = _entries(gold), _entries(prediction)
    if expected is None or given is None or not (expected[1] or given[1]) or len(expected[0]) != len(given[0]):
        return False
    return all(one == other or ask(one, other) for one, other in zip(expected[0], given[0], strict=True))


def _entries(text: str) -> tuple[list[str], bool] | None:
    """Return the entries, and whether this can be nothing but a vector."""
    text = re.sub(r"\s*\^\s*\{?\s*(?:T|\\top|\\intercal)\s*\}?$", r"^T", text)
    transposed = text.endswith("^T")
    text = text.removesuffix("^T")
    rows = rows_of(text)
    if rows is not None and (len(rows) == 1 or len(rows[0]) == 1):
        return [cell for row in rows for cell in row], True
    for opening, closing in ((r"\langle", r"\rangle"), ("<", ">"), ("(", ")"), ("[", "]")):
        within = inside(text, opening, closing)
        if within is not None:
            entries = split_top(within, re.compile("[,;]"))
            if len(entries) > 1 and all(entries):
                return entries, opening in (r"\langle", "<") or transposed
    return _unit_vectors(text)


def _unit_vectors(text: str) -> tuple[list[str], bool] | None:
    sizes: dict[str, str] = {}
    at = 0
    while at < len(text):
        term = _TERM.match(text, at)
        axis = term["axis"].lstrip("\\")[0] if term else ""
        if term is None or axis in sizes or (at and not term["sign"]):
            return None
        sizes[axis] = f"{'-' if term['sign'] == '-' else ''}{term['size'] or '1'}"
        at = term.end()
    if len(sizes) < 2 or set(sizes) not in ({"i", "j"}, {"i", "j", "k"}, {"i", "k"}, {"j", "k"}):
        return None
    axes = "ijk" if "k" in sizes else "ij"
    return [sizes.get(axis, "0") for axis in axes], True


def bound_variable(gold: str, prediction: str, ask: Ask) -> bool:
    """Give a function's argument the name it has on the other side.

    >>> bound_variable("f(x) = x + 1", "f(t) = t + 1", str.__eq__), bound_variable("f(x) = x", "g(t) = t", str.__eq__)
    (True, False)
    """
    expected, given = _FUNCTION.fullmatch(gold), _FUNCTION.fullmatch(prediction)
    if (
        not (expected and given)
        or expected[1] != given[1]
        or expected[2] == given[2]
        or expected[2] in letters_of(given[3])
    ):
        return False
    return ask(expected[3], renamed(given[3], given[2], expected[2]))


def ratio(gold: str, prediction: str, ask: Ask) -> bool:
    r"""Compare ratios in their order, a ratio of two also with the fraction.

    >>> ratio("7:32", "7 to 32", str.__eq__), ratio("3:4", "4:3", str.__eq__), ratio("1:2:3", "1 : 2 : 3", str.__eq__)
    (True, False, True)
    """
    expected, given = (split_top(side, _RATIO) for side in (gold, prediction))
    if (len(expected), len(given)) == (1, 1) or max(len(expected), len(given)) > 6:
        return False
    if not all(
        map(_TERM_OF_RATIO.fullmatch, [*(expected if len(expected) > 1 else []), *(given if len(given) > 1 else [])])
    ):
        return False
    if len(expected) == len(given) and all(
        one == other or ask(one, other) for one, other in zip(expected, given, strict=True)
    ):
        return True
    if len(expected) > 2 or len(given) > 2:
        return False
    return ask(_fraction(expected), _fraction(given))


def _fraction(parts: list[str]) -> str:
    return rf"\frac{{{parts[0]}}}{{{parts[1]}}}" if len(parts) == 2 else parts[0]


RULES = (
    Rule("matrix", matrix),
    Rule("vector", vector),
    Rule("bound-variable", bound_variable),
    Rule("ratio", ratio),
)
