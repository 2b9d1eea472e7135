"""Verdicts on the samples of benchmarks, read from the table one batch at a time, and what each sample votes for."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

import pyarrow as pa

from forkpipe.core.progress import Progress
from forkpipe.core.records import Problem
from forkpipe.core.rows import BenchmarkProblemRow, BenchmarkScoreRow
from forkpipe.core.subsets import WITHOUT_VOTES
from forkpipe.parameters import VerificationSettings
from forkpipe.verification.dispatch import ResponseRow
from forkpipe.verification.equal_answers import Answered, ballots
from forkpipe.verification.row_verifier import RowVerifier

COLUMNS = ("subject", "benchmark", "problem_id", "asked", "tag", "sample", "n_tags", "text", "tokens", "finish_reason")
_KEPT = ("subject", "benchmark", "problem_id", "asked", "tag", "sample", "n_tags", "tokens")


def score_benchmarks(
    generations: Iterable[pa.RecordBatch],
    problems: Sequence[BenchmarkProblemRow],
    settings: VerificationSettings,
    total: int,
) -> list[BenchmarkScoreRow]:
    """Return a verdict and a vote for every sample, in order.

    Answers are grouped without the gold answer, see `verification.equal_answers`, among all samples of a subject for a
    problem of a benchmark.

    Args:
        generations: batches with `COLUMNS`.
        total: number of samples, for progress.
    """
    by_key = {(row["benchmark"], row["problem_id"]): _problem(row) for row in problems}
    progress = Progress("score samples", total, unit="samples")
    scores: list[dict[str, Any]] = []
    with RowVerifier(settings) as verifier:
        golds = {key: verifier.gold_of(problem) for key, problem in by_key.items()}
        for batch in generations:
            rows = batch.to_pylist()
            responses = []
            for row in rows:
                key = row["benchmark"], row["problem_id"]
                status = "failed" if row["finish_reason"] == "error" else "done"
                responses.append(
                    ResponseRow(by_key[key].answer_type, golds[key], row["text"], status, row["finish_reason"])
                )
            verdicts = verifier.verify(responses)
            scores += [
                {**{name: row[name] for name in _KEPT}, **verdict} for row, verdict in zip(rows, verdicts, strict=True)
            ]
            progress.update(len(scores))
        _add_votes(scores, by_key, verifier)
    return cast(list[BenchmarkScoreRow], scores)


def _problem(row: BenchmarkProblemRow) -> Problem:
    return Problem(**{name: cast(Mapping[str, Any], row)[name] for name in Problem.__slots__})


def _add_votes(
    scores: Sequence[dict[str, Any]], by_key: Mapping[tuple[str, str], Problem], verifier: RowVerifier
) -> None:
    groups: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for row in scores:
        groups.setdefault((row["subject"], row["benchmark"], row["problem_id"]), []).append(row)
    for row in scores:
        row["vote"], row["vote_correct"] = None, None
    groups = {key: rows for key, rows in groups.items() if rows[0]["verifier"] not in WITHOUT_VOTES}
    answers = [[Answered(row["extracted"], row["verdict"]) for row in rows] for rows in groups.values()]
    cast_votes = ballots(verifier, [by_key[key[1:]] for key in groups], answers)
    for rows, votes in zip(groups.values(), cast_votes, strict=True):
        for row, ballot in zip(rows, votes, strict=True):
            row["vote"], row["vote_correct"] = ballot
