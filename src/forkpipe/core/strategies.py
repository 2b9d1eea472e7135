r"""Strategy-level dedup: group the correct traces of one problem by HOW they solve it, not by how they are worded.

Distance in wording (n-grams, sentence embeddings) is nearly blind to the approach of a solution. The default compares
two things that another approach changes and a paraphrase keeps: the operations used and the intermediate values
produced; both are cheap stand-ins for the step summaries of Reasoning Path Divergence (arXiv 2510.26122). No model is
asked, so it misses two approaches that use the same operations on the same values, and it tends to split two write-ups
of one approach of which one explores much more than the other: over pairs of long traces of a problem the distance
correlates with the log ratio of their lengths (about .4).
"""

import itertools
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from forkpipe.core.errors import InputError

REPEATS_THAT_COUNT = 7
"""Log weights saturate here (1 + 7 = 2 ** 3), so that a trace that checks its result twenty times does not drown."""

THINKING_WEIGHT = 0.25
"""What only the thinking holds: the solution says which approach was taken, the thinking also which were dropped."""


@dataclass(frozen=True, slots=True)
class Clusters:
    """The strategies among n texts, in k clusters.

    `labels` (n) are cluster indices, 0 the largest cluster (ties: the one with the smallest index of a text);
    `representatives` (k) are the indices of the medoids; `distances` (n), 0 to 1, are to the own representative.
    """

    labels: list[int]
    representatives: list[int]
    distances: list[float]


@runtime_checkable
class StrategyClusterer(Protocol):
    """Groups texts that solve one problem by their strategy.

    `version` is declared by hand and raised when the same texts would be grouped differently.
    """

    name: str
    version: str

    def cluster(self, problem: str, texts: Sequence[str]) -> Clusters:
        """Group the texts; identical texts share a cluster, and the order of the texts only relabels the clusters."""
        ...


class Profile(NamedTuple):
    """What a trace does: weights by operation, and weights by intermediate value (in bare notation also by pair)."""

    operations: dict[str, float]
    values: dict[str, float]


class StepClusterer:
    """Groups traces whose operations and intermediate values are alike: complete linkage under a maximum diameter.

    With the defaults two traces that share no operation are never taken together (their distance is at least .6), and
    two with the same operations are alike enough whatever values they pass through (at most .4).

    Args:
        threshold: largest distance between any two traces of a cluster, 0 to 1.
        operations_weight: weight of the operations in the distance, the rest is the weight of the values, 0 to 1.
        max_values: how many values describe a trace, those of the greatest weight; keeps a long exploration from
            drowning the values on which the solution rests.

    >>> StepClusterer().cluster("2 ^ 6 mod 17", ["2 sq 4 mul 8 sq 13", "log 14 rem 6 prod 4", "2 sq 4 mul 8 sq 13"])
    Clusters(labels=[0, 1, 0], representatives=[0, 1], distances=[0.0, 0.0, 0.0])
    """

    name = "steps"
    version = "1"

    def __init__(self, threshold: float = 0.55, operations_weight: float = 0.6, max_values: int = 64) -> None:
        for field, share in (("threshold", threshold), ("operations_weight", operations_weight)):
            if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share <= 1:
                raise InputError(f"strategy clusterer 'steps': {field} is {share!r}, expected a number from 0 to 1")
        if isinstance(max_values, bool) or not isinstance(max_values, int) or max_values < 1:
            raise InputError(f"strategy clusterer 'steps': max_values is {max_values!r}, expected an integer above 0")
        self._threshold = float(threshold)
        self._operations_weight = float(operations_weight)
        self._max_values = max_values

    def cluster(self, problem: str, texts: Sequence[str]) -> Clusters:
        """Group the texts by strategy; linear in their lengths, quadratic in their number."""
        if not texts:
            return Clusters([], [], [])
        # Ties in linkage and medoids are broken by position: sorted by text, the order given cannot matter.
        order = sorted(range(len(texts)), key=lambda index: (len(texts[index]), texts[index], index))
        distances = self.distances(problem, [texts[index] for index in order])
        clusters = sorted(
            ([order[position] for position in group], group) for group in _complete_linkage(distances, self._threshold)
        )
        clusters.sort(key=lambda both: (-len(both[0]), min(both[0])))
        labels, to_representative, representatives = [0] * len(texts), [0.0] * len(texts), []
        for label, (_, group) in enumerate(clusters):
            inside = distances[np.ix_(group, group)]
            medoid = group[int(np.argmin(inside.sum(axis=1).round(12)))]  # the first of equals is the shortest
            representatives.append(order[medoid])
            for position in group:
                labels[order[position]] = label
                to_representative[order[position]] = float(distances[position, medoid])
        return Clusters(labels, representatives, to_representative)

    def distances(self, problem: str, texts: Sequence[str]) -> NDArray[np.float64]:
        """Return the n x n distances between texts, 0 to 1; 0 where nothing tells two texts apart."""
        profiles = [profile(problem, text, self._max_values) for text in texts]
        parts = [
            (self._operations_weight, [one.operations for one in profiles]),
            (1.0 - self._operations_weight, [one.values for one in profiles]),
        ]
        total = np.zeros((len(texts), len(texts)))
        weight_used = np.zeros_like(total)
        for weight, rows in parts:
            distance, known = _weighted_jaccard(rows)
            total += weight * distance * known
            weight_used += weight * known
        distances: NDArray[np.float64] = np.divide(total, weight_used, out=np.zeros_like(total), where=weight_used > 0)
        return distances.round(12)  # a distance at the threshold must not depend on the last bit


def profile(problem: str, text: str, max_values: int) -> Profile:
    r"""Describe a trace by its operations and intermediate values, without what the problem and the answer give away.

    A weight is log2(1 + times), saturating at `REPEATS_THAT_COUNT` times, and `THINKING_WEIGHT` of that for what stands
    in the thinking only. Operations and values named in the problem and the values in the final \boxed answer are left
    out: every solution shares them.

    >>> profile("7 ^ 2 mod 17", r"7 sq 15 \boxed{ 15 }", 64)
    Profile(operations={'sq': 1.0}, values={'7 15': 1.0})
    """
    thinking, solution = _split_thinking(text)
    answers = _split_boxed(text)[1][-1:]
    known_operations = _operations(problem).keys()
    known_values = _values(problem).keys() | {value for answer in answers for value in _values(answer)}
    operations: dict[str, float] = {}
    values: dict[str, float] = {}
    for part, scale in ((solution, 1.0), (thinking, THINKING_WEIGHT)):
        written = _split_boxed(_TAG.sub(" ", part))[0]
        _add(operations, _operations(written), scale, known_operations)
        _add(values, _values_produced(written), scale, known_values)
    # The sort is stable: of equal values the one that comes first is kept.
    return Profile(operations, dict(sorted(values.items(), key=lambda item: -item[1])[:max_values]))


def _add(weights: dict[str, float], times: Mapping[str, int], scale: float, known: Set[str]) -> None:
    for name, count in times.items():
        if name not in known:
            weight = scale * math.log2(1 + min(count, REPEATS_THAT_COUNT))
            weights[name] = max(weights.get(name, 0.0), weight)


def _weighted_jaccard(rows: Sequence[Mapping[str, float]]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return n x n distances 1 - sum of minima / sum of maxima, and where they are known: not both rows are empty."""
    columns = {name: index for index, name in enumerate(sorted({name for row in rows for name in row}))}
    matrix = np.zeros((len(rows), len(columns)))
    for index, row in enumerate(rows):
        for name, weight in row.items():
            matrix[index, columns[name]] = weight
    shared = np.array([np.minimum(matrix, row).sum(axis=1) for row in matrix])
    either = np.array([np.maximum(matrix, row).sum(axis=1) for row in matrix])
    known = either > 0
    return 1.0 - np.divide(shared, either, out=np.ones_like(either), where=known), known


def _complete_linkage(distances: NDArray[np.float64], diameter: float) -> list[list[int]]:
    """Return the groups, each a sorted list of positions, of complete linkage cut at a diameter (inclusive)."""
    if len(distances) == 1:
        return [[0]]
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import squareform

    flat: Any = fcluster(linkage(squareform(distances, checks=False), "complete"), diameter, "distance")
    groups: dict[int, list[int]] = {}
    for position, label in enumerate(flat):
        groups.setdefault(int(label), []).append(position)
    return list(groups.values())


# Reading a text. Every pattern is bounded or matches disjoint stretches: linear in the length of the text.

_TAG = re.compile(r"</?\|?[A-Za-z_]{3,40}[0-9]{0,3}\|?>")  # <think>, </think>, <think3>, <|im_end|>
_END_OF_THINKING = re.compile(r"</think(?:ing)?[0-9]{0,3}>|<\|end_of_thought\|>")
_SHORTEST_SOLUTION = 10
_BRACE = re.compile(r"\\boxed\s{0,9}\{|\\[{}]|[{}]")


def _split_thinking(text: str) -> tuple[str, str]:
    """Return (thinking, solution); the thinking is empty where no solution of a few words follows its end."""
    end = max((match.end() for match in _END_OF_THINKING.finditer(text)), default=0)
    is_solution = len(text[end:].split(maxsplit=_SHORTEST_SOLUTION)) >= _SHORTEST_SOLUTION
    return (text[:end], text[end:]) if is_solution else ("", text)


def _split_boxed(text: str) -> tuple[str, list[str]]:
    r"""Cut the outermost \boxed{...} out of a text; return what is left and what stood in the boxes.

    >>> _split_boxed(r"so x = 2 \boxed{\frac{1}{2}}.")
    ('so x = 2  .', ['\\frac{1}{2}'])
    """
    open_braces: list[bool] = []  # whether each opens a box
    outside: list[str] = []
    boxes: list[str] = []
    depth = 0  # open boxes
    start = end = 0  # of the outermost box
    for match in _BRACE.finditer(text):
        brace = match.group()
        if brace.startswith("\\boxed"):
            if depth == 0:
                outside.append(text[end : match.start()])
                start = match.end()
            depth += 1
            open_braces.append(True)
        elif brace == "{":
            open_braces.append(False)
        elif brace == "}" and open_braces and open_braces.pop():
            depth -= 1
            if depth == 0:
                boxes.append(text[start : match.start()])
                end = match.end()
    outside.append(text[start if depth else end :])  # a box that never closes is no answer: keep what it holds
    return " ".join(outside), boxes


_NUMBER = re.compile(r"(?<![0-9.])[0-9]{1,3}(?:,[0-9]{3}){1,8}(?![0-9,])|[0-9]+(?:\.[0-9]+)?")
_FRACTION = re.compile(r"\\[dt]?frac\s?\{\s?([0-9]{1,20})\s?\}\s?\{\s?([0-9]{1,20})\s?\}")


def _values(text: str) -> Counter[str]:
    r"""Count the numbers in a text, each in one notation; a numeric \frac is one value.

    >>> sorted(_values(r"1,250 + 0.50 = \frac{5}{6}, 007"))
    ['0.5', '1250', '5/6', '7']
    """
    counts = Counter(f"{_plain(match[1])}/{_plain(match[2])}" for match in _FRACTION.finditer(text))
    counts.update(_numbers(_FRACTION.sub(" ", text)))
    return counts


def _values_produced(text: str) -> Counter[str]:
    """Count the values of a solution, and in bare notation also the pairs of one value and the next."""
    values = _values(text)
    if _is_prose(text):
        # A single digit is mostly the number of a step, an exponent or a coefficient.
        return Counter({value: times for value, times in values.items() if len(value) > 1})
    # Bare notation is little but numbers: which one follows which tells how they were come by.
    values.update(f"{first} {second}" for first, second in itertools.pairwise(_numbers(text)))
    return values


def _numbers(text: str) -> list[str]:
    return [_plain(match.group()) for match in _NUMBER.finditer(text.replace("{,}", ","))]


def _plain(number: str) -> str:
    whole, _, decimals = number.replace(",", "").partition(".")
    whole, decimals = whole.lstrip("0") or "0", decimals.rstrip("0")
    return f"{whole}.{decimals}" if decimals else whole


_WORD = re.compile(r"\\[A-Za-z]+|[A-Za-z]+")


def _operations(text: str) -> Counter[str]:
    r"""Count the operator symbols and the words that name a technique.

    In prose a word counts when it begins with a known stem; in bare notation every word of two letters or more does.

    >>> dict(_operations(r"We add the roots: \frac{x}{2} + \sqrt 3"))
    {'+': 1, 'root': 2, '/': 1}
    """
    counts = Counter(_CONCEPTS[symbol] for symbol in _SYMBOL.findall(text))
    words = Counter(word if word[0] == "\\" else word.lower() for word in _WORD.findall(text))
    prose = _is_prose(text)
    for word, times in words.items():
        name = _technique(word)
        if not name and not prose and word[0] != "\\" and 2 <= len(word) <= _LONGEST_NOTATION:
            name = word
        if name:
            counts[name] += times
    return counts


_LONGEST_NOTATION = 30
_FUNCTION_WORD = re.compile(
    r"\b(?:an|and|are|as|at|be|but|by|can|do|for|from|has|have|here|if|in|is|it|its|let|of|on|or|so|that|the|then|there"
    r"|this|to|was|we|which|with|you)\b",
    re.IGNORECASE,
)


def _is_prose(text: str) -> bool:
    """Whether a text is English prose rather than bare notation: in prose one word in twenty is a function word."""
    words = len(_WORD.findall(text))
    return words > 0 and len(_FUNCTION_WORD.findall(text)) * 20 >= words


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


# One line a concept: its name, then the symbols, LaTeX commands and stems that mean it. A word counts when it begins
# with a stem; a stem that ends in a full stop is a whole word ("sin." must not find "since").
_VOCABULARY = r"""
+ +
- - −
* * · × \cdot \times
/ / ÷ \frac \dfrac \tfrac \div
^ ^ ² ³
| |
< < ≤ \le \leq \lt
> > ≥ \ge \geq \gt
assume assum suppos
hypothesis hypothes
contradiction contradict absurd
induction induct
recursion recur
generating-function generating
casework cases. case.
complement complementary. complement.
inclusion-exclusion inclusion exclusion
symmetry symmetr
substitution substitut plug.
factor factor
prime prime
gcd gcd. coprime hcf. \gcd
divisibility divis multiple. multiples.
modular modul mod. congru remainder residue \equiv \pmod \bmod \mod ≡
parity parity odd.
quadratic quadratic
root roots. root. sqrt. \sqrt √
vieta vieta
polynomial polynomial
coefficient coefficient
discriminant discriminant
determinant determinant
matrix matri \pmatrix
vector vector \vec
coordinates coordinat
slope slope
perpendicular perpendicular orthogonal \perp ⊥
parallel parallel \parallel ∥
midpoint midpoint median
bisector bisect
circumcircle circumc circumr
incircle incenter inradius incircle
tangent tangent
power power. powers.
similarity similar. similarity
triangle triangle \triangle △
angle angle \angle \theta ∠ °
sine sine. cosine. sines. cosines. sin. cos. \sin \cos
pythagoras pythag hypotenuse
shoelace heron shoelace
area area. areas.
volume volume
trigonometry trigonom tan. \tan
complex complex. imaginary
conjugate conjugat \overline
polar polar
logarithm logarithm log. logs. ln. \log \ln
exponent exponen
derivative derivative differentiat
integral integral integrat \int ∫
optimum maxim minim optimi
lagrange lagrange
cauchy cauchy schwarz
inequality inequalit
bound bound. bounds. bounded.
permutation permut
arrangement arrang
combination combinat binom \binom \dbinom \tbinom \choose
factorial factorial
probability probab
expectation expectation
conditional conditional bayes
enumeration enumerat list. listing. lists.
pairing pair
bijection biject corresponden
graph graph. graphs. vertices.
burnside burnside orbit rotat
pigeonhole pigeonhole
invariant invarian
telescoping telescop
sum sum. sums. summing. \sum ∑
product product. products. \prod ∏
union union \cup ∪
intersection intersect \cap ∩
floor floor. ceil \lfloor \lceil ⌊ ⌈
geometric geometric
arithmetic arithmetic
sequence sequence
pattern pattern
cycle cycl period
fermat fermat
euler euler totient
chinese-remainder chinese
inverse inverse
binary binary
digits digit
decimal decimal
expansion expand expansion
elimination isolat eliminat
system system simultaneous.
linear linear
parameter parameter parametri
interpolation interpolat
approximation approximat estimat
stars-and-bars stars.
lattice grid lattice
path path
game winning losing
greedy greedy
brute-force brute program simulat
reflection reflect
ratio ratio. ratios. proportion
""".strip()
_CONCEPTS = {sign: line.split()[0] for line in _VOCABULARY.splitlines() for sign in line.split()[1:]}
_LONGEST_STEM = max(map(len, _CONCEPTS))
_SYMBOL = re.compile("[" + re.escape("".join(sign for sign in _CONCEPTS if len(sign) == 1)) + "]")
