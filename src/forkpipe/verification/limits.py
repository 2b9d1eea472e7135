"""When verdicts say more about the verifier than about the responses."""

from collections import Counter
from collections.abc import Sequence

from forkpipe.core.errors import InputError
from forkpipe.core.records import Verdict

UNSCORED = ("unparsed", "timeout", "failed")
"""Verdicts that say nothing about an answer. A truncated response is the token limit's doing, not the verifier's."""

OF_PROGRAMS = ("cpu", "wall", "total")
"""Rules of the verdict timeout that say something of an answer: the program does not end. A policy that writes such
programs is scored, or it would stop its own training."""

FEWEST = 20
"""Of fewer verdicts a share says little."""

EXAMPLES = 3


def is_unscored(verdict: Verdict, reward: bool = False) -> bool:
    """Say whether a verdict says nothing about its answer.

    As a reward, `unparsed` does: a policy that has not learnt yet to give an answer is not rewarded.
    """
    if verdict.verdict == "unparsed" and reward:
        return False
    return verdict.verdict in UNSCORED and not (verdict.verdict == "timeout" and verdict.rule in OF_PROGRAMS)


class Unscored:
    """Counts the verdicts that say nothing about their answers, as verdicts come.

    Args:
        limit: the share of them that is tolerated, 0 to 1.
        reward: whether the verdicts are rewards.
    """

    def __init__(self, limit: float, reward: bool = False) -> None:
        self._limit = limit
        self._reward = reward
        self.seen = 0
        """Number of verdicts so far."""
        self._counts: Counter[str] = Counter()
        self._examples: list[str] = []

    def add(self, verdicts: Sequence[Verdict], responses: Sequence[str]) -> None:
        """Count more verdicts; their responses are for the examples."""
        self.seen += len(verdicts)
        for verdict, response in zip(verdicts, responses, strict=True):
            if is_unscored(verdict, self._reward):
                self._counts[verdict.verdict] += 1
                if len(self._examples) < EXAMPLES:
                    rule = f" ({verdict.rule})" if verdict.rule else ""
                    self._examples.append(f"{verdict.verdict}{rule} on {response[-60:]!r}")

    def check(self, total: int | None = None) -> None:
        """Raise InputError, with examples, where more than the tolerated share of the verdicts says nothing.

        Args:
            total: how many verdicts there will be, if more come: then only what is certain of all raises.
        """
        total, bad = self.seen if total is None else total, self._counts.total()
        if total < FEWEST or bad <= self._limit * total:
            return
        named = ", ".join(f"{n} {name}" for name, n in self._counts.most_common())
        raise InputError(
            f"{bad} of {total} verdicts say nothing about the answer ({named}), expected at most a share of "
            f"{self._limit:g} (verification.max_unscored): {'; '.join(self._examples)}"
        )
