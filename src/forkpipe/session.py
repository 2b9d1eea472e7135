"""What `kedro run` does differently here: it makes what a target lacks, and says in one line what a user can mend."""

from collections.abc import Callable, Iterable
from typing import Any

import click
from kedro.framework.session import KedroSession
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node
from kedro.runner import AbstractRunner, SequentialRunner

from forkpipe.core.errors import InputError
from forkpipe.progress import logger

SLICES = ("tags", "node_names", "from_nodes", "to_nodes", "from_inputs", "to_outputs", "namespaces")
"""Arguments of a run that choose nodes; with any of them, Kedro's meaning stands and nothing is added or left out."""


def nodes_needed(pipeline: Pipeline, targets: Iterable[Node], exists: Callable[[str], bool]) -> set[Node]:
    """Return the targets and, upstream of them, the nodes whose outputs are needed and not there.

    Args:
        pipeline: the targets and everything upstream.
        targets: nodes that run in any case.
        exists: whether a dataset is there.
    """
    maker = {output: node for node in pipeline.nodes for output in node.outputs}
    needed: set[Node] = set()
    pending = list(targets)
    while pending:
        node = pending.pop()
        if node in needed:
            continue
        needed.add(node)
        pending += [maker[name] for name in node.inputs if name in maker and not exists(name)]
    return needed


class UpstreamRunner(SequentialRunner):
    """Runs the nodes of the named pipelines, and of what they need only what is missing.

    Args:
        targets: names of the requested pipelines; their own nodes are tagged with them.
    """

    def __init__(self, targets: Iterable[str]) -> None:
        super().__init__()
        self._targets = set(targets)

    def run(self, pipeline: Pipeline, catalog: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Leave out what is made already, then run."""
        own = [node for node in pipeline.nodes if node.tags & self._targets]
        needed = nodes_needed(pipeline, own, catalog.exists)
        missing = sorted(node.name for node in needed - set(own))
        if missing:
            logger.info("made first, because it is not there: %s", ", ".join(missing))
        left = len(pipeline.nodes) - len(needed)
        if left:
            logger.info("%d nodes upstream are left as they are: their outputs exist", left)
        return super().run(pipeline.only_nodes(*(node.name for node in needed)), catalog, *args, **kwargs)


class ForkpipeSession(KedroSession):
    """A Kedro session for this project."""

    def run(  # type: ignore[override]
        self,
        pipeline_name: str | None = None,
        pipeline_names: list[str] | None = None,
        runner: AbstractRunner | None = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """Run as Kedro does; see `UpstreamRunner` for what a named pipeline makes first."""
        targets = [pipeline_name] if pipeline_name else list(pipeline_names or [])
        sliced = any(kwargs.get(name) for name in (*SLICES, "only_missing_outputs"))
        if targets and "__default__" not in targets and not sliced and type(runner) in (SequentialRunner, type(None)):
            runner = UpstreamRunner(targets)
        try:
            return super().run(pipeline_name=pipeline_name, pipeline_names=pipeline_names, runner=runner, **kwargs)
        except Exception as error:
            if (cause := _input_error(error)) is not None:
                raise click.ClickException(str(cause)) from error
            raise


def _input_error(error: BaseException | None) -> InputError | None:
    """Return the InputError behind an exception: datasets wrap what they raise."""
    while error is not None:
        if isinstance(error, InputError):
            return error
        error = error.__cause__
    return None
