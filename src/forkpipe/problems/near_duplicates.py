"""Near-duplicates: texts whose shingles, runs of a few words, are mostly the same.

MinHash LSH (datasketch) proposes pairs, the true Jaccard similarity of the shingles decides, so that a threshold is
what it says and chance costs nothing but a few misses at the threshold itself.
"""

import zlib
from functools import lru_cache
from typing import Any

LEAST_RECALL = 0.99
"""Chance at least that a pair right at the threshold is proposed; above it the chance is higher."""


@lru_cache(maxsize=4096)
def shingles(text: str, size: int) -> frozenset[str]:
    """Return the runs of `size` words of a normalised text; the whole text where it has fewer.

    >>> sorted(shingles("a b c d", 3))
    ['a b c', 'b c d']
    >>> shingles("a b", 3)
    frozenset({'a b'})
    """
    words = text.split()
    return frozenset(" ".join(words[start : start + size]) for start in range(max(1, len(words) - size + 1)))


def jaccard(one: frozenset[str], other: frozenset[str]) -> float:
    """Return the size of the intersection over that of the union; 1 for two empty sets.

    >>> jaccard(frozenset("abc"), frozenset("bcd"))
    0.5
    """
    return len(one & other) / len(one | other) if one or other else 1.0


def bands(threshold: float, permutations: int) -> tuple[int, int]:
    """Return (bands, rows a band) for LSH: the longest rows that still propose a pair at the threshold nearly always.

    A pair of Jaccard similarity s is proposed with chance 1 - (1 - s ** rows) ** bands. Longer rows propose fewer
    pairs in vain.

    >>> bands(0.8, 128)
    (21, 6)
    """
    best = (permutations, 1)
    for rows in range(1, permutations // 2 + 1):
        count = permutations // rows
        if 1 - (1 - threshold**rows) ** count >= LEAST_RECALL:
            best = (count, rows)
    return best


class NearIndex:
    """Texts whose near-duplicates are looked for.

    Args:
        threshold: least Jaccard similarity of the shingles, above 0.
        shingle: words a shingle.
        permutations: length of a MinHash; more is slower and proposes fewer pairs in vain.
    """

    def __init__(self, threshold: float, *, shingle: int = 3, permutations: int = 128) -> None:
        from datasketch import MinHash, MinHashLSH

        self._threshold = threshold
        self._shingle = shingle
        # crc32 is enough: datasketch mixes it again, and a collision only proposes a pair in vain.
        self._empty = MinHash(num_perm=permutations, hashfunc=zlib.crc32)
        self._lsh = MinHashLSH(num_perm=permutations, params=bands(threshold, permutations))
        self._texts: dict[int, str] = {}
        self._last: tuple[str, Any] = ("", self._empty)

    def add(self, index: int, text: str) -> None:
        """Add a normalised text under an index of the caller's, once."""
        self._texts[index] = text
        self._lsh.insert(index, self._minhash(text))

    def find(self, text: str) -> list[tuple[int, float]]:
        """Return (index, Jaccard similarity) of all texts at or above the threshold, by index."""
        own = shingles(text, self._shingle)
        found = []
        for index in sorted(self._lsh.query(self._minhash(text))):
            similarity = jaccard(own, shingles(self._texts[index], self._shingle))
            if similarity >= self._threshold:
                found.append((index, similarity))
        return found

    def _minhash(self, text: str) -> Any:
        """Return the MinHash of a text; the last is kept, since a text is often looked for and then added."""
        if self._last[0] != text:
            made = self._empty.copy()
            made.update_batch([one.encode() for one in shingles(text, self._shingle)])
            self._last = (text, made)
        return self._last[1]
