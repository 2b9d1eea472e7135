"""Compare how traces solve a problem: steps, distances, clusters. Needs no Kedro, no model and no network.

>>> from forkpipe import strategies
>>> problem = "How many numbers from 1 to 100 are divisible by 3 or 5?"
>>> listing = "We list the multiples one by one and count them: there are 47."
>>> formula = "By inclusion-exclusion, 33 + 20 - 6 = 47."
>>> strategies.cluster(problem, [listing, formula, listing]).labels
[0, 1, 0]
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from forkpipe.strategies.api import Pair as Pair
    from forkpipe.strategies.api import cluster as cluster
    from forkpipe.strategies.api import compare as compare
    from forkpipe.strategies.api import steps as steps
    from forkpipe.strategies.base import Clusters as Clusters
    from forkpipe.strategies.clusterer import StepClusterer as StepClusterer

_OFFERED = {
    "Clusters": "base",
    "Pair": "api",
    "StepClusterer": "clusterer",
    "cluster": "api",
    "compare": "api",
    "steps": "api",
}


def __getattr__(name: str) -> Any:
    """Import a name of `_OFFERED` when it is first used."""
    if name in _OFFERED:
        return getattr(import_module(f"forkpipe.strategies.{_OFFERED[name]}"), name)
    raise AttributeError(f"module 'forkpipe.strategies' has no attribute {name!r}")
