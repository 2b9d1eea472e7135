r"""One way to write an answer: what the rewrite rules look at.

Pure text work. Nothing here decides whether two answers are equal.
"""

import math
import re
from functools import lru_cache

_CHARACTERS = {
    "−": "-", "–": "-", "—": "-", "×": r"\times ", "·": r"\cdot ", "⋅": r"\cdot ", "÷": "/", "±": r"\pm ",
    "π": r"\pi ", "∞": r"\infty ", "≤": r"\le ", "≥": r"\ge ", "≠": r"\ne ", "≈": r"\approx ", "∈": r"\in ",
    "∪": r"\cup ", "∩": r"\cap ", "∅": r"\emptyset ", "ℝ": r"\mathbb{R}", "ℤ": r"\mathbb{Z}", "°": r"^\circ ",
    "θ": r"\theta ", "α": r"\alpha ", "β": r"\beta ", "λ": r"\lambda ", "∠": r"\angle ", "≡": r"\equiv ",
    "½": r"\frac{1}{2}", "¼": r"\frac{1}{4}", "¾": r"\frac{3}{4}", "⅓": r"\frac{1}{3}", "⅔": r"\frac{2}{3}",
    "，": ",", "；": ";", "：": ":", "（": "(", "）": ")", "\u00a0": " ", "\u2009": " ", "\u202f": " ",
    "⟨": r"\langle ", "⟩": r"\rangle ", "’": "'", "′": "'",
}  # fmt: skip
_CHARACTER = re.compile("|".join(map(re.escape, _CHARACTERS)))
_RAISED = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
_RAISED_RUN = re.compile(r"[⁰¹²³⁴⁵⁶⁷⁸⁹⁻]+")
_ROOT = re.compile(r"√\s*(\([^()]*\)|\{[^{}]*\}|[A-Za-z0-9.]+)")

_WRAPPED_TEXT = re.compile(
    r"\\(?:text|textbf|textit|textrm|mathrm|mathbf|mathit|mathsf|mbox|hbox|operatorname|rm)\s*\{([^{}]*)\}"
)
_COMMANDS = (
    (re.compile(r"\\left\b|\\right\b|\\big[lr]?\b|\\Big[lr]?\b|\\displaystyle\b|\\limits\b"), ""),
    (re.compile(r"\\[dtc]frac\b"), r"\\frac"),
    (re.compile(r"\\!\s*"), ""),
    (re.compile(r"\\(?:[,;: ]|qquad(?=[A-Za-z]\b|[A-Za-z]_|\b)|quad(?=[A-Za-z]\b|[A-Za-z]_|\b))|~"), " "),
    (re.compile(r"\{,\}"), ","),
    (re.compile(r"\^\s*\{\s*\\circ\s*\}|\^\s*\\circ\b|\\degree\b"), r"^\\circ "),
    (re.compile(r"\\leq?(?:slant)?\b"), r"\\le "),
    (re.compile(r"\\geq?(?:slant)?\b"), r"\\ge "),
    (re.compile(r"\\neq?\b"), r"\\ne "),
    (re.compile(r"\\lt\b"), "<"),
    (re.compile(r"\\gt\b"), ">"),
    (re.compile(r"<="), r"\\le "),
    (re.compile(r">="), r"\\ge "),
    (re.compile(r"!="), r"\\ne "),
    (re.compile(r"\\lbrace\b"), r"\\{"),
    (re.compile(r"\\rbrace\b"), r"\\}"),
    (re.compile(r"\\(?:varnothing|O)\b|\\\{\s*\\\}"), r"\\emptyset "),
    (re.compile(r"\\infin\b"), r"\\infty"),
    (re.compile(r"\+\s*\\infty"), r"\\infty"),
    (re.compile(r"\\Reals?\b|\\R\b|\\mathbb\s*R\b|\\mathbf\{R\}"), r"\\mathbb{R}"),
    (re.compile(r"\\(?:mathbb\s*Z|Z)\b"), r"\\mathbb{Z}"),
    (re.compile(r"\\backslash\b|\\smallsetminus\b"), r"\\setminus "),
    (re.compile(r"\\(?:wedge|land)\b"), " and "),
    (re.compile(r"\\(?:vee|lor)\b"), " or "),
)
_LOST_ESCAPES = {"\f": r"\f", "\b": r"\b", "\v": r"\v", "\t": r"\t", "\r": r"\r"}
_LOST_ESCAPE = re.compile("[\f\b\v](?=[a-z])|\t(?=ext|imes|heta|an|au|riangle|frac)|\r(?=ight|ho|angle)")
r"""A backslash that was read as an escape: of `\frac` stays a form feed and `rac`."""
_DOUBLE_FACTORIAL = re.compile(r"(?<![\d.!])(\d{1,2})!!(?!!)")
_COMBINATIONS = re.compile(r"(?<![A-Za-z\\])C_\s*\{?(\d{1,3})\}?\s*\^\s*\{?(\d{1,3})\}?(?!\d)")
_DOUBLED = re.compile(r"\\\\(?=[A-Za-z]{2})")
"""A command that was escaped twice on its way through JSON; in a matrix it is a line break before a letter."""
_LAST_STOP = re.compile(r"(?:[.,;:\s]|(?<!\\)\\)+$")
_SPACES = re.compile(r"\s+")

_OPEN, _CLOSE = "([{", ")]}"


@lru_cache(maxsize=4096)
def clean(answer: str) -> str:
    r"""Write an answer in plain LaTeX: one spelling a symbol, no delimiters, words without `\text`.

    A single letter keeps its `\text`, which tells a unit from a variable; an escaped dollar stays as `\$`.

    >>> (clean(r"$5.4\ \text{square units}.$"), clean(r"\left(-\infty,\, 4\right]"), clean("3\\text{m}"),
    ...  clean("x² ≤ √2"))
    ('5.4 square units', '(-\\infty, 4]', '3 \\text{m}', 'x^{2} \\le \\sqrt{2}')
    """
    answer = _LOST_ESCAPE.sub(lambda match: _LOST_ESCAPES[match[0]], answer)
    if r"\\begin" in answer:
        answer = answer.replace(r"\\", "\\")
    elif r"\begin" not in answer:
        answer = _DOUBLED.sub(r"\\", answer)
    # A line break is no escape: its second backslash must not be taken for the start of a command.
    text = _CHARACTER.sub(lambda match: _CHARACTERS[match[0]], answer.replace(r"\\", "\x00"))
    text = _RAISED_RUN.sub(lambda match: "^{" + match[0].translate(_RAISED) + "}", text)
    text = _ROOT.sub(lambda match: r"\sqrt{" + match[1].strip("(){}") + "}", text)
    text = _DOUBLE_FACTORIAL.sub(lambda match: str(math.prod(range(int(match[1]), 0, -2))), text)
    text = _COMBINATIONS.sub(_binomial, text)
    text = _without_delimiters(text)
    for pattern, written in _COMMANDS:
        text = pattern.sub(written, text)
    text = _WRAPPED_TEXT.sub(_unwrapped, text).replace("\x00", r"\\")
    return _SPACES.sub(" ", _LAST_STOP.sub("", text)).strip()


def _binomial(match: re.Match[str]) -> str:
    r"""Write `C_{12}^{5}` as a binomial, where the upper index is not the larger one."""
    return rf"\binom{{{match[1]}}}{{{match[2]}}}" if 2 <= int(match[1]) >= int(match[2]) else match[0]


def _unwrapped(match: re.Match[str]) -> str:
    inside = match[1].strip()
    return f" \\text{{{inside}}} " if len(inside) == 1 and inside.islower() else f" {inside} "


def _without_delimiters(text: str) -> str:
    text = re.sub(r"\\[()\[\]]", " ", text)
    bare = text.replace(r"\$", "")
    if bare.count("$") % 2 == 0:
        return re.sub(r"(?<!\\)\$", " ", text)
    return re.sub(r"(?<!\\)\$(?=\s*[\d.])", r"\\$", text, count=1)  # a price: "$18.90"


def split_top(text: str, separator: re.Pattern[str]) -> list[str]:
    r"""Split where the separator stands outside all brackets and environments; parts are stripped.

    >>> split_top(r"(1, 2), \frac{3,1}{4}, x", re.compile(","))
    ['(1, 2)', '\\frac{3,1}{4}', 'x']
    """
    parts, depth, start, at = [], 0, 0, 0
    while at < len(text):
        if text.startswith(r"\begin{", at):
            depth += 1
            at += 7
        elif text.startswith(r"\end{", at):
            depth -= 1
            at += 5
        elif depth == 0 and (match := separator.match(text, at)) and match.end() > at:
            parts.append(text[start:at].strip())
            start = at = match.end()
        else:
            depth += (text[at] in _OPEN) - (text[at] in _CLOSE)
            at += 1
    parts.append(text[start:].strip())
    return parts


def inside(text: str, opening: str, closing: str) -> str | None:
    r"""Return what a pair of brackets that spans the whole text holds, None where there is none.

    >>> inside("(1, (2))", "(", ")"), inside("(1) + (2)", "(", ")")
    ('1, (2)', None)
    """
    if not (text.startswith(opening) and text.endswith(closing) and len(text) >= len(opening) + len(closing)):
        return None
    within = text[len(opening) : -len(closing)]
    depth = 0
    for character in within:
        depth += (character in _OPEN) - (character in _CLOSE)
        if depth < 0:
            return None
    return within.strip() if depth == 0 else None


def letters_of(text: str) -> set[str]:
    r"""Return the single letters of a text, without those of words and commands.

    >>> sorted(letters_of(r"\sin kx + c for x"))
    ['c', 'x']
    """
    return set(re.findall(r"(?<![A-Za-z\\])[A-Za-z](?![A-Za-z])", re.sub(r"\\[A-Za-z]+", " ", text)))


def renamed(text: str, old: str, new: str) -> str:
    """Give a letter another name, but not within commands."""
    return re.sub(rf"\\[A-Za-z]+|{re.escape(old)}", lambda match: new if match[0] == old else match[0], text)


DECIMAL = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)")
"""A number in digits, without separators of thousands."""


def is_decimal(text: str) -> bool:
    """Say whether the text is a number in digits, such as -3 or 0.25."""
    return DECIMAL.fullmatch(text) is not None
