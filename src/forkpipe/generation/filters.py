"""Leaves out correct traces that may be in no trace set: by teacher, length, special tokens, or as near duplicates."""

from collections.abc import Sequence

from forkpipe.core.rows import RejectedRow, TraceRow
from forkpipe.generation.one_a_teacher import Wording
from forkpipe.models.student import Student
from forkpipe.parameters import TraceSetSettings


def left_out(
    traces: Sequence[TraceRow], texts: Sequence[str], settings: TraceSetSettings, student: Student
) -> dict[str, RejectedRow]:
    """Return the rows of `rejected` for the traces of one problem that may be in no set, by trace id.

    Args:
        traces: the correct traces of the problem, in the order of a draw: of near duplicates the first stays.
        texts: what the student would learn of each, in the same order.
        student: the model that will be trained, which counts tokens and knows its special tokens.
    """
    dropped: dict[str, RejectedRow] = {}
    wording, kept = Wording(texts), list[int]()
    for index, (trace, text) in enumerate(zip(traces, texts, strict=True)):
        why = _unfit(trace, text, settings, student)
        if why is None and settings.near_duplicates is not None:
            shares = ((other, wording.similarity(index, other)) for other in kept)
            same = next(((other, share) for other, share in shares if share >= settings.near_duplicates), None)
            if same is not None:
                why = "near duplicate", f"of trace {traces[same[0]]['trace_id']}: {same[1]:.2f} of their words"
        if why is None:
            kept.append(index)
        else:
            dropped[trace["trace_id"]] = rejected_row(trace["trace_id"], *why)
    return dropped


def _unfit(trace: TraceRow, text: str, settings: TraceSetSettings, student: Student) -> tuple[str, str] | None:
    """Return (reason, detail) for a trace that may be in no set, None for one that may."""
    if settings.teachers is not None and trace["teacher"] not in settings.teachers:
        return "teacher left out", f"{trace['teacher']} is not in trace_sets.teachers"
    if token := student.reserved(text):
        return "special token", f"{trace['teacher']} wrote {token!r}, which the student reads as that token"
    least, most = settings.min_tokens, settings.max_tokens
    if least is None and most is None:
        return None
    tokens = student.count(text)
    if most is not None and tokens > most:
        return "too long", f"{tokens} tokens, trace_sets.max_tokens allows {most}"
    if least is not None and tokens < least:
        return "too short", f"{tokens} tokens, trace_sets.min_tokens is {least}"
    return None


def rejected_row(name: str, reason: str, detail: str) -> RejectedRow:
    """Return a row of `rejected` for a trace or a problem that gives no set."""
    return {"stage": "trace_sets", "id": name, "reason": reason, "detail": detail}
