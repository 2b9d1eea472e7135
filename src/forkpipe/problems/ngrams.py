"""Overlap by n-grams of words: how much of one text occurs word by word in another."""

from collections import Counter, defaultdict
from collections.abc import Sequence

Gram = tuple[str, ...]


def ngrams(words: Sequence[str], n: int) -> set[Gram]:
    """Return all runs of n words; none if there are fewer words.

    >>> sorted(ngrams("a b c".split(), 2))
    [('a', 'b'), ('b', 'c')]
    """
    return set(zip(*(words[start:] for start in range(n)), strict=False))


class NgramIndex:
    """An index of texts whose n-grams are searched in other texts.

    An n-gram of more than `common` texts is a phrase ("where m and n are relatively prime positive integers"). It does
    not count, unless a text has no other n-grams.

    A text of fewer than n words matches if the other text holds all of it in a row. With fewer than `shortest` words it
    would match almost anything: such texts are left to exact matches and near-duplicates, and `too_short` lists them.

    Args:
        n: words of an n-gram.
        share: least share of a text's n-grams that the other text must hold.
        shortest: fewest words of a text, at most n.
        common: most texts that may share an n-gram that counts.
    """

    def __init__(self, n: int = 13, share: float = 0.25, shortest: int = 5, common: int = 5) -> None:
        if not 1 <= shortest <= n:
            raise ValueError(f"shortest is {shortest}, expected 1 to n, {n}")
        self._n = n
        self._share = share
        self._shortest = shortest
        self._common = common
        self._grams: dict[Gram, list[int]] = defaultdict(list)
        self._telling: dict[int, int] = {}  # n-grams of a text that are not common
        self._all: dict[int, int] = {}
        self._starts: dict[Gram, list[int]] = defaultdict(list)  # short texts by their first `shortest` words
        self._short: dict[int, Gram] = {}
        self.too_short: list[int] = []

    def add(self, index: int, words: Sequence[str]) -> None:
        """Add a text under an index that the caller chooses."""
        if len(words) >= self._n:
            grams = ngrams(words, self._n)
            self._all[index] = self._telling[index] = len(grams)
            for gram in grams:
                holders = self._grams[gram]
                holders.append(index)
                if len(holders) == self._common + 1:  # from now on it does not count for any of them
                    for holder in holders:
                        self._telling[holder] -= 1
                elif len(holders) > self._common:
                    self._telling[index] -= 1
        elif len(words) >= self._shortest:
            self._short[index] = tuple(words)
            self._starts[tuple(words[: self._shortest])].append(index)
        else:
            self.too_short.append(index)

    def find(self, words: Sequence[str]) -> list[tuple[int, float]]:
        """Return (index, share of the text's n-grams in these words) of all texts that match, sorted by index."""
        telling: Counter[int] = Counter()
        common: Counter[int] = Counter()
        for gram in ngrams(words, self._n):
            holders = self._grams.get(gram, ())
            (telling if len(holders) <= self._common else common).update(holders)
        shares = {index: count / self._telling[index] for index, count in telling.items()}
        shares |= {index: count / self._all[index] for index, count in common.items() if not self._telling[index]}
        shares |= dict.fromkeys(self._find_short(words), 1.0)
        return sorted((index, share) for index, share in shares.items() if share >= self._share)

    def _find_short(self, words: Sequence[str]) -> set[int]:
        if not self._starts:
            return set()
        matched = set()
        for start in range(len(words) - self._shortest + 1):
            for index in self._starts.get(tuple(words[start : start + self._shortest]), ()):
                short = self._short[index]
                if tuple(words[start : start + len(short)]) == short:
                    matched.add(index)
        return matched
