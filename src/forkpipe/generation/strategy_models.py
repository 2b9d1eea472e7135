"""The language models that help clustering: one describes the steps of traces, one judges close pairs."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from forkpipe.engines.registry import create_engine
from forkpipe.parameters import StrategySettings
from forkpipe.parameters.traces import AskedModelSettings
from forkpipe.strategies.asker import Asker
from forkpipe.strategies.grouping import Judging


@contextmanager
def strategy_models(settings: StrategySettings) -> Iterator[tuple[Asker | None, Judging | None]]:
    """Yield the models that `grouping.cluster_all` takes, and close their engines at the end."""
    with ExitStack() as stack:

        def asker(model: AskedModelSettings, where: str) -> Asker:
            engine = create_engine(model.engine, model.options, f"strategies.{where}")
            stack.callback(engine.close)
            return Asker(engine, model.sampling.record(), model.revision, model.cache)

        summaries = asker(settings.summaries, "summaries") if settings.summaries else None
        judge = settings.judge
        yield summaries, Judging(asker(judge, "judge"), judge.margin) if judge else None
