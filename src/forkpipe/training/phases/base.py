"""The context that all phases are given, and their results."""

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
    """What is the same in all phases of a method.

    Attributes:
        problems: the problems that rollouts are drawn for.
        sets: trace sets, for anchors.
        verify: returns the verdicts that rewards are made of.
        seed: seed of the order of problems, and of draws.
        verified_by: hash of the settings of verification.
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
