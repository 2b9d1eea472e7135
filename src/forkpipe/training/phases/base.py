"""What all phases are given, and what they return."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from forkpipe.core.records import Completion, Problem, TraceSet, Verdict
from forkpipe.core.rows import RewardColumns, StepColumns
from forkpipe.parameters import RolloutSettings
from forkpipe.stores.completions import CompletionStore

Verify = Callable[[Sequence[Problem], Sequence[Completion]], list[Verdict]]
"""Returns the verdicts of completions of the given problems, in order."""


@dataclass(frozen=True)
class Context:
    """What does not change from phase to phase.

    Attributes:
        method: name, for progress.
        problems: those that rollouts are drawn for.
        sets: trace sets, for anchors.
        verify: gives the verdicts that rewards follow from.
        rollouts: the budget, and how to sample.
        store: holds what was sampled.
        template: prompt template of the student.
        seed: of the order of problems, and of draws.
        verified_by: tells one way of verifying from another.
    """

    method: str
    problems: Sequence[Problem]
    sets: Sequence[TraceSet]
    verify: Verify
    rollouts: RolloutSettings
    store: CompletionStore
    template: str
    seed: int
    verified_by: str = ""


@dataclass(slots=True)
class PhaseResult:
    """Rows of the tables `training_log` and `rewards`, without method and run_id."""

    log: list[StepColumns] = field(default_factory=list)
    rewards: list[RewardColumns] = field(default_factory=list)
