r"""Read the formulas in a text, in LaTeX, Unicode or plain notation, into trees.

The scanner reads the whole text, with or without dollar signs; a word of two letters or more ends a formula. A formula
that cannot be read is left out, never guessed.
"""

import re
from collections.abc import Iterator
from fractions import Fraction
from typing import NamedTuple

from forkpipe.core.data_files import data_lines

Tree = tuple[object, ...]
"""("number", Fraction), ("name", str), ("+" or "*" or "/" or "^", Tree, Tree), ("-", Tree), (function, Tree, ...)."""

LONGEST_SIDE = 60
"""Tokens of one side of a relation; longer ones are enumerations or broken markup."""

_FUNCTIONS = "sqrt|sin|cos|tan|cot|sec|csc|arcsin|arccos|arctan|log|ln|exp|gcd|lcm|lfloor|lceil|binom|dbinom|tbinom"
MOST_DIGITS = 80
"""Digits of a number; longer ones do not occur in solutions."""

_SHORT_WORDS = "|".join(" ".join(data_lines(__file__, "short_words.txt")).split())
_GREEK = "alpha|beta|gamma|delta|epsilon|theta|lambda|mu|phi|varphi|psi|omega|sigma|tau|rho|pi|zeta|eta|kappa|xi|infty"
_TOKEN = re.compile(
    rf"""(?P<break>\\(?:text|mathrm|operatorname|textbf|mathbf)\s?\{{[^{{}}]{{0,200}}\}}|\n|\\\\|[;:!?]\s|\.\s|\.$|,\s|,(?![0-9]{{3}}(?![0-9]))|[$][$]?|\\[\[\]()]|\*\*+|\.\.\.)
    |(?P<space>\s+|\\(?:left|right|bigl?|bigr?|Bigl?|Bigr?|displaystyle|quad|qquad)(?![A-Za-z])|\\[,;:!\s]|&|~|\\?°|\^?\{{?\\circ\}}?)
    |(?P<number>[0-9]{{1,3}}(?:(?:,|\{{,\}})[0-9]{{3}})+(?![0-9])|[0-9]+(?:\.[0-9]+)?|\.[0-9]+)
    |(?P<relation>=|\\approx(?![A-Za-z])|\\equiv(?![A-Za-z])|\\leq?(?![A-Za-z])|\\geq?(?![A-Za-z])|\\neq?(?![A-Za-z])
        |\\[lg]t(?![A-Za-z])|[<>≤≥≈≡≠]|\\implies(?![A-Za-z])|\\Rightarrow(?![A-Za-z])|\\iff(?![A-Za-z])|\\to(?![A-Za-z])|[⟹⇒→])
    |(?P<frac>\\[dt]?frac(?![A-Za-z]))
    |(?P<function>\\?(?:{_FUNCTIONS})(?![A-Za-z])(?:_\{{[A-Za-z0-9]{{1,12}}\}}|_[A-Za-z0-9])?|√)
    |(?P<times>\\cdot(?![A-Za-z])|\\times(?![A-Za-z])|[*×·⋅])
    |(?P<divide>\\div(?![A-Za-z])|[/÷])
    |(?P<plus>\+)|(?P<minus>[-−–])|(?P<power>\^)|(?P<superscript>[⁰¹²³⁴⁵⁶⁷⁸⁹]+)|(?P<factorial>!)
    |(?P<open>[(\[{{]|\\\{{)|(?P<close>[)\]}}]|\\\}}|\\rfloor|\\rceil)|(?P<bar>\||\\vert(?![A-Za-z])|\\[lr]vert(?![A-Za-z]))
    |(?P<name>(?:\\(?:{_GREEK})|[α-ωπ]|(?<![A-Za-z])[A-Z]{{2,4}}(?![A-Za-z])|(?<![A-Za-z])[a-zA-Z](?![a-zA-Z])|(?<![A-Za-z])(?!(?:{_SHORT_WORDS})(?![a-z]))[a-z]{{2,3}}(?![A-Za-z]))
        (?:_\{{[A-Za-z0-9+\- ,]{{1,12}}\}}|_[A-Za-z0-9]|[₀-₉]+)?'{{0,2}})
    |(?P<word>\\[A-Za-z]+|[A-Za-z]+(?:['’-][A-Za-z]+)*)
    |(?P<other>.)""",
    re.VERBOSE,
)
_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789")
_NOT_PART = {"break", "word", "other"}


class Token(NamedTuple):
    """A piece of a formula."""

    kind: str
    text: str


def formulas(text: str) -> Iterator[list[list[Token]]]:
    """Yield the formulas of a text, each as one token list for every side of its relations."""
    sides: list[list[Token]] = [[]]
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup or "other"
        if kind in _NOT_PART:
            if any(sides):
                yield sides
            sides = [[]]
        elif kind == "relation":
            sides.append([])
        elif kind == "name" and match.group().isalpha() and match.group().islower() and len(match.group()) > 1:
            sides[-1] += [Token(kind, letter) for letter in match.group()]  # xy is a product
        elif kind != "space":
            sides[-1].append(Token(kind, match.group()))
    if any(sides):
        yield sides


class UnreadableError(ValueError):
    """A token list is not a formula."""


def parse(tokens: list[Token]) -> Tree:
    """Return the tree of one side of a relation; UnreadableError if it is too long, or no formula of this grammar."""
    if not 0 < len(tokens) <= LONGEST_SIDE:
        raise UnreadableError
    parser = _Parser(tokens)
    tree = parser.sum()
    if parser.peek() != "end":
        raise UnreadableError
    return tree


class _Parser:
    """Recursive descent; its depth is bounded by `LONGEST_SIDE`."""

    def __init__(self, tokens: list[Token]) -> None:
        self.tokens = tokens
        self.position = 0
        self.in_bars = False

    def peek(self) -> str:
        return self.tokens[self.position].kind if self.position < len(self.tokens) else "end"

    def take(self) -> Token:
        if self.position == len(self.tokens):
            raise UnreadableError
        self.position += 1
        return self.tokens[self.position - 1]

    def sum(self) -> Tree:
        negative = False
        while self.peek() in ("plus", "minus"):
            negative ^= self.take().kind == "minus"
        tree = self.product()
        if negative:
            tree = ("-", tree)
        while self.peek() in ("plus", "minus"):
            sign = self.take().kind
            term = self.product()
            tree = ("+", tree, term if sign == "plus" else ("-", term))
        return tree

    def product(self) -> Tree:
        tree = self.factor()
        while True:
            kind = self.peek()
            if kind in ("times", "divide"):
                self.take()
                negative = self.peek() == "minus" and bool(self.take())
                factor = self.factor()
                factor = ("-", factor) if negative else factor
                tree = ("*" if kind == "times" else "/", tree, factor)
            elif kind in ("number", "name", "frac", "function", "open") or (kind == "bar" and not self.in_bars):
                tree = ("*", tree, self.factor())
            else:
                return tree

    def factor(self) -> Tree:
        tree = self.atom()
        while self.peek() in ("power", "superscript", "factorial"):
            token = self.take()
            if token.kind == "factorial":
                tree = ("factorial", tree)
            elif token.kind == "superscript":
                tree = ("^", tree, ("number", Fraction(int(token.text.translate(_SUPERSCRIPTS)))))
            else:
                negative = self.peek() == "minus" and bool(self.take())
                exponent = self.atom()
                tree = ("^", tree, ("-", exponent) if negative else exponent)
        return tree

    def atom(self) -> Tree:
        token = self.take()
        if token.kind == "number":
            if len(token.text) > MOST_DIGITS:
                raise UnreadableError
            return ("number", Fraction(token.text.replace("{,}", "").replace(",", "")))
        if token.kind == "name":
            return ("name", plain_name(token.text))
        if token.kind == "frac":
            return ("/", self.argument(), self.argument())
        if token.kind == "function":
            return self.function(token.text.lstrip("\\"))
        if token.kind == "open":
            tree = self.sum()
            if self.take().kind != "close":
                raise UnreadableError
            return tree
        if token.kind == "bar" and not self.in_bars:
            self.in_bars = True
            tree = self.sum()
            if self.take().kind != "bar":
                raise UnreadableError
            self.in_bars = False
            return ("abs", tree)
        raise UnreadableError

    def function(self, name: str) -> Tree:
        name, _, base = name.partition("_")
        if name in ("binom", "dbinom", "tbinom"):
            return ("binom", self.argument(), self.argument())
        if name in ("lfloor", "lceil"):
            rounded = self.sum()
            if self.take().kind != "close":
                raise UnreadableError
            return (name[1:], rounded)
        exponent = None
        if self.peek() == "power":  # \sin^2 x
            self.take()
            exponent = self.argument()
        elif name == "sqrt" and self.peek() == "open" and self.tokens[self.position].text == "[":  # \sqrt[3]{x}
            exponent = ("/", ("number", Fraction(2)), self.atom())
        inner = self.argument()
        while self.peek() == "name" and inner[0] == "number":  # \sin 2x
            inner = ("*", inner, self.atom())
        tree: Tree = ("sqrt" if name == "√" else name, inner)
        if name == "log" and base:
            of = base.strip("{}")
            number: Tree = ("number", Fraction(of)) if of.isdigit() else ("name", of)
            tree = ("/", ("ln", inner), ("ln", number))
        return ("^", tree, exponent) if exponent else tree

    def argument(self) -> Tree:
        after_frac = self.position > 0 and self.tokens[self.position - 1].kind == "frac"
        if after_frac and self.peek() == "number" and len(self.tokens[self.position].text) == 2:
            # \frac12: one digit each.
            digits = [Token("number", digit) for digit in self.tokens[self.position].text]
            self.tokens = [*self.tokens[: self.position], *digits, *self.tokens[self.position + 1 :]]
        return self.atom()


def plain_name(name: str) -> str:
    r"""Return a name in one notation.

    >>> [plain_name(name) for name in ("x_{12}", "a_1", "\\theta", "BA", "x₁")]
    ['x12', 'a1', 'theta', 'AB', 'x1']
    """
    name = name.lstrip("\\").translate(str.maketrans("₀₁₂₃₄₅₆₇₈₉", "0123456789"))
    base, mark, index = name.partition("_")
    base = "".join(sorted(base)) if base.isupper() else base
    return base + (index.strip("{}").replace(" ", "") if mark else "")
