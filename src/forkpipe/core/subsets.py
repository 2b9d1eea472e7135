"""The accuracy of samples on all problems and on subsets of them, and what has to be said beside such figures."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from forkpipe.core.statistics import mean_interval

WHOLE = "all"
"""The subset that is all problems."""

NO_VOTES = "no vote over programs"
"""Why a plurality vote has no value: two programs are equal only if they do the same on every input."""
WITHOUT_VOTES = ("code",)
"""Verifiers whose answers cannot vote."""


class Caveats:
    """What has to be said beside the figures of some verdicts, collected from their `detail`.

    Details are JSON text. `public_only` says that the problem's hidden tests are missing, `grader` that another grader
    than forkpipe's is emulated.
    """

    NAMES = ("public_only", "grader")

    def __init__(self) -> None:
        self._public_only: dict[str, bool] = {}
        self._graders: set[str] = set()

    def add(self, problem: str, detail: str | None) -> None:
        """Take the detail of a verdict into account; None or empty text says nothing."""
        said = json.loads(detail) if detail and any(f'"{name}"' in detail for name in self.NAMES) else {}
        public_only = bool(isinstance(said, dict) and said.get("public_only"))
        self._public_only[problem] = self._public_only.get(problem, False) or public_only
        if isinstance(said, dict) and said.get("grader"):
            self._graders.add(str(said["grader"]))

    def __str__(self) -> str:
        """Return all of them in one line, empty if there is nothing to say."""
        parts = []
        if partial := sum(self._public_only.values()):
            total = len(self._public_only)
            parts.append("public tests only" + (f" for {partial} of {total} problems" if partial < total else ""))
        parts += [f"graded as {grader} does" for grader in sorted(self._graders)]
        return "; ".join(parts)


def caveats_in(detail: str | None) -> str:
    """Return what `Caveats` reads of a detail, so that inputs and outputs need not be held for all rows."""
    said = json.loads(detail) if detail else {}
    return json.dumps({name: said[name] for name in Caveats.NAMES if name in said}) if said else ""


class JudgedSample(NamedTuple):
    """A sample that was judged.

    Attributes:
        problem: what identifies its problem.
        correct: whether it is right.
        subsets: column -> value: which subsets its problem belongs to.
        detail: of its verdict, for `Caveats`.
    """

    problem: str
    correct: bool
    subsets: Mapping[str, str] = {}
    detail: str = ""


class SubsetAccuracy(NamedTuple):
    """The accuracy on a subset, with a 95 % interval over problems."""

    subset: str
    """`WHOLE`, or column=value."""
    value: float
    low: float
    high: float
    n_problems: int
    n_samples: int
    """In all."""
    note: str
    """See `Caveats`."""


def accuracy_by_subset(judged: Iterable[JudgedSample]) -> list[SubsetAccuracy]:
    """Return the mean over problems of each problem's accuracy (pass@1): of all, then of every subset by name.

    >>> samples = [JudgedSample("a", True, {"difficulty": "easy"}), JudgedSample("b", False, {"difficulty": "hard"})]
    >>> [(one.subset, one.value, one.n_problems) for one in accuracy_by_subset(samples)]
    [('all', 0.5, 2), ('difficulty=easy', 1.0, 1), ('difficulty=hard', 0.0, 1)]
    """
    right: dict[str, Counter[str]] = defaultdict(Counter)
    samples: dict[str, Counter[str]] = defaultdict(Counter)
    caveats: dict[str, Caveats] = defaultdict(Caveats)
    for sample in judged:
        for subset in (WHOLE, *(f"{column}={value}" for column, value in sample.subsets.items())):
            right[subset][sample.problem] += sample.correct
            samples[subset][sample.problem] += 1
            caveats[subset].add(sample.problem, sample.detail)
    accuracies = []
    for subset in sorted(samples, key=lambda name: (name != WHOLE, name)):
        values = [right[subset][problem] / count for problem, count in samples[subset].items()]
        low, high = mean_interval(values)
        mean = sum(values) / len(values)
        note = str(caveats[subset])
        accuracies.append(SubsetAccuracy(subset, mean, low, high, len(values), samples[subset].total(), note))
    return accuracies


def format_accuracies(accuracies: Iterable[SubsetAccuracy]) -> str:
    """Return a plain-text table in percent, with what has to be said beside each figure."""
    lines = [("subset", "problems", "samples", "pass@1", "95 % over problems", "")]
    for one in accuracies:
        interval = f"[{100 * one.low:.1f}, {100 * one.high:.1f}]"
        counts = (str(one.n_problems), str(one.n_samples))
        lines.append((one.subset, *counts, f"{100 * one.value:.2f}", interval, one.note))
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]) - 1)]
    return "\n".join(
        "  ".join(
            [line[0].ljust(widths[0]), *map(str.rjust, line[1:-1], widths[1:]), line[-1]],
        ).rstrip()
        for line in lines
    )
