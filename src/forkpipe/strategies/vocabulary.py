r"""Words, phrases and symbols that name an operation, an object or a technique; text files beside this list them."""

import re
from collections import Counter

from forkpipe.core.data_files import data_lines

_WORD = re.compile(r"\\[A-Za-z]+|[A-Za-z]+")
_LONGEST_NOTATION = 30
_FUNCTION_WORD = re.compile(
    r"\b(?:an|are|as|at|be|by|can|do|for|from|has|have|if|in|is|it|its|of|on|or|that|the|there|this|to|was|we|which|with"
    r"|you)\b",
    re.IGNORECASE,
)
_OPENING = re.compile(
    r"(?:ah|again|alright|also|and|anyway|besides|but|finally|first(?:ly)?|hence|here|hmm?|however|indeed|last(?:ly)?"
    r"|lets?|like|look|meanwhile|moreover|namely|next|now|oh|ok|okay|right|second(?:ly)?|see|since|so|still|sure|then"
    r"|therefore|third(?:ly)?|thus|wait|well|yeah|yes)"
)
"""Function words, in prose and before bare notation; they name no operation."""


def is_prose(text: str) -> bool:
    """Whether a text is English prose rather than bare notation: in prose one word in twenty is a function word."""
    words = len(_WORD.findall(text))
    return words > 0 and len(_FUNCTION_WORD.findall(text)) * 20 >= words


def count_operations(text: str) -> Counter[str]:
    r"""Count the operator symbols and the words that name a technique.

    In prose a word counts if it begins with a known stem; in bare notation every word of two letters or more counts,
    except those that only open a sentence.

    >>> dict(count_operations(r"We add the roots: \frac{x}{2} + \sqrt 3"))
    {'+': 1, 'root': 2, '/': 1}
    """
    counts = Counter(_CONCEPTS[symbol] for symbol in _SYMBOL.findall(text))
    words = Counter(word if word[0] == "\\" else word.lower() for word in _WORD.findall(text))
    prose = is_prose(text)
    for word, times in words.items():
        name = _technique(word)
        operator = (
            not prose and word[0] != "\\" and not _OPENING.fullmatch(word) and 2 <= len(word) <= _LONGEST_NOTATION
        )
        if not name and operator:
            name = word
        if name:
            counts[name] += times
    return counts


def techniques(sentence: str) -> set[str]:
    r"""Return the named techniques and objects of a sentence of prose: those of several words first, then single words.

    >>> sorted(techniques(r"By the Law of Cosines in the triangle, \binom{5}{2} of them"))
    ['combination', 'law-of-cosines', 'triangle']
    """
    found: set[str] = set()

    def take(match: re.Match[str]) -> str:
        found.add(_PHRASE_NAMES[(match.lastgroup or "")[1:]])
        return " "

    rest = _PHRASE.sub(take, sentence.lower())
    for word in _WORD.findall(rest):
        name = _technique(word if word[0] == "\\" else word.lower())
        if name and name not in _OPERATORS:
            found.add(name)
    return found


def _technique(word: str) -> str:
    for whole in (word, f"{word}."):
        if whole in _CONCEPTS:
            return _CONCEPTS[whole]
    if word[0] == "\\":
        return ""
    for length in range(min(len(word), _LONGEST_STEM), 2, -1):
        if word[:length] in _CONCEPTS:
            return _CONCEPTS[word[:length]]
    return ""


_OPERATORS = {"+", "-", "*", "/", "^", "|", "<", ">"}

_CONCEPTS = {sign: name for name, *signs in map(str.split, data_lines(__file__, "concepts.txt")) for sign in signs}
_LONGEST_STEM = max(map(len, _CONCEPTS))
_SYMBOL = re.compile("[" + re.escape("".join(sign for sign in _CONCEPTS if len(sign) == 1)) + "]")

_PHRASE_LINES = [line.split(" | ") for line in data_lines(__file__, "phrases.txt")]
_PHRASE_NAMES = {str(number): name for number, (name, _) in enumerate(_PHRASE_LINES)}
# Tried only where a word begins: matching at every letter took most of the time.
_PHRASE = re.compile(
    "(?<![a-z])(?:" + "|".join(f"(?P<p{number}>{signs})" for number, (_, signs) in enumerate(_PHRASE_LINES)) + ")"
)

COMMON_TECHNIQUES = frozenset(" ".join(data_lines(__file__, "common_techniques.txt")).split())
"""Techniques that at least one solution in twenty names, whatever the problem."""
