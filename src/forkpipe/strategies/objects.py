"""Words, beyond the named techniques, that say what a solution works with, and their weights."""

import re

from forkpipe.core.data_files import data_lines

_WORD = re.compile(r"(?<![\\a-z])[a-z]{3,}")
_ENDINGS = ("ing", "ies", "es", "ed", "ly", "s", "e", "y")

RAREST = 4
"""Level of words that are not in the table: fewer than one solution in 33 contains them."""


def stem(word: str) -> str:
    """Cut the first ending that leaves four letters.

    >>> [stem(word) for word in ("vertices", "vertex", "counting", "counts", "add")]
    ['vertic', 'vertex', 'count', 'count', 'add']
    """
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 4:
            return word[: -len(ending)]
    return word


def stems(text: str) -> set[str]:
    """Return the stems of the words of a text."""
    return set(map(stem, _WORD.findall(text.lower())))


def objects(text: str) -> set[str]:
    """Return the stems of the words of a text, without those that most solutions contain."""
    return {found for found in stems(text) if object_weight(found)}


def object_weight(found: str) -> float:
    """Return the weight of a stem, 0 to `RAREST`: the rounded log of one over the share of solutions that contain it.

    >>> object_weight("therefor"), object_weight("equal"), object_weight("chord")
    (0.0, 1.0, 4.0)
    """
    return _LEVELS.get(found, float(RAREST))


def _read_levels() -> dict[str, float]:
    levels, level = {}, 0.0
    for word in " ".join(data_lines(__file__, "levels.txt")).split():
        if word.isdigit():
            level = float(word)
        else:
            levels[word] = level
    return levels


_LEVELS = _read_levels()
