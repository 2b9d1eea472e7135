"""Metrics of benchmarks against brute force: every set that a policy could draw, written down."""

import itertools
from statistics import fmean

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forkpipe.core.errors import InputError
from forkpipe.core.protocols import Protocol, Share, TagPolicy
from forkpipe.core.records import Problem, Sampling
from forkpipe.core.schemas import SCHEMAS
from forkpipe.evaluation.benchmark_metrics import benchmark_differences, benchmark_metrics
from forkpipe.evaluation.benchmark_samples import Measurement
from forkpipe.evaluation.precision import detectable_difference, sample_precision
from forkpipe.parameters import VerificationSettings
from forkpipe.verification.equal_answers import Answered, ballots
from forkpipe.verification.row_verifier import RowVerifier

N_TAGS, EACH, PROBLEMS = 3, 4, 2
ANSWERS = st.sampled_from([0, 1, 2, None])
"""0 is correct; None abstains."""
GRIDS = st.lists(
    st.lists(st.lists(ANSWERS, min_size=EACH, max_size=EACH), min_size=N_TAGS, max_size=N_TAGS),
    min_size=PROBLEMS,
    max_size=PROBLEMS,
)


def problem_rows(n=PROBLEMS):
    made = [Problem.create(f"p{i}", "0", answer_type="integer", source="b", source_id=str(i)) for i in range(n)]
    return [{**one.to_row(), "benchmark": "b", "prompt": "", "subsets": [f"odd={i % 2}"]} for i, one in enumerate(made)]


def scores(grid, subject="m"):
    rows = problem_rows(len(grid))
    empty = dict.fromkeys(("extracted", "extracted_from", "rule", "verifier", "verifier_version", "run_id"), "")
    made = [
        {
            **empty,
            **{
                "subject": subject,
                "benchmark": "b",
                "problem_id": rows[p]["problem_id"],
                "asked": "forced",
                "tag": tag,
            },
            **{"sample": sample, "n_tags": N_TAGS, "tokens": 5, "vote": answer},
            "verdict": "unparsed" if answer is None else "correct" if answer == 0 else "wrong",
            "vote_correct": None if answer is None else answer == 0,
        }
        for p, tags in enumerate(grid)
        for tag, samples in enumerate(tags)
        for sample, answer in enumerate(samples)
    ]
    return pa.Table.from_pylist(made, schema=SCHEMAS["benchmark_scores"])


def measurement(policies, protocols, samples=N_TAGS * EACH):
    return Measurement(
        [Share("b", samples)], list(map(TagPolicy.parse, policies)), list(map(Protocol.parse, protocols)), Sampling()
    )


def vote(answers):
    """Return the score of a plurality vote, by counting."""
    counts = {answer: answers.count(answer) for answer in set(answers) - {None}}
    best = [answer for answer in counts if counts[answer] == max(counts.values())]
    return (0 in best) / len(best) if best else 0.0


def value(grid, policy, protocol, samples=N_TAGS * EACH):
    rows = benchmark_metrics(scores(grid), problem_rows(len(grid)), measurement([policy], [protocol], samples))
    return next(row["value"] for row in rows if row["subset"] == "all")


@given(GRIDS)
@settings(max_examples=25, deadline=None)
def test_votes_and_passes_equal_the_mean_over_all_sets(grid):
    def drawn(tags, counts):
        parts = [itertools.combinations(samples, k) for samples, k in zip(tags, counts, strict=True)]
        return [[answer for part in parts for answer in part] for parts in itertools.product(*parts)]

    for k, counts in ((3, (1, 1, 1)), (5, (2, 2, 1))):
        assert value(grid, "spread", f"cons@{k}") == pytest.approx(
            fmean(fmean(map(vote, drawn(t, counts))) for t in grid)
        )
        assert value(grid, "spread", f"pass@{k}") == pytest.approx(
            fmean(fmean(0 in answers for answers in drawn(t, counts)) for t in grid)
        )
    sets = [fmean(vote([samples[s] for samples in tags]) for s in range(EACH)) for tags in grid]
    assert value(grid, "spread", "cons@3x4") == pytest.approx(fmean(sets))
    assert value(grid, "spread", "avg@12") == pytest.approx(fmean(t.count(0) for tags in grid for t in tags) / EACH)
    assert value(grid, "tag:2", "avg@4", EACH) == pytest.approx(fmean(tags[1].count(0) for tags in grid) / EACH)
    assert value(grid, "tag:2", "cons@2", EACH) == pytest.approx(
        fmean(fmean(map(vote, map(list, itertools.combinations(tags[1], 2)))) for tags in grid)
    )


def test_subsets_and_samples_are_counted():
    grid = [[[0] * EACH] * N_TAGS, [[1, None, 1, 1]] * N_TAGS]
    rows = benchmark_metrics(scores(grid), problem_rows(), measurement(["spread"], ["avg@12", "cons@3"]))
    found = {(row["subset"], row["protocol"]): row for row in rows}
    assert [found[subset, "avg@12"]["value"] for subset in ("all", "odd=0", "odd=1")] == [0.5, 1.0, 0.0]
    assert (found["all", "avg@12"]["n_problems"], found["odd=0", "avg@12"]["n_samples"]) == (2, 12)
    assert found["all", "avg@12"]["unscored"] == pytest.approx(1 / 8)
    row = found["all", "cons@3"]
    assert row["problems_low"] <= row["samples_low"] <= row["value"] <= row["samples_high"] <= row["problems_high"]


def test_a_missing_sample_is_named():
    table = scores([[[0] * EACH] * N_TAGS] * 2)
    lacking = table.slice(0, table.num_rows - 1)
    with pytest.raises(InputError, match="has 3 of 4 samples under tag 3, sample 3 is missing"):
        benchmark_metrics(lacking, problem_rows(), measurement(["spread"], ["avg@12"]))
    with pytest.raises(InputError, match="sample 0 twice"):
        benchmark_metrics(pa.concat_tables([table, table]), problem_rows(), measurement(["spread"], ["avg@12"]))


def test_differences_are_paired_by_problem():
    good, bad = [[[0] * EACH] * N_TAGS] * 4, [[[0] * EACH] * N_TAGS] * 3 + [[[1] * EACH] * N_TAGS]
    table = pa.concat_tables([scores(good, "good"), scores(bad, "bad")])
    (row,) = [
        row
        for row in benchmark_differences(table, problem_rows(4), measurement(["spread"], ["avg@12"]), resamples=500)
        if row["subset"] == "all"
    ]
    assert (row["a"], row["b"], row["value"]) == ("good", "bad", 0.25)
    assert row["low"] < 0.25 < row["high"]
    assert row["detectable"] > 0.25  # four problems tell nothing of this size apart


def test_more_samples_tell_smaller_differences_apart():
    few, many = sample_precision([0.5] * 30, 4), sample_precision([0.5] * 30, 64)
    assert many.detectable < few.detectable / 3
    assert few.low < many.low < 0.5 < many.high < few.high
    assert sample_precision([0.5] * 30, 1) is None
    certain = sample_precision([0.0] * 30, 64)
    assert 0.0 == certain.low < certain.high < 0.01


def test_the_smallest_difference_is_found_in_about_80_percent_of_runs():
    """30 problems, 16 samples each: simulated runs of two models that differ by what is said to be detectable."""
    import numpy as np

    rng = np.random.default_rng(0)
    skill = rng.uniform(0.2, 0.7, size=30)
    difference = sample_precision(list(skill), 16).detectable
    runs = 2000
    a = rng.binomial(16, skill, size=(runs, 30)) / 16
    b = rng.binomial(16, skill + difference, size=(runs, 30)) / 16
    error = np.sqrt((a * (1 - a) + b * (1 - b)).sum(axis=1) / 15) / 30
    found = np.mean(np.abs((b - a).mean(axis=1)) > 1.96 * error)
    assert 0.74 < found < 0.9


def test_a_paired_test_over_more_problems_finds_smaller_differences():
    assert detectable_difference([0.1, -0.1] * 200) < detectable_difference([0.1, -0.1] * 10)


@pytest.mark.parametrize("order", [0, 1, 2])
def test_equal_answers_are_one_vote_whatever_their_order(order):
    """1/2, 0.5 and \\frac12 are one class; a wrong answer in two notations is one class too; gold is not asked."""
    said = [
        ("1/2", "correct"),
        ("0.5", "correct"),
        ("3", "wrong"),
        ("3.0", "wrong"),
        ("", "unparsed"),
        ("07", "wrong"),
        ("7", "wrong"),
    ]
    said = said[order:] + said[:order]
    problem = Problem.create("p", "\\frac12", answer_type="math", source="b", source_id="0")
    with RowVerifier(VerificationSettings()) as verifier:
        (found,) = ballots(verifier, [problem], [[Answered(*one) for one in said]])
    votes = {text: ballot for (text, _), ballot in zip(said, found, strict=True)}
    assert votes["1/2"].vote == votes["0.5"].vote
    assert votes["3"].vote == votes["3.0"].vote
    assert votes["7"].vote == votes["07"].vote
    assert len({votes[text].vote for text in ("1/2", "3", "7")}) == 3
    assert (votes["1/2"].correct, votes["3"].correct, votes[""].vote) == (True, False, None)
