"""The clusterers that parameters can name. A new clusterer is one file and one line in `CLUSTERERS`."""

from forkpipe.core.plugins import Plugin, create
from forkpipe.parameters import StrategySettings
from forkpipe.strategies.base import StrategyClusterer

CLUSTERERS = {
    "steps": Plugin("forkpipe.strategies.clusterer:StepClusterer"),
}


def create_clusterer(settings: StrategySettings) -> StrategyClusterer:
    """Return the configured clusterer."""
    clusterer: StrategyClusterer = create(
        "clusterer", CLUSTERERS, settings.clusterer, settings.options, "strategies.clusterer"
    )
    return clusterer
