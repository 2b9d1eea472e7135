"""Whether a problem overlaps others: the kinds of overlap, and one pass of a text over all others.

Numbers count: a pair whose wording overlaps but whose numbers differ is `renumbered`: another problem, in the same
words. A figure in Asymptote that only one of two texts has is passed over, since copies often lose it; two figures
must be alike as well.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from forkpipe.problems.near_duplicates import NearIndex, shingles
from forkpipe.problems.ngrams import NgramIndex
from forkpipe.problems.normalisation import mask_numbers, normalise, same_numbers

Kind = Literal["exact", "ngram", "near", "renumbered"]
KINDS: tuple[Kind, ...] = ("exact", "ngram", "near", "renumbered")
"""From the surest on: of several, the first is a pair's kind."""

LEAST_PROSE = 13
"""With fewer words beside it, a figure is what the problem is, and no ornament."""
FIGURE_SHINGLE = 3
FIGURE_SHARE = 0.7
"""Of the lesser figure's shingles; copies differ in sizes and labels, and one may stand beside another figure."""

_FIGURE = re.compile(r"\[asy\](.*?)(?:\[/asy\]|$)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Comparable:
    """A problem's text, prepared for comparing."""

    whole: str
    """Normalised, figures included."""
    prose: str
    """The same without figures, unless little is left."""
    figure: str
    """The figures, normalised; empty where `prose` holds them or there are none."""

    @classmethod
    def of(cls, text: str) -> "Comparable":
        """Prepare a text as it came."""
        whole = normalise(text)
        figures = _FIGURE.findall(text)
        if not figures:
            return cls(whole, whole, "")
        prose = normalise(_FIGURE.sub(" ", text))
        if prose.count(" ") + 1 < LEAST_PROSE:
            return cls(whole, whole, "")
        return cls(whole, prose, normalise(" ".join(figures)))

    @property
    def words(self) -> list[str]:
        """The words of the prose."""
        return self.prose.split()


@dataclass(frozen=True, slots=True)
class Match:
    """One overlap: `other` is the index of the text that was found, `score` is 1 for equal texts.

    The score of ngram is the share of the other's n-grams that the text holds, of near the Jaccard similarity of
    shingles; of renumbered that by which it was found.
    """

    other: int
    kind: Kind
    score: float


class OverlapIndex:
    """Texts that others are held against.

    Args:
        ngram: index of n-grams, None for no overlap of that kind.
        near: index of near-duplicates, None for none.
        template_limit: of texts that differ in their numbers alone, how many are held against for near-duplicates, None
            for all. Problems from one template are all candidates of one another, which takes the square of their
            number; those over the limit are found when they are equal or renumbered, and `over_limit` counts them.
    """

    def __init__(
        self, ngram: NgramIndex | None = None, near: NearIndex | None = None, *, template_limit: int | None = None
    ) -> None:
        self._template_limit = template_limit
        self._templates: Counter[str] = Counter()
        self.over_limit = 0
        self._ngram = ngram
        self._near = near
        self._texts: list[Comparable] = []
        # The first of every group is enough: any more say nothing new of a problem.
        self._exact: dict[str, dict[str, int]] = {}
        self._masked: dict[str, dict[str, int]] = {}

    def add(self, text: Comparable, group: str = "") -> int:
        """Add a text to a group; returns its index, counted from 0."""
        index = len(self._texts)
        self._texts.append(text)
        self._exact.setdefault(text.whole, {}).setdefault(group, index)
        masked = mask_numbers(text.whole)
        self._masked.setdefault(masked, {}).setdefault(group, index)
        if self._ngram is not None:
            self._ngram.add(index, text.words)
        if self._near is not None:
            self._templates[masked] += 1
            if self._template_limit is None or self._templates[masked] <= self._template_limit:
                self._near.add(index, text.prose)
            else:
                self.over_limit += 1
        return index

    @property
    def too_short(self) -> list[int]:
        """Indices of the texts that are too short for n-grams."""
        return [] if self._ngram is None else self._ngram.too_short

    def find(self, text: Comparable) -> list[Match]:
        """Return one match for each text that overlaps, the surest kind and the highest score first."""
        found: dict[int, Match] = {}
        for match in self._candidates(text):
            known = found.get(match.other)
            if known is None or _rank(match) < _rank(known):
                found[match.other] = match
        return sorted(found.values(), key=_rank)

    def _candidates(self, text: Comparable) -> Iterator[Match]:
        if not text.whole:  # nothing that could be compared
            return
        for index in self._exact.get(text.whole, {}).values():
            yield Match(index, "exact", 1.0)
        for index in self._masked.get(mask_numbers(text.whole), {}).values():
            yield Match(index, "renumbered", 1.0)
        if self._ngram is not None:
            yield from self._judged(text, "ngram", self._ngram.find(text.words))
        if self._near is not None:
            yield from self._judged(text, "near", self._near.find(text.prose))

    def _judged(self, text: Comparable, kind: Kind, found: Iterable[tuple[int, float]]) -> Iterator[Match]:
        for index, score in found:
            other = self._texts[index]
            if text.figure and other.figure and not _same_figure(text.figure, other.figure):
                continue
            renumbered = not same_numbers(text.words, other.words) or (
                text.whole != other.whole and mask_numbers(text.whole) == mask_numbers(other.whole)
            )
            yield Match(index, "renumbered" if renumbered else kind, score)


def _rank(match: Match) -> tuple[int, float, int]:
    return KINDS.index(match.kind), -match.score, match.other


def _same_figure(one: str, other: str) -> bool:
    first, second = shingles(one, FIGURE_SHINGLE), shingles(other, FIGURE_SHINGLE)
    return len(first & second) >= FIGURE_SHARE * min(len(first), len(second))
