"""Near-duplicates: texts that share most of their shingles, which are runs of a few words.

MinHash LSH (datasketch) proposes pairs, and the exact Jaccard similarity of their shingles decides. So no pair below
the threshold is returned, and only a few pairs close to it are missed.
"""

import zlib
from functools import lru_cache
from typing import Any

from forkpipe.core import shingles as uncached
from forkpipe.core.shingles import jaccard as jaccard

shingles = lru_cache(maxsize=4096)(uncached.shingles)

LEAST_RECALL = 0.99
"""The least probability of proposing a pair exactly at the threshold; pairs above it have a higher one."""


def bands(threshold: float, permutations: int) -> tuple[int, int]:
    """Return (bands, rows of a band) for LSH: the most rows with which `LEAST_RECALL` still holds.

    A pair of Jaccard similarity s is proposed with probability 1 - (1 - s ** rows) ** bands. More rows propose fewer
    pairs that turn out below the threshold.

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
    """An index of texts that finds near-duplicates of a text.

    Args:
        threshold: least Jaccard similarity of the shingles, above 0.
        permutations: length of a MinHash; longer ones are slower and propose fewer wrong pairs.
    """

    def __init__(self, threshold: float, *, shingle: int = 3, permutations: int = 128) -> None:
        from datasketch import MinHash, MinHashLSH

        self._threshold = threshold
        self._shingle = shingle
        # crc32 is enough: datasketch hashes it again, and a collision only proposes a wrong pair.
        self._empty = MinHash(num_perm=permutations, hashfunc=zlib.crc32)
        self._lsh = MinHashLSH(num_perm=permutations, params=bands(threshold, permutations))
        self._texts: dict[int, str] = {}
        self._last: tuple[str, Any] = ("", self._empty)

    def add(self, index: int, text: str) -> None:
        """Add a normalised text under an index that the caller chooses, once."""
        self._texts[index] = text
        self._lsh.insert(index, self._minhash(text))

    def find(self, text: str) -> list[tuple[int, float]]:
        """Return (index, Jaccard similarity) of all texts at or above the threshold, sorted by index."""
        own = shingles(text, self._shingle)
        near = []
        for index in sorted(self._lsh.query(self._minhash(text))):
            similarity = jaccard(own, shingles(self._texts[index], self._shingle))
            if similarity >= self._threshold:
                near.append((index, similarity))
        return near

    def _minhash(self, text: str) -> Any:
        """Return the MinHash of a text; the last one is kept, since a text is often searched and then added."""
        if self._last[0] != text:
            minhash = self._empty.copy()
            minhash.update_batch([shingle.encode() for shingle in shingles(text, self._shingle)])
            self._last = (text, minhash)
        return self._last[1]
