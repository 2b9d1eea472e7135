"""Asking the teachers: which requests there are, which are answered already, and appending what comes."""

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

from forkpipe.core.errors import InputError
from forkpipe.core.ids import content_hash
from forkpipe.core.prompts import render
from forkpipe.core.records import Completion, Problem, Request
from forkpipe.datasets.trace_store import TraceStore
from forkpipe.engines.base import Engine
from forkpipe.parameters import TeacherSettings
from forkpipe.progress import Progress, logger

Row = dict[str, Any]

APPEND_EVERY = 256
"""Rows to a write: a killed run sends at most these again."""


def plan_requests(problems: list[Problem], name: str, teacher: TeacherSettings, engine: Engine) -> list[Request]:
    """Return what one teacher is asked, `samples` a problem or as many as its engine holds."""
    requests = []
    without = 0
    for problem in problems:
        held = engine.samples_held(problem.problem)
        without += held == 0
        prompt = render(teacher.prompt, problem.problem)
        for sample in range(teacher.samples if held is None else min(teacher.samples, held)):
            requests.append(
                Request.create(
                    problem_id=problem.problem_id,
                    problem=problem.problem,
                    asked_of=f"{name} {engine.identity}",
                    revision=f"{engine.version} {teacher.revision}",
                    prompt=prompt,
                    sample=sample,
                    sampling=teacher.sampling.record(),
                )
            )
    if without:
        logger.warning("teacher %s holds no trace of %d of %d problems", name, without, len(problems))
    if not requests:
        raise InputError(
            f"teacher {name} holds no trace of any of the {len(problems)} problems, expected texts equal to theirs "
            "(generation.teachers, generation.splits)"
        )
    return requests


def ask_teacher(
    name: str, teacher: TeacherSettings, requests: list[Request], engine: Engine, store: TraceStore, run_id: str
) -> list[Row]:
    """Send what the store lacks, append it, and return the last attempt at every request, in the order of requests.

    An answer that was cut by a smaller `max_tokens` than today's, or that failed, is asked for again as a further
    attempt; everything else is final.
    """
    known = store.last_attempts()
    todo = [request for request in requests if not is_final(known.get(request.request_id), teacher)]
    by_id = {request.request_id: request for request in todo}
    progress = Progress(f"teacher {name}", len(todo), unit="traces")
    pending: list[Row] = []
    done = 0
    try:
        for completion in engine.generate(todo):
            request = by_id.pop(completion.request_id)
            attempt = known[request.request_id]["attempt"] + 1 if request.request_id in known else 0
            row = trace_row(request, completion, name, teacher, attempt, run_id)
            known[request.request_id] = row
            pending.append(row)
            done += 1
            if len(pending) >= APPEND_EVERY:
                store.append(pending)
                pending = []
            progress.update(done)
    finally:
        store.append(pending)  # also when the engine fails: what was answered is paid for
    if by_id:
        raise InputError(f"the engine of teacher {name} answered {done} of {len(todo)} requests, expected all")
    rows = [cut_to_limit(known[request.request_id], teacher) for request in requests]
    counts = Counter(row["finish_reason"] for row in rows)
    logger.info(
        "teacher %s: %d requests, %d already in the store, %d asked; %d complete, %d truncated, %d failed",
        name, len(requests), len(requests) - len(todo), len(todo), counts["stop"], counts["length"], counts["error"],
    )  # fmt: skip
    return rows


def cut_to_limit(row: Row, teacher: TeacherSettings) -> Row:
    """Return the row as today's limit has it: an answer that was given under a higher limit may count as truncated.

    A row above the limit it was asked with is of an engine that knows no limits (a file): it stays as it is.
    """
    if row["finish_reason"] == "stop" and teacher.sampling.max_tokens < row["tokens_out"] <= _limit_asked(row):
        return {**row, "finish_reason": "length"}
    return row


def is_final(row: Mapping[str, Any] | None, teacher: TeacherSettings) -> bool:
    """Return whether an attempt needs no other.

    It ended by itself; or it was cut by no less than today's limit; or it was cut below its own limit, by the teacher
    itself, so that a higher one changes nothing.
    """
    if row is None or row["status"] == "failed":
        return False
    cut_by_teacher = row["tokens_out"] < _limit_asked(row)
    return bool(row["finish_reason"] == "stop" or row["tokens_out"] >= teacher.sampling.max_tokens or cut_by_teacher)


def _limit_asked(row: Mapping[str, Any]) -> int:
    return int(json.loads(row["sampling"])["max_tokens"])


def trace_row(
    request: Request, completion: Completion, teacher_name: str, teacher: TeacherSettings, attempt: int, run_id: str
) -> Row:
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
