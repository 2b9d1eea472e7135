"""Plans requests in rounds: which problems get how many samples of which teachers, so that they soon have enough.

A problem has enough when it has `correct` correct traces of `distinct` strategies. Each round goes to the problems that
are expected to have enough at the least cost, and to the teachers that are likeliest to supply what these lack for the
money: a bandit over problems by their difficulty and teachers. Problems that can hardly reach the target are given up.

The plan follows from the problems, the settings and the answers alone: there are no random numbers and no clock in it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from forkpipe.core.ids import content_hash
from forkpipe.generation.chances import Correctness, Floats, Sameness, at_least, novelty
from forkpipe.parameters.traces import TargetSettings

PILOT, PILOT_SHARE = 4, 50
"""The first round asks every teacher about this many problems, or the 50th part of them if that is more."""
ROUND, ROUND_SHARE = 16, 8
"""Problems that a round goes to: this many, or the 8th part of all if that is more."""
CURIOSITY = 0.5
"""Standard errors that are added to a chance where teachers are compared, so that all are tried."""
PROBLEM_PSEUDO = 2.0
"""Expected new strategies after which a problem is judged by its own record."""
DIGITS = 9
"""Digits of figures that are compared: the last ones differ between machines."""


@dataclass(frozen=True, slots=True)
class Judged:
    """The answer to a request of a round.

    fresh: whether it is correct and its text is not that of an earlier trace of the problem. cost: in the unit in which
    teachers are compared.
    """

    problem: int
    teacher: int
    correct: bool
    fresh: bool
    cost: float


@dataclass(frozen=True, slots=True)
class Asked:
    """A request of a round: a sample of a teacher for a problem, by their positions."""

    teacher: int
    problem: int
    sample: int


class Planner:
    """Decides round by round; `observe` the answers of a round before the `next_round`.

    Args:
        problem_ids: the problems.
        most: (problems, teachers) the most samples of each teacher for each problem.
        target: see `parameters.TargetSettings`.
    """

    def __init__(self, problem_ids: Sequence[str], most: NDArray[np.int64], target: TargetSettings) -> None:
        self._ids = problem_ids
        self._target = target
        self._most = most.astype(np.int64)
        self._samples = np.zeros_like(self._most)
        self._correct = np.zeros_like(self._most)
        self._costs = np.zeros(most.shape)
        self._fresh = np.zeros(len(problem_ids), np.int64)
        self._distinct = np.zeros(len(problem_ids), np.int64)
        self._members: list[list[tuple[int, int]]] = [[] for _ in problem_ids]
        self._new_expected = np.zeros(len(problem_ids))
        self._sameness = Sameness(most.shape[1])
        ranks = sorted(range(len(problem_ids)), key=lambda at: content_hash("plan", problem_ids[at]))
        self._rank = np.argsort(np.array(ranks, np.int64))
        """Settles ties, so that the order of the problems does not count."""
        self._given_up: dict[int, tuple[str, str]] = {}
        self._rounds = 0

    @property
    def enough(self) -> NDArray[np.bool_]:
        """(problems,) which problems have reached the target."""
        reached: NDArray[np.bool_] = (self._fresh >= self._target.correct) & (self._distinct >= self._target.distinct)
        return reached

    def observe(self, answers: Sequence[Judged], strategies: dict[int, tuple[list[tuple[int, int]], int]]) -> None:
        """Take in the answers to a round.

        Args:
            strategies: of each problem with new correct traces: (teacher, strategy) of all its distinct correct traces,
                and how many strategies there are.
        """
        same = self._sameness.same()
        for answer in answers:
            place = answer.problem, answer.teacher
            if answer.correct and self._correct[place]:
                self._sameness.count_repeat(answer.teacher, answer.fresh)
            if answer.fresh:
                self._fresh[answer.problem] += 1
                self._new_expected[answer.problem] += novelty(self._members[answer.problem], same)[answer.teacher]
            self._samples[place] += 1
            self._correct[place] += answer.correct
            self._costs[place] += answer.cost
        for problem, (members, distinct) in strategies.items():
            self._sameness.count(self._members[problem], -1)
            self._sameness.count(members, 1)
            self._members[problem] = members
            self._distinct[problem] = distinct

    def next_round(self) -> list[Asked]:
        """Return the requests of the next round; none when every problem has enough or is given up."""
        self._rounds += 1
        open_ = np.flatnonzero(~self.enough)
        open_ = open_[[at not in self._given_up for at in open_.tolist()]] if len(open_) else open_
        left = self._most - self._samples
        spent = open_[left[open_].sum(1) == 0]
        for at in spent.tolist():
            self._give_up(at, "samples used up", "all samples are used")
        open_ = open_[left[open_].sum(1) > 0]
        if not len(open_):
            return []
        if self._rounds == 1:
            return self._pilot(open_)
        return self._best(open_, left)

    def rejected(self) -> list[tuple[str, str, str]]:
        """Return (problem id, reason, detail) of each problem that was given up, in the order of the problems."""
        return [(self._ids[at], *self._given_up[at]) for at in sorted(self._given_up)]

    def unfinished(self, why: str) -> list[tuple[str, str, str]]:
        """Return the same of each problem that is still open, because asking ended before the plan did."""
        open_ = [at for at in np.flatnonzero(~self.enough).tolist() if at not in self._given_up]
        return [(self._ids[at], "target not reached", self._state(at, why)) for at in open_]

    def described(self) -> str:
        """Return where the plan stands, in words."""
        reached, lost = int(self.enough.sum()), len(self._given_up)
        return (
            f"{reached} of {len(self._ids)} problems have {self._target.correct} correct traces of "
            f"{self._target.distinct} strategies, {lost} are given up, {len(self._ids) - reached - lost} are open"
        )

    def _pilot(self, open_: NDArray[np.int64]) -> list[Asked]:
        """Ask every teacher about the same few problems: that shows what each can do, what it costs, and who agrees."""
        n = max(PILOT, len(open_) // PILOT_SHARE)
        chosen = open_[np.argsort(self._rank[open_])][:n]
        asked = [(teacher, problem) for problem in chosen.tolist() for teacher in range(self._most.shape[1])]
        return [Asked(teacher, problem, 0) for teacher, problem in asked if self._most[problem, teacher]]

    def _best(self, open_: NDArray[np.int64], left: NDArray[np.int64]) -> list[Asked]:
        fitted = Correctness(self._samples, self._correct)
        same = self._sameness.same()
        fresh = self._sameness.fresh()
        own = np.where(self._correct[open_] > 0, fresh, 1.0)
        new = np.stack([novelty(self._members[at], same) for at in open_.tolist()])
        found = np.maximum(self._distinct[open_], 0)
        record = (found + PROBLEM_PSEUDO) / (self._new_expected[open_] + PROBLEM_PSEUDO)
        new = np.clip(np.where(found[:, None] > 0, new * record[:, None], new), 1e-3, 1)
        lacks_correct = np.maximum(self._target.correct - self._fresh[open_], 0)
        lacks_distinct = np.maximum(self._target.distinct - self._distinct[open_], 0)
        hopeful = self._hopeful(open_, left[open_], fitted, own, new, lacks_correct, lacks_distinct)
        open_, own, new = open_[hopeful], own[hopeful], new[hopeful]
        lacks_correct, lacks_distinct = lacks_correct[hopeful], lacks_distinct[hopeful]
        if not len(open_):
            return self.next_round()  # says so, or finds those that have no samples left
        costs = self._cost(fitted)[open_]
        allowed = left[open_] > 0
        chance = fitted.chance[open_] * own
        of_new, of_correct = (
            np.where(allowed, costs / np.maximum(chance * part, 1e-9), np.inf) for part in (new, np.ones_like(new))
        )
        needed = _expected_cost(of_new, of_correct, lacks_correct, lacks_distinct)
        order = np.lexsort((self._rank[open_], _rounded(needed)))
        chosen = order[: max(ROUND, len(self._ids) // ROUND_SHARE)]
        hoped = np.minimum(fitted.chance + CURIOSITY * fitted.doubt, 1)[open_] * own
        asked: list[Asked] = []
        for row in chosen.tolist():
            teachers = _batch(
                int(lacks_correct[row]), int(lacks_distinct[row]), hoped[row], new[row], costs[row],
                left[open_[row]], same, fresh, float(of_new[row].min()), float(of_correct[row].min()),
            )  # fmt: skip
            counts = self._samples[open_[row]].copy()
            for teacher in teachers:
                asked.append(Asked(teacher, int(open_[row]), int(counts[teacher])))
                counts[teacher] += 1
        return asked

    def _cost(self, fitted: Correctness) -> Floats:
        """Return (problems, teachers) expected costs of a sample, none of them nothing."""
        costs = fitted.averages(self._costs, self._samples)
        if not costs.max() > 0:
            return np.ones_like(costs)
        return np.maximum(costs, costs.max() * 1e-6)

    def _hopeful(
        self,
        open_: NDArray[np.int64],
        left: NDArray[np.int64],
        fitted: Correctness,
        own: Floats,
        new: Floats,
        lacks_correct: NDArray[np.int64],
        lacks_distinct: NDArray[np.int64],
    ) -> NDArray[np.bool_]:
        """Return which problems can still reach the target, and give the others up."""
        n = left.sum(1).astype(np.float64)
        reach = np.ones(len(open_))
        for lacks, part in ((lacks_correct, own), (lacks_distinct, own * new)):
            chance = np.zeros(len(open_))
            for of_class, rates in zip(fitted.classes[open_].T, fitted.rates.T, strict=True):
                each = np.minimum(rates[None, :] * fitted.scale[open_], 1) * part
                mean = np.clip((left * each).sum(1) / n, 0, 1 - 1e-9)
                chance += of_class * at_least(lacks, n, mean)
            reach = np.minimum(reach, chance)
        hopeful: NDArray[np.bool_] = _rounded(reach) >= self._target.give_up
        for row in np.flatnonzero(~hopeful).tolist():
            why = f"a chance of {reach[row]:.2g} to reach it with the {int(n[row])} samples that are left"
            self._give_up(int(open_[row]), "target out of reach", why)
        return hopeful

    def _give_up(self, problem: int, reason: str, why: str) -> None:
        self._given_up[problem] = reason, self._state(problem, why)

    def _state(self, problem: int, why: str) -> str:
        has = f"{self._fresh[problem]} correct traces of {self._distinct[problem]} strategies"
        target = f"{self._target.correct} of {self._target.distinct} are the target"
        asked = int(self._samples[problem].sum())
        return f"{has} in {asked} samples, {target}: {why}"


def _rounded(values: Floats) -> Floats:
    """Return values with `DIGITS` significant digits."""
    with np.errstate(divide="ignore"):
        magnitude = np.where(values > 0, np.floor(np.log10(np.where(values > 0, values, 1))), 0)
    scale = 10.0 ** (DIGITS - 1 - np.where(np.isfinite(magnitude), magnitude, 0))
    return np.where(np.isfinite(values), np.round(values * scale) / scale, values)


def _expected_cost(
    of_new: Floats, of_correct: Floats, lacks_correct: NDArray[np.int64], lacks_distinct: NDArray[np.int64]
) -> Floats:
    """Return the expected costs of what problems lack: each new strategy from another teacher, as far as there are any.

    Args:
        of_new: (problems, teachers) expected cost of a new strategy; infinite where a teacher has no samples left.
        of_correct: (problems, teachers) expected cost of a correct trace.
    """
    cheapest = np.sort(of_new, 1)
    usable = np.isfinite(cheapest).sum(1)
    total = np.zeros(len(of_new))
    for i in range(int(lacks_distinct.max(initial=0))):
        at = np.minimum(i, np.maximum(usable - 1, 0))
        total += np.where(i < lacks_distinct, cheapest[np.arange(len(at)), at], 0)
    more = np.maximum(lacks_correct - lacks_distinct, 0)
    return total + np.where(more > 0, more * of_correct.min(1), 0)


def _batch(
    lacks_correct: int,
    lacks_distinct: int,
    chance: Floats,
    new: Floats,
    costs: Floats,
    left: NDArray[np.int64],
    same: Floats,
    fresh: Floats,
    cost_of_new: float,
    cost_of_correct: float,
) -> list[int]:
    """Return the teachers that a problem is sent to in a round: for half of what it lacks, so that the rest can learn.

    The next teacher is always the one whose sample is worth most for its cost: a new strategy saves what it would cost
    elsewhere, another correct trace likewise, as long as more of them are lacking than strategies.
    """
    teachers: list[int] = []
    left, chance = left.copy(), chance.copy()
    spare = cost_of_correct if lacks_correct > lacks_distinct else 0.0
    if not lacks_distinct:
        cost_of_new = cost_of_correct
    for _ in range((max(lacks_correct, lacks_distinct) + 1) // 2):
        worth = chance * (new * cost_of_new + (1 - new) * spare) / costs
        best = int(np.argmax(np.where(left > 0, _rounded(worth), -1)))
        if not left[best]:
            break
        teachers.append(best)
        left[best] -= 1
        # A trace of this teacher may come, and then the next must differ from it too.
        new = new * (1 - chance[best] * same[:, best])
        chance[best] *= 1 - chance[best] * (1 - fresh[best])
    return teachers
