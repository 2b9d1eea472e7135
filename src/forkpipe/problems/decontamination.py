"""Removes problems that overlap evaluation sets or one another, and records each pair that matched."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from forkpipe.core.progress import Progress, logger
from forkpipe.core.rows import OverlapRow, ProblemRow, RejectedRow
from forkpipe.parameters import DecontaminationSettings
from forkpipe.problems.evaluation_sets import WITHIN, EvaluationProblem, with_benchmarks
from forkpipe.problems.near_duplicates import NearIndex
from forkpipe.problems.ngrams import NgramIndex
from forkpipe.problems.normalisation import normalise
from forkpipe.problems.overlap import Comparable, Match, OverlapIndex
from forkpipe.verification.answers import extract_answer

KEPT_FIRST = ("test", "validation", "rl", "train")
"""Of two equal problems, the one in the earlier of these splits is kept; in one split, the one with the lesser id."""
HELD_OUT = ("test", "validation")
TEMPLATE_LIMIT = 50
"""Most problems of one template that are compared for near-duplicates, see `OverlapIndex`."""
QUOTED = 200
"""Characters of the matched problem that the detail of a rejection quotes; `overlaps` has the whole text."""


def remove_overlaps(
    problems: Any, evaluation: list[EvaluationProblem], settings: DecontaminationSettings, benchmarks: Any = ()
) -> tuple[list[ProblemRow], list[OverlapRow], list[RejectedRow], dict[str, Any]]:
    """Return (rows of `problems`, rows of `overlaps`, rows of `rejected`, the summary).

    A problem that overlaps an evaluation set is rejected, whatever its split. The other problems are compared with one
    another. Equal texts with different answers are all rejected, since nobody knows which answer is right. Of equal
    texts and near-duplicates one is kept, see `KEPT_FIRST`. Two near-duplicates that are both held out, or both not,
    must have the same answer: with different answers they are mostly different questions. If only one of them is held
    out, any overlap is a leak.

    Args:
        problems: the table `normalised_problems`.
        evaluation: problems of the evaluation sets; may be empty.
        benchmarks: the table `benchmark_problems`, whose problems are evaluation problems too.
    """
    evaluation = with_benchmarks(evaluation, benchmarks.to_pylist() if hasattr(benchmarks, "to_pylist") else benchmarks)
    rows: list[ProblemRow] = problems.to_pylist() if hasattr(problems, "to_pylist") else list(problems)
    texts = {row["problem_id"]: Comparable.of(row["problem"]) for row in rows}
    overlaps = _Overlaps(settings)
    too_short = _against(rows, texts, evaluation, overlaps)
    over_limit = 0
    if settings.within:
        over_limit = _within([row for row in rows if row["problem_id"] not in overlaps.rejected], texts, overlaps)
    kept = [row for row in rows if row["problem_id"] not in overlaps.rejected]
    summary = {
        "problems": len(rows),
        "kept": len(kept),
        "evaluation_sets": dict(Counter(problem.set for problem in evaluation)),
        "overlaps": overlaps.counts(),
        "too_short_for_ngrams": too_short,
        "over_template_limit": over_limit,
    }
    _log(summary)
    return kept, overlaps.rows, list(overlaps.rejected.values()), summary


class _Overlaps:
    """The overlaps so far: rows of `overlaps`, and rows of `rejected` by problem."""

    def __init__(self, settings: DecontaminationSettings) -> None:
        self.settings = settings
        self.rows: list[OverlapRow] = []
        self.rejected: dict[str, RejectedRow] = {}

    def index(self, *, within: bool) -> OverlapIndex:
        """Return an empty index for the configured kinds of overlap."""
        ngram, near = self.settings.ngram, self.settings.near
        near_index = None
        if near is not None:
            threshold = near.within if within else near.jaccard
            near_index = NearIndex(threshold, shingle=near.shingle, permutations=near.permutations)
        if within:
            return OverlapIndex(None, near_index, template_limit=TEMPLATE_LIMIT)
        return OverlapIndex(NgramIndex(**ngram.model_dump()) if ngram else None, near_index)

    def counts_as_overlap(self, match: Match) -> bool:
        return match.kind != "renumbered" or self.settings.renumbered != "ignore"

    def rejects(self, match: Match) -> bool:
        return match.kind != "renumbered" or self.settings.renumbered == "reject"

    def add(
        self,
        row: ProblemRow,
        match: Match,
        name: str,
        other_id: str,
        other_problem: str,
        *,
        rejects: bool,
        why: str = "",
    ) -> None:
        self.rows.append(
            {
                "problem_id": row["problem_id"],
                "set": name,
                "kind": match.kind,
                "score": match.score,
                "other_id": other_id,
                "other_problem": other_problem,
                "action": "rejected" if rejects else "kept",
            }
        )
        if rejects and row["problem_id"] not in self.rejected:
            quoted = other_problem if len(other_problem) <= QUOTED else other_problem[:QUOTED] + "…"
            self.rejected[row["problem_id"]] = {
                "stage": "decontamination",
                "id": row["problem_id"],
                "reason": why or f"{match.kind} overlap with {name}",
                "detail": f"source id {row['source_id']}: score {match.score:.2f} with {name} {other_id}: {quoted}",
            }

    def counts(self) -> list[dict[str, Any]]:
        """Return how many problems overlap, by set, kind and action."""
        counted = Counter((row["set"], row["kind"], row["action"]) for row in self.rows)
        return [
            {"set": name, "kind": kind, "action": action, "problems": number}
            for (name, kind, action), number in sorted(counted.items())
        ]


def _against(
    rows: list[ProblemRow], texts: dict[str, Comparable], evaluation: list[EvaluationProblem], overlaps: _Overlaps
) -> dict[str, int]:
    """Compare problems with evaluation sets; return for each set how many problems are too short for n-grams."""
    if not evaluation:
        return {}
    index = overlaps.index(within=False)
    for problem in evaluation:
        index.add(Comparable.of(problem.problem), problem.set)
    progress = Progress("decontamination", len(rows), unit="problems")
    for done, row in enumerate(rows, start=1):
        best: dict[str, Match] = {}  # the surest matches come first
        for match in filter(overlaps.counts_as_overlap, index.find(texts[row["problem_id"]])):
            best.setdefault(evaluation[match.other].set, match)
        for name, match in best.items():
            other = evaluation[match.other]
            overlaps.add(row, match, name, other.id, other.problem, rejects=overlaps.rejects(match))
        progress.update(done)
    return dict(Counter(evaluation[number].set for number in index.too_short))


def _within(rows: list[ProblemRow], texts: dict[str, Comparable], overlaps: _Overlaps) -> int:
    """Compare problems with one another; return how many exceeded the limit of their template."""
    # Of a worked solution its final answer counts: two ways to the same answer are no conflict.
    stated = {row["problem_id"]: extract_answer(row["answer"]) or row["answer"] for row in rows}
    answers = {name: normalise(answer) or answer for name, answer in stated.items()}
    ranked = sorted(rows, key=lambda row: (KEPT_FIRST.index(row["split"]), row["problem_id"]))
    conflicting = _conflicting(ranked, texts, answers, overlaps)
    index = overlaps.index(within=True)
    kept: list[ProblemRow] = []  # the problems in the index
    progress = Progress("duplicates among the problems", len(ranked), unit="problems")
    for done, row in enumerate(ranked, start=1):
        if row["problem_id"] not in conflicting:
            matches = list(filter(overlaps.counts_as_overlap, index.find(texts[row["problem_id"]])))
            same = [
                match for match in matches if overlaps.rejects(match) and _same(row, kept[match.other], match, answers)
            ]
            for match in (same or matches)[:1]:
                other = kept[match.other]
                overlaps.add(row, match, WITHIN, other["problem_id"], other["problem"], rejects=bool(same))
            if not same:
                index.add(texts[row["problem_id"]])
                kept.append(row)
        progress.update(done)
    return index.over_limit


def _same(row: ProblemRow, other: ProblemRow, match: Match, answers: dict[str, str]) -> bool:
    across = (row["split"] in HELD_OUT) != (other["split"] in HELD_OUT)
    return across or match.kind == "renumbered" or answers[row["problem_id"]] == answers[other["problem_id"]]


def _conflicting(
    ranked: list[ProblemRow], texts: dict[str, Comparable], answers: dict[str, str], overlaps: _Overlaps
) -> set[str]:
    """Reject equal texts with different answers, each paired with another; return their ids."""
    groups: dict[str, list[ProblemRow]] = {}
    for row in ranked:
        groups.setdefault(texts[row["problem_id"]].whole, []).append(row)
    rejected = set()
    for text, group in groups.items():
        if not text or len({answers[row["problem_id"]] for row in group}) < 2:
            continue
        for row in group:
            other = next(rival for rival in group if answers[rival["problem_id"]] != answers[row["problem_id"]])
            overlaps.add(
                row,
                Match(0, "exact", 1.0),
                WITHIN,
                other["problem_id"],
                other["problem"],
                rejects=True,
                why="conflicting answers",
            )
            rejected.add(row["problem_id"])
    return rejected


def _log(summary: dict[str, Any]) -> None:
    def listed(parts: Iterable[str]) -> str:
        return ", ".join(parts) or "none"

    logger.info(
        "decontamination: %d of %d problems kept; held against %s; overlaps: %s",
        summary["kept"],
        summary["problems"],
        listed(f"{name} ({number})" for name, number in summary["evaluation_sets"].items()),
        listed(f"{n['set']} {n['kind']} {n['problems']} {n['action']}" for n in summary["overlaps"]),
    )
    for name, number in summary["too_short_for_ngrams"].items():
        logger.info("decontamination: %d problems of %s are too short for ngram: exact and near only", number, name)
    if summary["over_template_limit"]:
        logger.info(
            "decontamination: %d problems differ from %d others in numbers alone: not looked at for near-duplicates",
            summary["over_template_limit"],
            TEMPLATE_LIMIT,
        )
