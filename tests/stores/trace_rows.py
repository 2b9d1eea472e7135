"""Rows of attempts, and stores that hold them."""

import json

from forkpipe.stores.trace_store import TraceStore


def row(number, attempt=0, **changes):
    made = {
        "request_id": f"{number:016x}",
        "attempt": attempt,
        "trace_id": f"t{number}-{attempt}",
        "problem_id": f"p{number}",
        "teacher": "t",
        "teacher_revision": "",
        "sample": 0,
        "seed": number,
        "prompt": "?",
        "prompt_hash": "h",
        "sampling": '{"max_tokens": 10, "temperature": 1.0, "top_p": 1.0}',
        "text": f"text of {number}\nwith lines",
        "reasoning": "",
        "tokens_in": 2,
        "tokens_out": 5,
        "finish_reason": "stop",
        "status": "done",
        "error": "",
        "seconds": 0.5,
        "run_id": "run",
    }
    return {**made, **changes}


def held(path):
    """Return what a store holds, by number and attempt."""
    with TraceStore(path) as opened:
        return sorted((int(one["request_id"], 16), one["attempt"]) for one in opened.rows())


def fill(path, *numbers, **changes):
    with TraceStore(path) as opened:
        for number in numbers:
            opened.append(row(number, **changes))


def names(path):
    return sorted(one.name for one in path.iterdir() if one.name != "lock")


def leave_journal(path, *numbers):
    """Leave a journal as a killed run does."""
    path.mkdir(exist_ok=True)
    left = path / "journal-000009.jsonl"
    left.write_text("".join(json.dumps(row(number)) + "\n" for number in numbers))
    return left
