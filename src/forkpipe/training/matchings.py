"""The tag of each trace at each visit of its problem: the state of SSFT outside the model.

Visits are counted per problem, not per step, so that every problem is matched at its first visit in any order. The last
matchings, the visits and the log are written into every checkpoint of the trainer.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from forkpipe.core.consistency import ConsistencyPrior, ngrams
from forkpipe.core.errors import InputError
from forkpipe.core.ids import content_hash
from forkpipe.core.matching import (
    Tags,
    is_due,
    margins,
    match_fixed,
    match_optimal,
    match_random,
    tags_of_modes,
)
from forkpipe.core.progress import logger
from forkpipe.core.records import Assignment, Gaps
from forkpipe.core.rows import MatchColumns
from forkpipe.training.precision import Costed, Measurement

MATCHINGS_FILE = "matchings.json"
"""File in a checkpoint of the trainer."""


@dataclass(frozen=True, slots=True)
class SetNames:
    """Names of a problem and its traces, in the order of the encoded traces."""

    problem_id: str
    trace_ids: Sequence[str]
    teachers: Sequence[str]
    modes: Sequence[str]


def names_of(encoded: Any, mode_field: str) -> list[SetNames]:
    """Return the names in a table of `sequences.encode_sets`; `mode_field` is "teacher" or "strategy"."""
    modes = {"teacher": "teachers", "strategy": "strategies"}[mode_field]
    light = encoded.select_columns(["problem_id", "trace_ids", "teachers", "strategies"])
    return [SetNames(str(row["problem_id"]), row["trace_ids"], row["teachers"], row[modes]) for row in light]


def prior_of(encoded: Any, features: str, n_tags: int) -> ConsistencyPrior:
    """Return the prior for a table of `sequences.encode_sets`; `features` is "ngrams" or "teacher"."""
    if features == "teacher":
        rows = ([{teacher} - {""} for teacher in teachers] for teachers in encoded["teachers"])
        return ConsistencyPrior(rows, n_tags)
    return ConsistencyPrior(([ngrams(ids) for ids in traces] for traces in encoded["traces"]), n_tags)


@dataclass(frozen=True, slots=True)
class Visit:
    """The matching at one visit of a problem."""

    index: int
    tags: list[int]
    costs: list[list[float]] | None = None
    """(N, M); None if the matching is not decided by costs, or kept."""
    prior: list[list[float]] | None = None
    """(N, M), what a prior added to the costs; None without one."""
    computed: bool = True
    """Whether the costs are of this visit; False where the last ones were solved again with a new prior."""
    noise: float | None = None
    """Error of a margin, nats a token, where there are costs."""
    clear: bool = True
    measured: Measurement | None = None
    """What the problem adds to the measurement of errors."""


@dataclass(eq=False)
class Matchings:
    """Decides the tags of traces and remembers them.

    Args:
        names: names of the problems, by index.
        rematch_every: k, see `core.matching.is_due`.
        seed: seed of random assignments, which depend on it, the problem and the visit only.
        tag_of: for "fixed", the tag of each mode; None assigns tags to the modes in `names`.
        rematch_gaps: see `core.matching.is_due`.
        whole_visits: see `read_whole`.
        prior: for "optimal", a prior that learns from the matchings, added to the costs with `weight`.
    """

    names: Sequence[SetNames]
    assignment: Assignment
    n_tags: int
    rematch_every: int
    seed: int
    tag_of: Mapping[str, int] | None = None
    rematch_gaps: Gaps = "even"
    whole_visits: int = 0
    prior: ConsistencyPrior | None = None
    weight: float = 0.0
    log: list[MatchColumns] = field(init=False, default_factory=list)
    measured: Measurement = field(init=False, default=Measurement())
    _visits: dict[int, int] = field(init=False, default_factory=dict)
    _kept: dict[int, list[int]] = field(init=False, default_factory=dict)
    _costs: dict[int, tuple[list[list[float]], float | None]] = field(init=False, default_factory=dict)
    """With a prior: the last costs of each problem, and the error of a margin."""

    def __post_init__(self) -> None:
        if self.assignment == "fixed":
            modes = [mode for problem in self.names for mode in problem.modes]
            if "" in modes:
                raise InputError("assignment is 'fixed' and a trace has no mode, expected one for every trace")
            if self.tag_of is None:
                self.tag_of = tags_of_modes(modes, self.n_tags)
                if len(self.tag_of) > self.n_tags:
                    logger.warning("%d modes share %d tags: %s", len(self.tag_of), self.n_tags, self.tag_of)
            elif unknown := set(modes) - set(self.tag_of):
                raise InputError(f"mode '{min(unknown)}' of a trace to evaluate is not among those trained on")

    def due(self, indices: Sequence[int]) -> list[int]:
        """Return the positions in `indices` of problems whose costs are needed now."""
        if self.assignment != "optimal":
            return []
        return [
            place
            for place, index in enumerate(indices)
            if is_due(self.visits_of(index), self.rematch_every, self.rematch_gaps)
        ]

    def read_whole(self, indices: Sequence[int]) -> list[int]:
        """Return the positions in `indices` of problems at one of their first `whole_visits` visits."""
        return [place for place, index in enumerate(indices) if self.visits_of(index) < self.whole_visits]

    def visits_of(self, index: int) -> int:
        """Return how often a problem was visited so far."""
        return self._visits.get(index, 0)

    def visit(self, index: int, costed: Costed | None = None) -> Visit:
        """Return the matching of a problem at its next visit; only `remember` counts the visit.

        A prior learns from it at once: the order of calls matters, and is to be the same in all processes.
        """
        names = self.names[index]
        n_traces = len(names.trace_ids)
        if self.assignment == "single":
            return Visit(index, [0] * n_traces)
        if self.assignment == "fixed":
            return Visit(index, match_fixed(names.modes, self.tag_of or {}).tolist())
        if self.assignment == "random":
            generator = np.random.default_rng([self.seed, index, self.visits_of(index)])
            return Visit(index, match_random(self.n_tags, n_traces, generator).tolist())
        if self.prior is not None:
            return self._with_prior(self.prior, index, costed)
        if costed is None:
            return Visit(index, self._kept[index])
        costs = costed.costs
        return Visit(
            index,
            match_optimal(costs).tolist(),
            costs.tolist(),
            noise=costed.noise,
            clear=costed.clear,
            measured=costed.measured,
        )

    def _with_prior(self, prior: ConsistencyPrior, index: int, costed: Costed | None) -> Visit:
        if costed is None and index not in self._costs:
            return Visit(index, self._kept[index])  # kept from a training without the prior
        costs, noise = self._costs[index] if costed is None else (costed.costs.tolist(), costed.noise)
        added = self.weight * prior.costs(index)
        tags = match_optimal(np.array(costs) + added).tolist()
        prior.place(index, tags)
        clear, measured = (True, None) if costed is None else (costed.clear, costed.measured)
        return Visit(index, tags, costs, added.tolist(), costed is not None, noise, clear, measured)

    def first_visits(self, visits: Sequence[Visit]) -> list[Visit]:
        """Return those of the visits that are a problem's first, one for each problem."""
        return [visit for visit in {v.index: v for v in visits}.values() if visit.index not in self._visits]

    def remember(self, visits: Sequence[Visit], step: int) -> None:
        """Count the visits, keep their matchings and log those that were decided anew."""
        for visit in visits:
            number = self.visits_of(visit.index)
            decided = visit.costs is not None and (visit.computed or visit.tags != self._kept[visit.index])
            if self.assignment == "random" or decided or (self.assignment == "fixed" and number == 0):
                self._log(visit, number, step)
            self._visits[visit.index] = number + 1
            if visit.measured is not None:
                self.measured += visit.measured
            if visit.costs is not None:
                self._kept[visit.index] = visit.tags
                if visit.computed:
                    self.measured = self.measured.after(visit.clear)
                if self.prior is not None:
                    self._costs[visit.index] = (visit.costs, visit.noise)

    def _log(self, visit: Visit, number: int, step: int) -> None:
        names = self.names[visit.index]
        costs = None if visit.costs is None else np.array(visit.costs)
        tags: Tags = np.array(visit.tags)
        decisive = costs if costs is None or visit.prior is None else costs + np.array(visit.prior)
        slack = [None] * len(visit.tags) if decisive is None else margins(decisive, tags)
        for column, tag in enumerate(visit.tags):
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
                    "margin_noise": None if slack[column] is None else visit.noise,
                }
            )

    def counts(self) -> dict[str, np.ndarray]:
        """Return for each mode the number of its traces in the log under each tag, (N,); unknown modes are left out."""
        mode_of = {
            (problem.problem_id, trace_id): mode
            for problem in self.names
            for trace_id, mode in zip(problem.trace_ids, problem.modes, strict=True)
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
            "costs": list(self._costs.items()),
            "log": self.log,
            "measured": asdict(self.measured),
        }
        (folder / MATCHINGS_FILE).write_text(json.dumps(state))

    def _sets(self) -> str:
        return content_hash([[problem.problem_id, list(problem.trace_ids)] for problem in self.names])

    def load(self, folder: Path) -> None:
        """Read the state from a checkpoint folder; InputError if there is none, or it belongs to other trace sets."""
        path = folder / MATCHINGS_FILE
        if not path.exists():
            raise InputError(f"{folder}: no {MATCHINGS_FILE}, expected a checkpoint written by SSFTTrainer")
        state = json.loads(path.read_text())
        if state.get("sets", self._sets()) != self._sets():
            raise InputError(f"{path} is of other trace sets: expected those that the training began with")
        self._visits = dict(state["visits"])
        self._kept = dict(state["kept"])
        if self.prior is not None:
            self._costs = {index: (costs, noise) for index, (costs, noise) in state.get("costs", [])}
            for index, tags in self._kept.items():
                self.prior.place(index, tags)
        self.log = state["log"]
        self.measured = Measurement(**state.get("measured", {}))
