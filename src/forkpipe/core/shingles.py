"""Shingles, the runs of a few words that a text holds, and how alike two texts are by them."""


def shingles(text: str, size: int) -> frozenset[str]:
    """Return the runs of `size` words of a text, or the whole text if it has fewer words.

    >>> sorted(shingles("a b c d", 3))
    ['a b c', 'b c d']
    >>> shingles("a b", 3)
    frozenset({'a b'})
    """
    words = text.split()
    return frozenset(" ".join(words[start : start + size]) for start in range(max(1, len(words) - size + 1)))


def jaccard(one: frozenset[str], other: frozenset[str]) -> float:
    """Return the size of the intersection divided by the size of the union; 1 for two empty sets.

    >>> jaccard(frozenset("abc"), frozenset("bcd"))
    0.5
    """
    return len(one & other) / len(one | other) if one or other else 1.0
