"""Matching costs with a known error: in the precision of the training where it decides, in float32 where it does not.

In bfloat16 a cost is wrong by thousandths of a nat a token, as much as many margins between two tags: the rounding of
the logits and that of the layers contribute alike, so it takes the whole forward pass in float32 to be rid of it
(docs/results/2026-11-28-pretrained-tags.md). The error is measured on the first problems of a training. A problem with
a margin within a few times of the error gets its costs in float32.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from forkpipe.core.matching import Costs, margins, match_optimal

MEASURED = 2
"""Problems on which the error of fast costs is measured; that of exact costs is measured on the first."""

CLEAR = 3.0
"""A margin of so many times its error is left to the fast costs."""

MEMORY = 0.8
"""Weight of the past in the share of problems that need float32."""

MOSTLY = 0.5
"""Where more problems need float32, it is used at once, and the fast costs are saved."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """Sums of squares of errors over `n` costs, nats a token; an error counts apart from its mean over the tags.

    Attributes:
        problems: problems that were compared.
        n: costs that were compared for `fast`, and `n_exact` for `exact`.
        fast: of costs in the precision of the training against float32.
        exact: of costs in float32 (or in that of the weights) against the same in another order of computation.
        unclear: share of problems, among the last ones, with a margin too small for fast costs.
    """

    problems: int = 0
    n: int = 0
    n_exact: int = 0
    fast: float = 0.0
    exact: float = 0.0
    unclear: float = 0.0

    def __add__(self, other: "Measurement") -> "Measurement":
        names = ("problems", "n", "n_exact", "fast", "exact")
        return replace(self, **{name: getattr(self, name) + getattr(other, name) for name in names})

    def after(self, clear: bool) -> "Measurement":
        """Return the measurement after another problem."""
        return replace(self, unclear=MEMORY * self.unclear + (1 - MEMORY) * (not clear))

    @property
    def fast_margin(self) -> float:
        """Error of a margin of fast costs."""
        return _error_of_margin(self.fast, self.n)

    @property
    def exact_margin(self) -> float:
        """Error of a margin of exact costs."""
        return _error_of_margin(self.exact, self.n_exact)


def _error_of_margin(squares: float, n: int) -> float:
    """Return the standard error of a margin: two traces that change places are four costs."""
    return 2.0 * float(np.sqrt(squares / n)) if n else 0.0


def compared(costs: Costs, exact: Costs, other: Costs | None = None) -> Measurement:
    """Return what two or three computations of the same (N, M) costs say about their errors.

    A matching compares costs under different tags, so what is added to a trace's costs under all tags is no error. The
    error is at least the rounding of the costs themselves, even if both orders of computation give the same.
    """
    rounding = float(np.square(np.finfo(np.float32).eps * exact).sum())
    in_order = 0.0 if other is None else max(rounding, _squares(exact - other) / 2)  # both have the error
    fast = max(rounding, _squares(costs - exact))
    return Measurement(1, costs.size, 0 if other is None else costs.size, fast, in_order)


def _squares(difference: Costs) -> float:
    n_tags = difference.shape[0]
    return float(np.square(difference - difference.mean(axis=0)).sum()) * n_tags / max(n_tags - 1, 1)


def is_clear(costs: Costs, error: float) -> bool:
    """Whether every margin of the best matching is `CLEAR` times its error, so that exact costs give the same tags.

    More traces than tags are not matched.
    """
    if costs.shape[1] > costs.shape[0]:
        return True
    return all(margin is None or margin >= CLEAR * error for margin in margins(costs, match_optimal(costs)))


@dataclass(frozen=True, slots=True)
class Costed:
    """The costs of a problem and how well they are known.

    Attributes:
        costs: (N, M), nats a token.
        noise: error of a margin, nats a token.
        clear: whether the fast costs give, or would give, the same tags.
        measured: what the problem adds to the measurement, None if it was not measured.
    """

    costs: Costs
    noise: float
    clear: bool = True
    measured: Measurement | None = None


Compute = Callable[[list[int]], list[Costs]]
"""A function from rows of a batch to the costs of their problems."""


def costs_with_error(
    rows: list[int], fast: Compute | None, exact: Compute, other: Compute, known: Measurement
) -> list[Costed]:
    """Return the costs of rows of a batch, each with its error.

    Args:
        fast: costs in the precision of the training; None if that is the precision of the weights.
        exact: costs in the precision of the weights.
        other: the same in another order of computation.
        known: what was measured before; until it holds `MEASURED` problems, the rows add to it.
    """
    first, rest = rows[: max(0, MEASURED - known.problems)], rows[max(0, MEASURED - known.problems) :]
    costs = _computed(exact, first)
    # Takes several times as long as the costs: on one problem.
    alone = _computed(other, first[:1] if known.n_exact == 0 else [])
    rough = _computed(fast, first) if fast else costs
    added = {row: compared(rough[row], costs[row], alone.get(row)) for row in first}
    known = sum(added.values(), known)
    noise = dict.fromkeys(rows, known.exact_margin)
    if fast and known.unclear <= MOSTLY:
        rough = _computed(fast, rest)
        sure = [row for row in rest if is_clear(rough[row], known.fast_margin)]
        costs |= {row: rough[row] for row in sure}
        noise |= dict.fromkeys(sure, known.fast_margin)
    costs |= _computed(exact, [row for row in rest if row not in costs])
    clear = {row: not fast or is_clear(costs[row], known.fast_margin) for row in rows}
    return [Costed(costs[row], noise[row], clear[row], added.get(row)) for row in rows]


def _computed(compute: Compute, rows: list[int]) -> dict[int, Costs]:
    # Also called without rows: other processes may have some, and wait.
    return dict(zip(rows, compute(rows), strict=True))


@contextmanager
def full_precision(model: Any) -> Iterator[None]:
    """Within the block the model computes in the precision of its weights, also if accelerate wrapped its forward."""
    wrapped, plain = vars(model).get("forward"), vars(model).get("_original_forward")
    if wrapped is not None and plain is not None:
        model.forward = plain
    try:
        with torch.autocast(model.device.type, enabled=False):
            yield
    finally:
        if wrapped is not None and plain is not None:
            model.forward = wrapped


def has_float32_weights(model: Any) -> bool:
    """Whether no weight is of a lower precision than float32."""
    return all(torch.finfo(weight.dtype).bits >= 32 for weight in model.parameters() if weight.is_floating_point())
