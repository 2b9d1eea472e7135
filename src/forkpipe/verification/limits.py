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


def is_unscored(verdict: Verdict) -> bool:
    """Say whether a verdict says nothing about its answer."""
    return verdict.verdict in UNSCORED and not (verdict.verdict == "timeout" and verdict.rule in OF_PROGRAMS)


def check_scored(
    verdicts: Sequence[Verdict], responses: Sequence[str], limit: float, *, total: int | None = None
) -> None:
    """Raise InputError where more than a share of the verdicts is unparsed, timeout or failed, with examples.

    Args:
        verdicts: those that there are.
        responses: theirs, for the examples.
        limit: the share, 0 to 1.
        total: how many there will be; with it only what is certain of all of them raises.
    """
    total = len(verdicts) if total is None else total
    bad = [index for index, verdict in enumerate(verdicts) if is_unscored(verdict)]
    if total < FEWEST or len(bad) <= limit * total:
        return
    counts = Counter(verdicts[index].verdict for index in bad)
    named = ", ".join(f"{n} {name}" for name, n in counts.most_common())
    examples = "; ".join(
        f"{verdicts[index].verdict}{f' ({verdicts[index].rule})' if verdicts[index].rule else ''} on "
        f"{responses[index][-60:]!r}"
        for index in bad[:EXAMPLES]
    )
    raise InputError(
        f"{len(bad)} of {total} verdicts say nothing about the answer ({named}), expected at most a share of {limit:g} "
        f"(verification.max_unscored): {examples}"
    )
