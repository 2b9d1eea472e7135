"""A few texts as models write them: the samples of two test problems under each tag, with their verdicts."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from forkpipe.evaluation.samples import CORRECT, PLAIN_TAG, method_order

PROBLEMS = 2
MOST_CHARACTERS = 20_000
"""Longer texts lose their middle, so that a page with texts of 32 thousand tokens can still be opened."""

_PLACE = ("method", "problem_id", "policy", "tag", "sample")


def sample_texts(generations: Mapping[str, pa.Table], scores: pa.Table, problems: pa.Table) -> list[dict[str, Any]]:
    """Return the samples that the report shows; which ones does not depend on what they say.

    The problems are the test problem whose share of correct samples, of all methods together, is nearest to one half,
    and the one with the lowest share of the others. Of each method and policy the first sample under each tag is
    shown; the first two where the tag is the model's choice, or where there is one plain tag or none.

    Args:
        generations: the `generations` table of each method.
        scores: the `scores` tables of all methods in one.
        problems: the table `problems`.

    Returns:
        One entry a problem, JSON-able: problem_id, problem, answer, correct and total (samples of all methods), and
        samples: rows with method, policy, tag (from 0; -1 for a plain tag or none), sample, verdict, extracted,
        tokens, finish_reason, text, and left_out (characters cut from the middle of the text).
    """
    import pyarrow.compute as pc  # slow to import, so only where it is used

    test = scores.filter(pc.field("split") == "test")
    counts = _correct_and_total(test)
    of_problem = {row["problem_id"]: row for row in problems.select(["problem_id", "problem", "answer"]).to_pylist()}
    shown = []
    for problem in _choose({name: correct / total for name, (correct, total) in counts.items()}):
        wanted = (pc.field("problem_id") == problem) & (pc.field("split") == "test")
        verdicts = {tuple(row[name] for name in _PLACE): row for row in test.filter(wanted).to_pylist()}
        samples: list[dict[str, Any]] = []
        for method in method_order(generations):
            rows = generations[method].filter(wanted).drop_columns("token_ids").to_pylist()
            samples += [
                _sample(row, verdicts[tuple(row[name] for name in _PLACE)])
                for row in _first(rows)
                if tuple(row[name] for name in _PLACE) in verdicts
            ]
        correct, total = counts[problem]
        shown.append({**of_problem[problem], "correct": correct, "total": total, "samples": samples})
    return shown


def _correct_and_total(test: pa.Table) -> dict[str, tuple[int, int]]:
    total: Counter[str] = Counter(test["problem_id"].to_pylist())
    right = zip(test["problem_id"].to_pylist(), test["verdict"].to_pylist(), strict=True)
    correct = Counter(problem for problem, verdict in right if verdict == CORRECT)
    return {problem: (correct[problem], total[problem]) for problem in sorted(total)}


def _choose(shares: Mapping[str, float]) -> list[str]:
    """Return the problem whose share is nearest to one half, then those with the lowest share, `PROBLEMS` in all."""
    if not shares:
        return []
    middle = min(shares, key=lambda problem: (abs(shares[problem] - 0.5), problem))
    rest = sorted(shares.keys() - {middle}, key=lambda problem: (shares[problem], problem))
    return [middle, *rest][:PROBLEMS]


def _first(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the first samples of a method for one problem, in the order of policies and tags."""
    forced = [row["policy"] == "by_tag" and row["tag"] != PLAIN_TAG for row in rows]
    chosen = [(row, each) for row, each in zip(rows, forced, strict=True) if row["sample"] < (1 if each else 2)]
    chosen.sort(key=lambda pair: (pair[0]["policy"], pair[0]["tag"] if pair[1] else PLAIN_TAG, pair[0]["sample"]))
    return [row for row, _ in chosen]


def _sample(row: Mapping[str, Any], verdict: Mapping[str, Any]) -> dict[str, Any]:
    text, half = row["text"], MOST_CHARACTERS // 2
    left_out = max(0, len(text) - MOST_CHARACTERS)
    return {
        **{name: row[name] for name in ("method", "policy", "tag", "sample", "tokens", "finish_reason")},
        **{name: verdict[name] for name in ("verdict", "extracted")},
        "text": f"{text[:half]}\n[...]\n{text[-half:]}" if left_out else text,
        "left_out": left_out,
    }
