"""What the parameters `benchmarks.measure` say, as models and measurements."""

from collections.abc import Iterator

from forkpipe.core.protocols import Protocol, TagPolicy
from forkpipe.evaluation.benchmark_samples import Measurement
from forkpipe.evaluation.subjects import Subject, open_subject
from forkpipe.parameters import EngineSettings, MeasureSettings
from forkpipe.parameters.benchmarks import BenchmarksSettings


def measurement_of(settings: BenchmarksSettings, seed: int) -> Measurement:
    """Return how models are measured."""
    measure = settings.measure
    return Measurement(
        measure.shares(settings.use),
        [TagPolicy.parse(text) for text in measure.policies],
        [Protocol.parse(text) for text in measure.protocols],
        measure.sampling.record(),
        seed,
    )


def subjects_of(measure: MeasureSettings) -> Iterator[tuple[Subject, EngineSettings]]:
    """Yield the models that parameters name, with their engines; InputError for one that cannot be opened."""
    for name, entry in measure.subjects.items():
        engine = entry.engine or measure.engine
        weights = engine.name != "openai"
        yield open_subject(entry.model, name=name, tags=entry.tags_given, weights=weights), engine
