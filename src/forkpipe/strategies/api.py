"""Functions that `forkpipe.strategies` offers: compare two traces, cluster several, list the steps of one."""

from collections.abc import Sequence
from typing import NamedTuple

from forkpipe.strategies.base import Clusters
from forkpipe.strategies.clusterer import THRESHOLD, StepClusterer
from forkpipe.strategies.trace_steps import Step, steps_of


class Pair(NamedTuple):
    """The distance between two traces, 0 to 1, and its label: "same" or "different"."""

    distance: float
    label: str


def compare(problem: str, a: str, b: str, threshold: float = THRESHOLD) -> Pair:
    """Compare the strategies of two traces of one problem.

    Raises:
        InputError: the threshold is no number from 0 to 1.

    Examples:
        >>> compare("x + 3 = 5?", "Subtract 3, so x = 2.", "Subtract 3, so x = 2.")
        Pair(distance=0.0, label='same')
    """
    clusterer = StepClusterer(threshold)
    distance = float(clusterer.distances(problem, [a, b])[0, 1])
    return Pair(distance, "different" if distance > clusterer.threshold else "same")


def cluster(problem: str, texts: Sequence[str], threshold: float = THRESHOLD) -> Clusters:
    """Group traces of one problem by strategy; see `base.Clusters`."""
    return StepClusterer(threshold).cluster(problem, texts)


def steps(problem: str, text: str) -> list[Step]:
    """Return the steps of a trace."""
    return steps_of(problem, text)
