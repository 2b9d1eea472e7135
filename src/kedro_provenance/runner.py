"""The runner: Kedro's sequential runner, but it runs only stale nodes, and prints why before it does."""

import logging
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import click
from kedro.framework.project import pipelines
from kedro.io import CatalogProtocol
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node
from kedro.runner import SequentialRunner
from kedro.runner.task import Task

from kedro_provenance import options
from kedro_provenance.content import Contents
from kedro_provenance.printing import print_accepted, print_plan
from kedro_provenance.recipes import Declared, Recipes
from kedro_provenance.records import environment
from kedro_provenance.scheduler import Planned, Scheduler

logger = logging.getLogger("kedro_provenance")

CACHE = Path("data") / ".provenance" / "digests.json"
"""Cached digests of files, relative to the project's root; may be deleted at any time."""
CODE = CACHE.with_name("code.json")
"""What fingerprints need to know of source files, likewise."""


class ProvenanceRunner(SequentialRunner):
    """Runs the stale nodes that the requested pipelines need.

    Args:
        targets: names of the requested pipelines, None for all nodes. A pipeline that also holds what is upstream of it
            tags its own nodes with its name; where none is tagged, all are its own.
        sliced: whether the user chose nodes (`--nodes`, `--from-nodes`, `--tags`, ...): then all of them run, as in
            Kedro.
        check: called with the catalog and the nodes that may run, before the first of them runs.
        describe: called with the same; returns lines that are printed after the plan.

    Attributes:
        failed: the node whose error ended the run.
    """

    def __init__(
        self,
        declared: Declared,
        targets: Iterable[str] | None,
        *,
        sliced: bool,
        project: Path,
        check: Callable[[Any, Sequence[Node]], None] | None = None,
        describe: Callable[[Any, Sequence[Node]], Iterable[str]] | None = None,
    ) -> None:
        super().__init__()
        self._check = check
        self._describe = describe
        self._declared = declared
        self._requested = None if targets is None else set(targets)
        self._sliced = sliced
        self._project = project
        self.failed: Node | None = None

    def run(self, pipeline: Pipeline, catalog: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Print the plan and run it, or only print it, or accept existing outputs, as the command asks.

        The command ends with exit code 1 if it names a node that cannot be accepted.
        """
        asked = options.current()
        for name in pipeline.datasets():
            catalog.get(name, fallback_to_runtime_pattern=True)
        if asked.mode == "run":
            return super().run(pipeline, catalog, *args, **kwargs)
        scheduler = self._scheduler(pipeline, catalog, "")
        if asked.mode == "plan":
            plan = scheduler.plan()
            print_plan(plan, running=False)
            self._check_stale(scheduler, catalog, plan)
        else:
            incomplete = scheduler.incomplete(asked.names)
            print_accepted(scheduler.accept(asked.names), incomplete)
            if incomplete and asked.names:
                raise click.exceptions.Exit(1)
        return {}

    def _check_stale(self, scheduler: Scheduler, catalog: Any, plan: Sequence[Planned]) -> None:
        """Check what the nodes that may run need and replace, before the first of them runs, and describe them."""
        scheduler.check(plan)
        nodes = [planned.node for planned in plan if planned.status != "fresh"]
        if self._check is not None:
            self._check(catalog, nodes)
        for line in self._describe(catalog, nodes) if self._describe is not None else ():
            click.echo(line)

    def _run(
        self, pipeline: Pipeline, catalog: CatalogProtocol, hook_manager: Any = None, run_id: str | None = None
    ) -> None:
        scheduler = self._scheduler(pipeline, catalog, run_id or "")
        plan = scheduler.plan()
        print_plan(plan, running=True)
        if self._sliced:
            self._warn_of_stale_inputs(pipeline, catalog)
        self._check_stale(scheduler, catalog, plan)

        most = sum(planned.status != "fresh" for planned in plan)

        def execute(node: Node) -> None:
            logger.info("running %s (%d of at most %d)", node.name, len(scheduler.ran) + 1, most)
            self.failed = node
            Task(node=node, catalog=catalog, hook_manager=hook_manager, is_async=False, run_id=run_id).execute()
            self.failed = None

        scheduler.run(execute)
        spared = [p.node.name for p in plan if p.status != "fresh" and p.node.name not in scheduler.ran]
        logger.info("%d nodes ran, %d were fresh", len(scheduler.ran), len(plan) - len(scheduler.ran) - len(spared))
        if spared:
            logger.info("%d did not have to run, their inputs came out the same: %s", len(spared), ", ".join(spared))

    def _scheduler(self, pipeline: Pipeline, catalog: Any, run_id: str) -> Scheduler:
        asked = options.current()
        names = {node.name for node in pipeline.nodes}
        unknown = set(asked.names) - names
        if unknown:
            raise click.ClickException(f"no node of this run is called {', '.join(sorted(unknown))}")
        if self._sliced:
            targets = forced = names
        else:
            targets = self._targets(pipeline)
            forced = targets if asked.force_all else set(asked.names) if asked.mode == "run" else set()
        return Scheduler(
            pipeline,
            catalog,
            Recipes(catalog, self._declared, self._project / CODE),
            Contents(self._project / CACHE),
            targets=targets,
            forced=forced,
            run_id=run_id,
            environment=environment(self._declared.versions_of),
            project=self._project,
        )

    def _targets(self, pipeline: Pipeline) -> set[str]:
        """Return the last nodes of the requested pipelines: those with an output that none of their other nodes reads.

        Other nodes run as far as the targets need them. With `--force=all`, all own nodes are targets.
        """
        own = self._own(pipeline)
        if options.current().force_all:
            return {node.name for node in own}
        read = {name for node in own for name in node.inputs}
        return {node.name for node in own if not node.outputs or any(output not in read for output in node.outputs)}

    def _own(self, pipeline: Pipeline) -> list[Node]:
        """Return the own nodes of the requested pipelines, see `targets`."""
        if self._requested is None:
            return list(pipeline.nodes)
        names = set()
        for name in self._requested:
            nodes = pipelines[name].nodes
            tagged = [node for node in nodes if name in node.tags]
            names |= {node.name for node in tagged or nodes}
        return [node for node in pipeline.nodes if node.name in names]

    def _warn_of_stale_inputs(self, pipeline: Pipeline, catalog: Any) -> None:
        whole = pipelines["__default__"]
        outputs = {output for node in whole.nodes for output in node.outputs}
        inputs = [name for name in pipeline.inputs() if name in outputs]
        if not inputs:
            return
        upstream = whole.to_outputs(*inputs)
        for name in upstream.datasets():
            catalog.get(name, fallback_to_runtime_pattern=True)
        makers = {node.name for node in upstream.nodes if set(node.outputs) & set(inputs)}
        recipes = Recipes(catalog, self._declared, self._project / CODE)
        contents = Contents(self._project / CACHE)
        for planned in Scheduler(upstream, catalog, recipes, contents, targets=makers).plan():
            if planned.status == "run":
                logger.warning(
                    "%s, whose output these nodes read, is stale: %s", planned.node.name, "; ".join(planned.reasons)
                )
