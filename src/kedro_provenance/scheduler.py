"""Decide what runs: nodes are resolved from the targets upwards, one at a time, with early cut-off.

A node is *stale* if its record disagrees with its recipe of today, if an output was changed after it was made or said
that it is unfinished, or if it has no record. Before a node is resolved, the nodes that make its inputs are. A stale
node runs; then the nodes that read its outputs are compared with the new content, and if that is the same as before,
they do not run (early cut-off).

A missing output makes its node run only if the node is a target, or if a node that runs needs the output; until then
the record stands for it. So a raw table that was deleted to save space triggers nothing while all nodes that depend on
it are fresh.
"""

from collections.abc import Callable, Collection, Container, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node

from kedro_provenance.content import Contents, location
from kedro_provenance.owned import Owned
from kedro_provenance.recipes import Recipes, is_parameter
from kedro_provenance.records import Recipe, Record, now, read_record, write_record
from kedro_provenance.sources import entry, referenced

Status = Literal["fresh", "run", "if inputs change"]


class Planned(NamedTuple):
    """A node of a plan: whether it runs, and why."""

    node: Node
    status: Status
    reasons: list[str]


@dataclass(eq=False)
class Scheduler:
    """Decides what runs in one pipeline, which holds the targets and everything upstream of them, and runs it.

    Args:
        pipeline: targets and everything upstream.
        forced: names of nodes that run even if they are fresh.
        project: root folder of the project; records hold the places of outputs relative to it.
    """

    pipeline: Pipeline
    catalog: Any
    recipes: Recipes
    contents: Contents
    targets: Collection[str]
    forced: Collection[str] = ()
    run_id: str = ""
    environment: dict[str, Any] = field(default_factory=dict)
    project: Path | None = None
    ran: list[str] = field(init=False, default_factory=list)
    _sources: dict[tuple[str, str], dict[str, Any]] = field(init=False, default_factory=dict)
    _resolved: set[str] = field(init=False, default_factory=set)

    def __post_init__(self) -> None:
        self._nodes = self.pipeline.nodes
        self._owned = Owned(self.catalog, self.contents, self.project)
        self._maker = {output: node for node in self._nodes for output in node.outputs}

    def plan(self) -> list[Planned]:
        """Return what a run would do, in order; nodes that no target needs are left out. Saves computed digests."""
        plan: dict[str, Planned] = {}
        wanted = self._cone()
        for node in (node for node in self._nodes if node.name in wanted):
            reasons = self._reasons(node)
            if node.name in self.targets:
                reasons += self._absent(node)
            made = [name for name in node.inputs if name in self._maker]
            waiting = [name for name in made if plan[self._maker[name].name].status != "fresh"]
            status: Status = "run" if reasons else "if inputs change" if waiting else "fresh"
            if status == "if inputs change":
                listed = ", ".join(waiting[:3]) + (f" or {len(waiting) - 3} more" if len(waiting) > 3 else "")
                reasons = [f"if {listed} changes"]
            plan[node.name] = Planned(node, status, reasons)
        for node in reversed(self._nodes):
            if node.name in plan and plan[node.name].status != "fresh":
                self._plan_absent_inputs(node, plan)
        self.contents.save()
        self.recipes.save()
        return [plan[node.name] for node in self._nodes if node.name in plan]

    def check(self, plan: Iterable[Planned]) -> None:
        """Raise ForeignOutputError if a node that will run would replace files that this project did not make."""
        self._owned.check(planned.node for planned in plan if planned.status == "run")

    def run(self, execute: Callable[[Node], None]) -> None:
        """Bring the targets up to date.

        Args:
            execute: runs one node and saves its outputs; records are written after it returns.

        Raises:
            ForeignOutputError: see `check`; here also for a node that runs only because its inputs have changed.
        """
        for node in self._nodes:
            if node.name in self.targets:
                self._resolve(node, execute)
                if node.name not in self.ran and self._absent(node):
                    self._execute(node, execute)

    def accept(self, names: Iterable[str] = ()) -> list[Planned]:
        """Write new records for stale and unknown outputs, without running their nodes; return what was accepted.

        Args:
            names: nodes to accept; all stale ones where none is named.
        """
        chosen = set(names)
        accepted = []
        wanted = self._cone()
        for node in self._nodes:
            reasons = self._reasons(node)
            if node.name not in wanted or not reasons or not node.outputs or (chosen and node.name not in chosen):
                continue
            if self._absent(node):
                continue  # see `incomplete`
            self._write_records(node, started=now(), accepted=reasons, kept=self._owned.foreign(node).keys())
            accepted.append(Planned(node, "fresh", reasons))
        self.contents.save()
        return accepted

    def incomplete(self, names: Iterable[str] = ()) -> list[Planned]:
        """Return the nodes that `accept` passes over because an output does not exist, with the missing outputs.

        Of nodes that are not named only the stale ones that have another output: their results were there.
        """
        chosen, wanted = set(names), self._cone()
        passed = []
        for node in self._nodes:
            absent = self._absent(node)
            partly = len(absent) < len(node.outputs) and self._reasons(node)
            if absent and node.name in wanted and (node.name in chosen if chosen else partly):
                passed.append(Planned(node, "run", absent))
        return passed

    def _cone(self) -> set[str]:
        """Return the names of the targets and of all nodes upstream of them."""
        by_name = {node.name: node for node in self._nodes}
        wanted: set[str] = set()
        pending = [by_name[name] for name in self.targets]
        while pending:
            node = pending.pop()
            if node.name not in wanted:
                wanted.add(node.name)
                pending += [self._maker[name] for name in node.inputs if name in self._maker]
        return wanted

    def _plan_absent_inputs(self, node: Node, plan: dict[str, Planned]) -> None:
        for name in node.inputs:
            maker = self._maker.get(name)
            if maker is None or self._present(name) or plan[maker.name].status == "run":
                continue
            plan[maker.name] = Planned(maker, plan[node.name].status, [f"{name} is not there and {node.name} needs it"])

    def _resolve(self, node: Node, execute: Callable[[Node], None]) -> None:
        if node.name in self._resolved:
            return
        self._resolved.add(node.name)
        for name in node.inputs:
            if name in self._maker:
                self._resolve(self._maker[name], execute)
        if node.name in self.ran or not self._reasons(node):
            return
        # A missing input that is made again may have its former content, and then this node is fresh.
        self._make_absent_inputs(node, execute)
        if self._reasons(node):
            self._execute(node, execute)

    def _make_absent_inputs(self, node: Node, execute: Callable[[Node], None]) -> None:
        for name in node.inputs:
            if name in self._maker and not self._present(name):
                self._resolve(self._maker[name], execute)
                if not self._present(name):
                    self._execute(self._maker[name], execute)

    def _execute(self, node: Node, execute: Callable[[Node], None]) -> None:
        self._make_absent_inputs(node, execute)
        started = now()
        with self._owned.claimed(node):  # after a crash, an output without a record counts as unknown
            execute(node)
        self.ran.append(node.name)
        self._write_records(node, started=started, accepted=[])
        self.contents.save()

    def _reasons(self, node: Node) -> list[str]:
        """Return why a node is stale, nothing where it is fresh; missing outputs are no reason here, see `_absent`."""
        if node.name in self.forced:
            return ["forced"]
        if not node.outputs:
            return ["it has no outputs"]
        reasons: list[str] = []
        for output in node.outputs:
            path = location(self.catalog[output])
            if path is None:
                continue
            record, content = read_record(path), self.contents.digest(self.catalog[output])
            if record is None:
                if content is not None:
                    reasons.append(f"{output} has no record: it is not known how it was made")
                continue
            # Records of older versions hold a digest of the bytes where datasets compute another one today.
            if content is not None and content != record.digest and record.digest != self._files(output):
                reasons.append(f"{output} was changed after it was made")
            if record.unfinished:
                reasons.append(record.unfinished)
            # A parameter that is ignored today is ignored in older records too.
            before = replace(record.recipe, parameters=self.recipes.counted(node, record.recipe.parameters))
            reasons += before.differences(self._recipe(node, record))
        return list(dict.fromkeys(reasons))

    def _recipe(self, node: Node, record: Record | None = None) -> Recipe:
        """Return the recipe of today; for an input without file and record, use the digest in the node's own record."""
        recipe = self.recipes.of(node)
        for name in node.inputs:
            if getattr(self.catalog[name], "is_store", False):
                continue
            if name not in self._maker and (source := self._source(node, name)):
                recipe.sources[name] = source
            if is_parameter(name):
                continue
            content = self._digest(name)
            before = None if record is None else record.recipe.inputs.get(name)
            if before not in (None, content) and before == self._files(name):  # in a record of an older version
                content = before
            if content is None and record is not None and name in self._maker:
                made_by = record.input_recipes.get(name)
                if made_by is not None and made_by == self._recipe(self._maker[name]).digest():
                    content = record.recipe.inputs.get(name)
            recipe.inputs[name] = content
        return recipe

    def _source(self, node: Node, name: str) -> dict[str, Any]:
        """Return how an input that no node makes is read, the same all through a run."""
        if (node.name, name) not in self._sources:
            source = {} if is_parameter(name) else entry(self.catalog[name], self.contents)
            outside = referenced(self.recipes.refers_to(node, name), self.contents)
            self._sources[node.name, name] = {**source, **outside}
        return self._sources[node.name, name]

    def _digest(self, name: str) -> str | None:
        """Return the digest of a dataset's content, or the one in its record where the file is missing."""
        dataset = self.catalog[name]
        path = location(dataset)
        if path is None and name in self._maker:  # in memory: its recipe stands for its content
            return "recipe:" + self._recipe(self._maker[name]).digest()
        content = self.contents.digest(dataset)
        if content is None and path is not None and name in self._maker:
            record = read_record(path)
            content = record.digest if record is not None else None
        return content

    def _files(self, name: str) -> str | None:
        path = location(self.catalog[name])
        return None if path is None else self.contents.of_files(path)

    def _present(self, name: str) -> bool:
        return bool(self.catalog.exists(name))

    def _absent(self, node: Node) -> list[str]:
        return [
            f"{output} is not there"
            for output in node.outputs
            if location(self.catalog[output]) is not None and not self._present(output)
        ]

    def _write_records(self, node: Node, *, started: str, accepted: list[str], kept: Container[str] = ()) -> None:
        recipe = self._recipe(node)
        makers = {name: self._maker[name] for name in recipe.inputs if name in self._maker}
        input_recipes = {name: self._recipe(maker).digest() for name, maker in makers.items()}
        for output in node.outputs:
            dataset = self.catalog[output]
            path = location(dataset)
            if path is None:
                continue
            keys = getattr(dataset, "content_keys", None)
            unfinished = None if accepted else getattr(dataset, "unfinished", None)
            record = Record(
                node=node.name,
                output=output,
                digest=self.contents.digest(dataset) or "",
                recipe=recipe,
                input_recipes=input_recipes,
                run_id=self.run_id,
                started=started,
                ended=now(),
                accepted=accepted,
                unfinished=unfinished() if unfinished is not None else "",
                keys=keys() if keys is not None else "",
                files=self.contents.of_files(path) or "",
                path=self._owned.place(path),
                kept=output in kept,
                environment=self.environment,
            )
            write_record(path, record)
