"""Normalises problem texts, so that two copies of a problem become equal and two different problems do not.

Removes letter case, punctuation of prose, LaTeX delimiters, spacing and fonts, and writes each symbol in one way. Keeps
numbers, signs, round brackets and letters: a problem with another number is another problem.
"""

import re
import tomllib
import unicodedata
from collections import Counter
from collections.abc import Iterable
from functools import cache
from typing import NamedTuple

from forkpipe.core.data_files import data_text


class _Rewrites(NamedTuple):
    """How symbols are written, in the order in which this is applied."""

    symbols: dict[int, str]
    latex: list[tuple[re.Pattern[str], str]]
    greek: dict[str, str]


@cache
def _rewrites() -> _Rewrites:
    """Return the rewrites, compiled when a text is first normalised: most commands normalise none."""
    tables = tomllib.loads(data_text(__file__, "normalisation.toml"))
    symbols = {character: plain for characters, plain in tables["symbols"].items() for character in characters}
    symbols |= {character: f" ^{plain} " for character, plain in tables["superscripts"].items()}
    names = {chr(code): unicodedata.name(chr(code)) for code in range(ord("α"), ord("ω") + 1)}
    plain_names = {letter: name.removeprefix("GREEK SMALL LETTER ").lower() for letter, name in names.items()}
    return _Rewrites(
        str.maketrans(symbols),
        [(re.compile(pattern), replacement) for pattern, replacement in tables["latex"]["rewrites"]],
        {letter: {"lamda": "lambda"}.get(name, name) for letter, name in plain_names.items() if name != "final sigma"},
    )


# A single Greek letter is a symbol; several in a row are a Greek word.
_LONE_GREEK = re.compile("(?<![Ͱ-Ͽἀ-῿])[α-ρσ-ω](?![Ͱ-Ͽἀ-῿])")

_CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
# A number; an operator or a round bracket, since 8 / (4 / 2) is not 8 / 4 / 2; a character of a script without spaces;
# a run of letters.
_WORD = re.compile(rf"\d+(?:\.\d+)?|\.\d+|<=|>=|!=|[-+*/^=<>!|%()]|[{_CJK}]|[^\W\d_{_CJK}]+")
_SAME_WORD = {"degrees": "degree"}

NUMBER = "#"
"""Replaces every number in a masked text; no normalised text holds it."""


def normalise(text: str) -> str:
    r"""Return the words of a problem, separated by single spaces; never raises, and is idempotent.

    >>> normalise(r"Find $\dfrac{1}{2}\cdot x^{2}$, if  $x\le 1{,}000$.")
    'find frac 1 2 * x ^ 2 if x <= 1000'
    >>> normalise("find ½·x², if x ≤ 1,000") == normalise(r"Find \(1/2 \times x^2\) if $x \leq 1000$")
    True
    """
    symbols, latex, greek = _rewrites()
    text = unicodedata.normalize("NFKC", text.translate(symbols)).translate(symbols)
    for pattern, replacement in latex:
        text = pattern.sub(replacement, text)
    text = _LONE_GREEK.sub(lambda letter: f" {greek[letter[0]]} ", _caseless(text))
    return " ".join(_SAME_WORD.get(word, word) for word in _WORD.findall(text))


def _caseless(text: str) -> str:
    """Return the text with case folded, in composed form; a few characters need several rounds."""
    for _ in range(4):
        folded = unicodedata.normalize("NFKC", text.casefold())
        if folded == text:
            break
        text = folded
    return text


def is_number(word: str) -> bool:
    """Whether a word of a normalised text is a number."""
    return word[-1].isdigit()


def mask_numbers(normalised: str) -> str:
    """Return a normalised text with every number as `NUMBER`.

    >>> mask_numbers("3 ^ 5 mod 17")
    '# ^ # mod #'
    """
    return " ".join(NUMBER if is_number(word) else word for word in normalised.split(" ")) if normalised else ""


def same_numbers(one: Iterable[str], other: Iterable[str]) -> bool:
    """Whether one text holds all numbers of the other, each at least as often.

    Either text may hold more numbers: a copy within a longer text, or with its choices listed, does.

    >>> same_numbers("2 apples 3 pears".split(), "3 pears 2 apples and 7 plums".split())
    True
    >>> same_numbers("2 apples 3 pears".split(), "2 apples 4 pears".split())
    False
    """
    first, second = (Counter(word for word in words if is_number(word)) for words in (one, other))
    return first <= second or second <= first
