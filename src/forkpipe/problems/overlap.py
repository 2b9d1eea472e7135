"""Decides whether a problem overlaps others, and how.

A pair whose wording overlaps and whose numbers differ is `renumbered`: another problem, in the same words. If only one
of two texts has an Asymptote figure, the figure is ignored, since copies often lose it. If both have one, the figures
must be similar too.
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
"""The surest kind first; if several apply to a pair, the first one counts."""

LEAST_PROSE = 13
"""With fewer words than these beside a figure, the figure belongs to the problem itself."""
FIGURE_SHINGLE = 3
FIGURE_SHARE = 0.7
"""Least common share of the smaller figure's shingles: copies differ in sizes and labels, or have more figures."""

_FIGURE = re.compile(r"\[asy\](.*?)(?:\[/asy\]|$)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Comparable:
    """The text of a problem, prepared for comparison."""

    whole: str
    """Normalised text with figures."""
    prose: str
    """Normalised text without figures, unless that leaves too few words."""
    figure: str
    """Normalised figures; empty if `prose` includes them or there are none."""

    @classmethod
    def of(cls, text: str) -> "Comparable":
        """Prepare a raw text."""
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
    """An overlap: `other` is the index of the overlapping text, `score` is 1 for equal texts.

    For ngram, the score is the share of the other text's n-grams that this text holds; for near, the Jaccard similarity
    of shingles; for renumbered, the score of the comparison that matched.
    """

    other: int
    kind: Kind
    score: float


class OverlapIndex:
    """An index of texts that finds those that overlap a text.

    Args:
        ngram: index of n-grams; None to skip this kind of overlap.
        near: index of near-duplicates; None to skip this kind.
        template_limit: most texts of one template (texts that differ only in numbers) that are compared for
            near-duplicates, None for all. All of them are candidates of one another, so the time grows with the square
            of their number. Texts over the limit are still found if equal or renumbered; `over_limit` counts them.
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
        # The first text of each group is enough.
        self._exact: dict[str, dict[str, int]] = {}
        self._masked: dict[str, dict[str, int]] = {}

    def add(self, text: Comparable, group: str = "") -> int:
        """Add a text to a group, and return its index, counted from 0."""
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
        """The indices of texts that are too short for n-grams."""
        return [] if self._ngram is None else self._ngram.too_short

    def find(self, text: Comparable) -> list[Match]:
        """Return one match for each overlapping text; the surest kind and the highest score come first."""
        best: dict[int, Match] = {}
        for match in self._candidates(text):
            known = best.get(match.other)
            if known is None or _rank(match) < _rank(known):
                best[match.other] = match
        return sorted(best.values(), key=_rank)

    def _candidates(self, text: Comparable) -> Iterator[Match]:
        if not text.whole:  # nothing to compare
            return
        for index in self._exact.get(text.whole, {}).values():
            yield Match(index, "exact", 1.0)
        for index in self._masked.get(mask_numbers(text.whole), {}).values():
            yield Match(index, "renumbered", 1.0)
        if self._ngram is not None:
            yield from self._judged(text, "ngram", self._ngram.find(text.words))
        if self._near is not None:
            yield from self._judged(text, "near", self._near.find(text.prose))

    def _judged(self, text: Comparable, kind: Kind, candidates: Iterable[tuple[int, float]]) -> Iterator[Match]:
        for index, score in candidates:
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
