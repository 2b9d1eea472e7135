"""Which tag each trace has at each visit of its problem: the state of SSFT that is not in the model.

Visits are counted by problem, not by step, so that every problem is matched at its first visit whatever the order. Kept
matchings, visits and the log are written into every checkpoint of the trainer.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from forkpipe.core.errors import InputError
from forkpipe.core.ids import content_hash
from forkpipe.core.matching import (
    Costs,
    Tags,
    margins,
    match_fixed,
    match_optimal,
    match_random,
    tags_of_modes,
)
from forkpipe.core.progress import logger
from forkpipe.core.records import Assignment
from forkpipe.core.rows import MatchColumns

MATCHINGS_FILE = "matchings.json"
"""Within a checkpoint of the trainer."""


@dataclass(frozen=True, slots=True)
class SetNames:
    """What a problem and its traces are called; the order is that of the encoded traces."""

    problem_id: str
    trace_ids: Sequence[str]
    teachers: Sequence[str]
    modes: Sequence[str]


@dataclass(frozen=True, slots=True)
class Visit:
    """The matching at one visit of one problem: plain lists, so that processes can exchange it."""

    index: int
    tags: list[int]
    costs: list[list[float]] | None = None
    """(N, M); None where nothing was computed."""


class Matchings:
    """Decides the tags of traces and remembers them.

    Args:
        names: of the problems, by index.
        assignment: see `core.matching`.
        n_tags: N.
        rematch_every: a problem is matched at its visits 0, k, 2k, ...
        seed: of random assignments, which follow from it, the problem and its visit, and so from nothing else.
        tag_of: for "fixed", the tag of each mode; None gives the modes of `names` their tags.
    """

    def __init__(
        self,
        names: Sequence[SetNames],
        assignment: Assignment,
        n_tags: int,
        rematch_every: int,
        seed: int,
        tag_of: Mapping[str, int] | None = None,
    ) -> None:
        self.names = names
        self.assignment = assignment
        self.n_tags = n_tags
        self.rematch_every = rematch_every
        self.seed = seed
        self.log: list[MatchColumns] = []
        self._visits: dict[int, int] = {}
        self._kept: dict[int, list[int]] = {}
        self.tag_of: Mapping[str, int] = tag_of or {}
        if assignment == "fixed":
            modes = [mode for one in names for mode in one.modes]
            if "" in modes:
                raise InputError("assignment is 'fixed' and a trace has no mode, expected one for every trace")
            if tag_of is None:
                self.tag_of = tags_of_modes(modes, n_tags)
                if len(self.tag_of) > n_tags:
                    logger.warning("%d modes share %d tags: %s", len(self.tag_of), n_tags, self.tag_of)
            elif unknown := set(modes) - set(tag_of):
                raise InputError(f"mode '{min(unknown)}' of a trace to evaluate is not among those trained on")

    def due(self, indices: Sequence[int]) -> list[int]:
        """Return the positions in `indices` of the problems whose costs are needed now."""
        if self.assignment != "optimal":
            return []
        return [i for i, index in enumerate(indices) if self._visits.get(index, 0) % self.rematch_every == 0]

    def visit(self, index: int, costs: Costs | None = None) -> Visit:
        """Return the matching of a problem at its next visit; `remember` makes it count."""
        names = self.names[index]
        n_traces = len(names.trace_ids)
        if self.assignment == "single":
            return Visit(index, [0] * n_traces)
        if self.assignment == "fixed":
            return Visit(index, match_fixed(names.modes, self.tag_of).tolist())
        if self.assignment == "random":
            generator = np.random.default_rng([self.seed, index, self._visits.get(index, 0)])
            return Visit(index, match_random(self.n_tags, n_traces, generator).tolist())
        if costs is None:
            return Visit(index, self._kept[index])
        return Visit(index, match_optimal(costs).tolist(), costs.tolist())

    def remember(self, visits: Sequence[Visit], step: int) -> None:
        """Count the visits, keep their matchings and log those that were decided anew."""
        for one in visits:
            number = self._visits.get(one.index, 0)
            if self.assignment == "random" or one.costs is not None or (self.assignment == "fixed" and number == 0):
                self._log(one, number, step)
            self._visits[one.index] = number + 1
            if one.costs is not None:
                self._kept[one.index] = one.tags

    def _log(self, one: Visit, number: int, step: int) -> None:
        names = self.names[one.index]
        costs = None if one.costs is None else np.array(one.costs)
        tags: Tags = np.array(one.tags)
        slack = [None] * len(one.tags) if costs is None else margins(costs, tags)
        for column, tag in enumerate(one.tags):
            self.log.append(
                {
                    "step": step,
                    "visit": number,
                    "problem_id": names.problem_id,
                    "trace_id": names.trace_ids[column],
                    "teacher": names.teachers[column],
                    "tag": tag,
                    "cost": None if costs is None else float(costs[tag, column]),
                    "margin": slack[column],
                }
            )

    def counts(self) -> dict[str, np.ndarray]:
        """Return mode -> (N,) traces of that mode in the log under each tag; modes that are not known are left out."""
        mode_of = {
            (one.problem_id, trace_id): mode
            for one in self.names
            for trace_id, mode in zip(one.trace_ids, one.modes, strict=True)
        }
        result: dict[str, np.ndarray] = {}
        for row in self.log:
            if mode := mode_of[row["problem_id"], row["trace_id"]]:
                result.setdefault(mode, np.zeros(self.n_tags))[row["tag"]] += 1
        return result

    def save(self, folder: Path) -> None:
        """Write the state into a checkpoint folder."""
        state = {
            "sets": self._sets(),
            "visits": list(self._visits.items()),
            "kept": list(self._kept.items()),
            "log": self.log,
        }
        (folder / MATCHINGS_FILE).write_text(json.dumps(state))

    def _sets(self) -> str:
        return content_hash([[one.problem_id, list(one.trace_ids)] for one in self.names])

    def load(self, folder: Path) -> None:
        """Continue from the state in a checkpoint folder; InputError where there is none, or it is of other sets."""
        path = folder / MATCHINGS_FILE
        if not path.exists():
            raise InputError(f"{folder}: no {MATCHINGS_FILE}, expected a checkpoint written by SSFTTrainer")
        state = json.loads(path.read_text())
        if state.get("sets", self._sets()) != self._sets():
            raise InputError(f"{path} is of other trace sets: expected those that the training began with")
        self._visits = dict(state["visits"])
        self._kept = dict(state["kept"])
        self.log = state["log"]
