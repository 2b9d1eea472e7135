"""Parameters of evaluation."""

from typing import Annotated

from pydantic import Field

from forkpipe.parameters.base import AsksEngine, Count, EngineSettings
from forkpipe.parameters.traces import CheckpointSampling


class EvaluationSettings(AsksEngine):
    """How checkpoints are sampled and scored."""

    samples_per_tag: Count = 4
    """Samples of a problem under each tag; a method with one plain tag draws N times as many."""
    sampling: CheckpointSampling = Field(default_factory=lambda: CheckpointSampling(temperature=0.7, top_p=0.95))
    pass_at: Annotated[list[Count], Field(min_length=1)] = [1, 2, 4, 6, 8, 12]
    """The k of the pass@k curve."""
    bootstrap: Annotated[int, Field(ge=100)] = 2000
    """Number of bootstrap resamples over problems for the interval of each difference between two methods."""
    engine: EngineSettings = Field(default_factory=EngineSettings)
    """Samples the checkpoints, as `rollouts.engine` fills tables of rewards."""
    limit: Count | None = None
    """Most problems of each split that are sampled, for a first try; which ones follows from their ids."""
    batch_rows: Count = 512
    """Sequences generated at a time by the engine transformers."""
