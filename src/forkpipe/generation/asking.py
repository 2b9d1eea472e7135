"""Asks a teacher: sends the requests that the store lacks, stores each answer as it comes, and stops at a limit."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np

from forkpipe.core.engine import Engine
from forkpipe.core.errors import InputError
from forkpipe.core.ids import content_hash
from forkpipe.core.progress import logger
from forkpipe.core.records import Completion, Request
from forkpipe.core.rows import FinishReason, TraceRow
from forkpipe.generation.attempts import is_among, latest
from forkpipe.generation.budget import Budget
from forkpipe.generation.early import EarlyCheck
from forkpipe.generation.meter import Meter
from forkpipe.generation.requests import MadeRequests, RequestPlan
from forkpipe.parameters import LimitSettings, TeacherSettings
from forkpipe.stores.trace_store import TraceStore

MOST_IN_FLIGHT = 4096
"""At a limit, the run waits for the answers to requests that the engine has taken, unless there are more than these."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of a round: requests to send, requests answered, and the limit that ended the round, if any."""

    to_send: int
    answered: int
    limit: str

    def __add__(self, other: "Outcome") -> "Outcome":
        return Outcome(self.to_send + other.to_send, self.answered + other.answered, self.limit or other.limit)


class Feed(MadeRequests):
    """The requests of a plan that an engine shall answer; it ends early when it is closed."""

    def __init__(self, plan: RequestPlan, positions: np.ndarray) -> None:
        self._plan = plan
        self._positions = positions
        self.taken = 0
        """Number of requests that the engine has taken; it may read all of them before it starts."""
        self.closed_at: int | None = None

    def __len__(self) -> int:
        return len(self._positions)

    def make(self, position: int) -> Request:
        """Return the request at a position."""
        self.taken = max(self.taken, position + 1)
        return self._plan[int(self._positions[position])]

    def __iter__(self) -> Iterator[Request]:
        self.taken = 0
        for position in range(len(self)):
            if self.closed_at is not None:
                return
            yield self.make(position)


def ask_teacher(
    name: str,
    teacher: TeacherSettings,
    requests: Sequence[Request],
    engine: Engine,
    store: TraceStore,
    run_id: str,
    *,
    budget: Budget | None = None,
    check: EarlyCheck | None = None,
) -> Outcome:
    """Send the requests that the store lacks, and append the answers to the store.

    A request that failed, or whose answer was cut by a smaller `max_tokens` than the current one, is sent again as a
    new attempt. Every other answer is final, and so is a refusal, see `attempts.is_final`.

    Args:
        requests: all requests to the teacher, see `plan_requests`.
        store: the trace store; it is opened if it is not open.

    Raises:
        InputError: the engine left requests out or answered others, or `check` stopped the run.
    """
    budget = budget or Budget(LimitSettings())
    plan = requests if isinstance(requests, RequestPlan) else RequestPlan(len(requests), requests.__getitem__)
    with store:
        index = store.index()
        known = latest(index, plan.keys, teacher.sampling.max_tokens)
        todo = np.flatnonzero(~known.final)
        limit = budget.reached()
        logger.info(
            "teacher %s: %d requests, %d already in the store, %d to ask",
            name, len(requests), len(requests) - len(todo), len(todo),
        )  # fmt: skip
        if len(todo) and len(index) and (n := int(is_among(plan.earlier_keys(todo), index.key).sum())):
            logger.warning(
                "teacher %s: the store holds %d of these answers under ids that an earlier version gave them; they are "
                "read from the file once more, and `kedro traces clean --delete` drops the old ones", name, n,
            )  # fmt: skip
        meter = Meter(name, teacher, len(todo))
        open_, feed = ~known.final, Feed(plan, todo)
        if check is not None:
            check.begin(name, len(plan) - len(todo))
        completions = engine.generate(feed) if len(todo) and not limit else iter(())
        try:
            for completion in completions:
                position = _position(plan, open_, completion, name)
                open_[position] = False
                attempt = int(known.next_attempt[position])
                row = trace_row(plan[position], completion, name, teacher, attempt, run_id)
                store.append(row)
                budget.spend(completion, teacher)
                meter.count(completion)
                if check is not None:
                    check.note(name, row)
                limit = limit or budget.reached()
                if limit and _may_stop(feed, meter.done):
                    break
        finally:
            meter.close()
            if (close := getattr(completions, "close", None)) is not None:
                close()
    if meter.done < len(todo) and not limit:
        raise InputError(f"the engine of teacher {name} answered {meter.done} of {len(todo)} requests, expected all")
    return Outcome(len(todo), meter.done, limit if meter.done < len(todo) else "")


def _may_stop(feed: Feed, done: int) -> bool:
    """Close the feed; return whether to stop waiting, since no request is under way, or too many are."""
    if feed.closed_at is None:
        feed.closed_at = feed.taken
    under_way = feed.closed_at - done
    return under_way <= 0 or under_way > MOST_IN_FLIGHT or feed.taken > feed.closed_at


def _position(requests: RequestPlan, open_: np.ndarray, completion: Completion, name: str) -> int:
    try:
        position = requests.position(completion.request_id)
    except KeyError:
        position = -1
    if position < 0 or not open_[position]:
        raise InputError(f"the engine of teacher {name} answered request {completion.request_id}, which is not open")
    if completion.finish_reason not in get_args(FinishReason):
        raise InputError(
            f"the engine of teacher {name} gave finish reason '{completion.finish_reason}', "
            f"expected one of: {', '.join(get_args(FinishReason))}"
        )
    return position


def trace_row(
    request: Request, completion: Completion, teacher_name: str, teacher: TeacherSettings, attempt: int, run_id: str
) -> TraceRow:
    """Return a row of the `traces` table."""
    return {
        "request_id": request.request_id,
        "attempt": attempt,
        "trace_id": content_hash("trace", request.request_id, attempt),
        "problem_id": request.problem_id,
        "teacher": teacher_name,
        "teacher_revision": teacher.revision,
        "sample": request.sample,
        "seed": request.seed,
        "prompt": request.prompt,
        "prompt_hash": content_hash("prompt", request.prompt),
        "sampling": request.sampling.to_json(),
        "text": completion.text,
        "reasoning": completion.reasoning,
        "tokens_in": completion.tokens_in,
        "tokens_out": completion.tokens_out,
        "finish_reason": completion.finish_reason,
        "status": "failed" if completion.finish_reason == "error" else "done",
        "error": completion.error,
        "seconds": completion.seconds,
        "run_id": run_id,
    }
