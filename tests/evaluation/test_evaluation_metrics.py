"""From scores to metrics, comparison and headline: hand-derived values, completeness, and what must not matter."""

import random

import pyarrow as pa
import pytest

from forkpipe.core.errors import InputError
from forkpipe.core.schemas import SCHEMAS
from forkpipe.evaluation.differences import paired_differences
from forkpipe.evaluation.metrics import (
    budget_warning,
    compare,
    compute_metrics,
    format_headline,
    headline,
)
from forkpipe.evaluation.samples import covering_tag, load_pools
from forkpipe.evaluation.seeds import metrics_over_seeds, with_pairs

BUDGETS = {
    "sft": {"tokens_trained": 1000, "rollouts": 0},
    "ssft": {"tokens_trained": 1000, "rollouts": 0},
    "grpo": {"tokens_trained": 1500, "rollouts": 400},
    "gfpo": {"tokens_trained": 1500, "rollouts": 400},
}


def score(method, problem, tag, sample, verdict, extracted="", split="test", policy="by_tag"):
    """Return a row of `scores`."""
    given = {"method": method, "problem_id": problem, "split": split, "policy": policy, "tag": tag}
    given |= {"tag_source": "forced", "sample": sample, "tokens": 10, "extracted": extracted, "verdict": verdict}
    return given | {"rule": "integer", "verifier": "v", "verifier_version": "1", "run_id": "r"}


def table(rows):
    return pa.Table.from_pylist(rows, schema=SCHEMAS["scores"])


def cell(method, problem, tag, marks, **other):
    """Return rows of one cell: c is correct, u unparsed, any other mark a wrong answer of that name."""
    verdicts = {"c": ("correct", "7"), "u": ("unparsed", "")}
    return [
        score(method, problem, tag, s, *verdicts.get(mark, ("wrong", mark)), **other) for s, mark in enumerate(marks)
    ]


def example():
    """One plain method with four samples, one of two tags with two samples each; two problems a split."""
    rows = {"sft": [], "ssft": []}
    for split in ("validation", "test"):
        rows["sft"] += cell("sft", "p0", -1, "ccxy", split=split) + cell("sft", "p1", -1, "cxxu", split=split)
        rows["ssft"] += cell("ssft", "p0", 0, "cx", split=split) + cell("ssft", "p0", 1, "cc", split=split)
        rows["ssft"] += cell("ssft", "p1", 0, "xy", split=split) + cell("ssft", "p1", 1, "cx", split=split)
    return rows


def metrics_of(rows, **options):
    options = {"ks": [1, 2, 4, 8], "seed": 0} | options
    return compute_metrics([table(part) for part in rows.values()], **options)


def values_of(rows):
    return {(r["method"], r["split"], r["policy"], r["protocol"]): r["value"] for r in rows}


def test_values_by_hand():
    """N = 2.

    sft: p0 2 of 4, p1 1 of 4 correct. pass@1 (1/2 + 1/4) / 2 = 3/8; pass@2 (5/6 + 1/2) / 2 = 2/3; pass@4 1.
    ssft: tag 1 is right in 2/2 and 1/2: best, .75. Mixed 4 of 8. pass@N native: p0 1 - 1/2 * 0 = 1, p1 1/2: .75.
    cons@N native: p0 {c, x} x {c}: 1 or a tie, .75; p1 {x, y} x {c, x}: (x, c) 1/2, (y, c) 1/2, (x, x) 0, (y, x) 0:
    .25; mean .5.
    """
    values = values_of(metrics_of(example()))
    assert values["sft", "test", "mixed", "pass@1"] == pytest.approx(3 / 8)
    assert values["sft", "test", "mixed", "pass@2"] == pytest.approx(2 / 3)
    assert values["sft", "test", "mixed", "pass@4"] == pytest.approx(1.0)
    assert values["ssft", "test", "best_tag", "pass@1"] == pytest.approx(0.75)
    assert values["ssft", "test", "mixed", "pass@1"] == pytest.approx(0.5)
    assert values["ssft", "test", "native", "pass@2"] == pytest.approx(0.75)
    assert values["ssft", "test", "native", "cons@2"] == pytest.approx(0.5)


def test_rows_that_exist():
    """No k beyond the pool, best_tag on test only, no native policy without tags; columns as the schema says."""
    rows = metrics_of(example())
    keys = set(values_of(rows))
    assert len(keys) == len(rows)
    assert not any(protocol == "pass@8" for *_, protocol in keys)
    assert ("ssft", "validation", "best_tag", "pass@1") not in keys
    assert ("ssft", "validation", "native", "cons@2") in keys
    assert ("sft", "test", "native", "cons@2") not in keys
    assert ("sft", "test", "mixed", "cons@2") in keys
    assert set(rows[0]) == set(SCHEMAS["metrics"].names) - {"run_id"}
    assert {row["n_samples"] for row in rows if row["policy"] == "best_tag"} == {2}


def test_correct_answers_are_one_vote_and_unparsed_abstains():
    """7 and 7.0 beat 9, 9 is no tie; u abstains, so a single correct answer wins against two of them."""
    marks = [score("sft", "p0", -1, s, v, e) for s, (v, e) in enumerate([("correct", "7"), ("correct", "7.0")])]
    rows = [*marks, score("sft", "p0", -1, 2, "wrong", "9"), *cell("sft", "p1", -1, "cuu")]
    assert values_of(metrics_of({"sft": rows}, ks=[3]))["sft", "test", "mixed", "cons@3"] == 1.0


def test_own_policy_pools_over_the_tags_that_the_model_wrote():
    rows = example()
    for split in ("validation", "test"):
        for problem, marks in (("p0", "cc"), ("p1", "cx")):
            own = cell("gfpo", problem, 0, marks, split=split, policy="own")
            own[1]["tag"] = 1
            rows.setdefault("gfpo", []).extend(own)
    values = values_of(metrics_of(rows))
    assert values["gfpo", "test", "own", "pass@1"] == pytest.approx(0.75)
    assert ("gfpo", "test", "own", "cons@2") in values


def test_the_base_model_has_a_row_but_no_budget():
    """Asked without a tag, p0 is right in 1 of 4 samples and p1 in 1 of 4: pass@1 .25, pass@2 1/2, both by hand."""
    rows = full_example()
    for split in ("validation", "test"):
        rows.setdefault("base", []).extend(
            cell("base", "p0", -1, "cxyu", split=split, policy="none")
            + cell("base", "p1", -1, "xcyz", split=split, policy="none")
        )
    values = values_of(metrics_of(rows))
    assert values["base", "test", "none", "pass@1"] == pytest.approx(0.25)
    assert values["base", "test", "none", "pass@2"] == pytest.approx(0.5)
    compared = comparison_of(BUDGETS | {"base": {"tokens_trained": 0, "rollouts": 0}}, rows)
    first = headline(compared)[0]
    assert (first["method"], first["policy"], first["cons_n_policy"], first["pass_n"]) == ("base", "none", "none", 0.5)
    assert budget_warning(compared) == budget_warning(comparison_of())


def test_order_of_samples_and_tables_changes_no_number():
    rows = example()
    expected = metrics_of(rows)
    shuffled = {name: random.Random(1).sample(rows[name], len(rows[name])) for name in ("ssft", "sft")}
    # The indices of samples are shuffled too: which sample came first is no information.
    for row in shuffled["sft"]:
        row["sample"] = (row["sample"] + 1) % 4
    assert metrics_of(shuffled) == expected


def test_names_of_tags_change_no_number():
    rows = example()
    expected = metrics_of(rows)
    for row in rows["ssft"]:
        row["tag"] = 1 - row["tag"]
    assert metrics_of(rows) == expected


def test_equal_tags_give_the_lowest():
    """On validation both tags solve one of two samples; tag 0 is chosen, which fails on test."""
    rows = []
    for tag, test in ((0, "xx"), (1, "cc")):
        rows += cell("ssft", "p", tag, "cx", split="validation") + cell("ssft", "q", tag, test)
    assert values_of(metrics_of({"ssft": rows}))["ssft", "test", "best_tag", "pass@1"] == 0.0


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            lambda rows: rows["ssft"].remove(next(r for r in rows["ssft"] if (r["tag"], r["sample"]) == (1, 1))),
            "ssft, validation, by_tag: problem p0 has 1 of 2 samples under tag 1, sample 1 is missing",
        ),
        (
            lambda rows: rows.update(sft=[r for r in rows["sft"] if (r["split"], r["problem_id"]) != ("test", "p1")]),
            "sft, test, by_tag: problem p1 is missing, 1 of 2 problems are there",
        ),
        (
            lambda rows: rows.update(sft=[r for r in rows["sft"] if r["split"] != "test"]),
            "sft, test, any policy: problem p0 is missing, 0 of 2",
        ),
        (
            lambda rows: rows.update(
                ssft=[r for r in rows["ssft"] if r["split"] == "test"],
                sft=[r for r in rows["sft"] if r["split"] == "test"],
            ),
            "ssft: validation samples by tag are missing",
        ),
        (lambda rows: rows["sft"].append(rows["sft"][0]), "problem p0 has sample 0 under tag -1 twice"),
        (lambda rows: rows["sft"][0].update(tag=0), "sft: tags .* mix"),
        (
            lambda rows: rows.update(gfpo=[r | {"method": "gfpo", "tag": r["tag"] * 2} for r in rows["ssft"]]),
            "different numbers of tags, which cannot be compared: sft 0, ssft 2, gfpo 3",
        ),
        (lambda rows: (rows["sft"].clear(), rows["ssft"].clear()), "no rows"),
    ],
)
def test_incomplete_scores_are_refused(spoil, message):
    rows = example()
    spoil(rows)
    with pytest.raises(InputError, match=message):
        metrics_of(rows)


@pytest.mark.parametrize("ks", [[], [0, 1]])
def test_ks_are_checked(ks):
    with pytest.raises(InputError, match="ks"):
        metrics_of(example(), ks=ks)


def full_example():
    rows = example()
    for method in ("grpo", "gfpo"):
        rows[method] = [row | {"method": method} for row in rows["sft" if method == "grpo" else "ssft"]]
    for split in ("validation", "test"):
        rows["gfpo"] += cell("gfpo", "p0", 0, "cc", split=split, policy="own")
        rows["gfpo"] += cell("gfpo", "p1", 1, "cc", split=split, policy="own")
    return rows


def comparison_of(budgets=BUDGETS, rows=None):
    return compare(metrics_of(rows or full_example()), budgets, {"ssft": 8, "gfpo": 8})


def test_comparison_holds_single_shot_and_n_samples():
    rows = comparison_of()
    assert {row["protocol"] for row in rows} == {"pass@1", "pass@2", "cons@2"}
    assert set(rows[0]) == set(SCHEMAS["comparison"].names) - {"run_id"}
    assert {r["validation_rollouts"] for r in rows if r["policy"] == "best_tag"} == {8}
    assert {r["validation_rollouts"] for r in rows if r["policy"] != "best_tag"} == {0}


def test_headline_policies():
    rows = {row["method"]: row for row in headline(comparison_of())}
    assert list(rows) == ["sft", "ssft", "grpo", "gfpo"]
    assert {m: r["policy"] for m, r in rows.items()} == {
        "sft": "mixed", "ssft": "best_tag", "grpo": "mixed", "gfpo": "own",
    }  # fmt: skip
    assert {m: r["cons_n_policy"] for m, r in rows.items()} == {
        "sft": "mixed", "ssft": "native", "grpo": "mixed", "gfpo": "own",
    }  # fmt: skip
    assert (rows["sft"]["pass_n_policy"], rows["gfpo"]["pass_n_policy"]) == ("mixed", "own")
    assert (rows["gfpo"]["pass_1"], rows["ssft"]["validation_rollouts"], rows["gfpo"]["validation_rollouts"]) == (
        1,
        8,
        0,
    )


def test_differences_are_those_of_the_headline():
    """gfpo writes its own tag and is always right, grpo in 3/8; ssft's best tag .75 against sft's 3/8."""
    rows = full_example()
    tables = [table(part) for part in rows.values()]
    found = paired_differences(tables, comparison_of(rows=rows), resamples=50, seed=0)
    assert {(row["a"], row["b"]): row["value"] for row in found} == {
        ("gfpo", "grpo"): pytest.approx(5 / 8),
        ("ssft", "sft"): pytest.approx(3 / 8),
    }
    assert all(row["low"] <= row["value"] <= row["high"] and row["n_problems"] == 2 for row in found)


def test_budget_warning():
    """Only what is unequal is named, with its factor; a supervised method is not held against rollouts."""
    warning = budget_warning(comparison_of(BUDGETS | {"gfpo": {"tokens_trained": 1500, "rollouts": 600}}))
    assert warning is not None
    assert "rollouts of the reinforcement-learning methods (grpo 400, gfpo 600, 1.50 times the least)" in warning
    assert "best tag (ssft 8, the others none)" in warning
    assert "tokens trained" not in warning
    plain = [row for row in comparison_of() if row["method"] in ("sft", "grpo")]
    assert budget_warning(plain) is None


def test_budgets_are_asked_for():
    with pytest.raises(InputError, match="budget of gfpo: rollouts is missing"):
        comparison_of(BUDGETS | {"gfpo": {"tokens_trained": 1}})
    with pytest.raises(InputError, match="validation samples of ssft"):
        compare(metrics_of(full_example()), BUDGETS, {})
    with pytest.raises(InputError, match="no rows of the test split"):
        compare([], BUDGETS, {})


def test_headline_as_text():
    """Two problems with .25 and .5. Beside a 0 and a 1 they vary by .1367 around .4375: 2 * .2461 / .1367 = 3.6 trials
    with a share of .375, of which Wilson's interval is .086 to .793.
    """
    text = format_headline(headline(comparison_of()))
    lines = text.splitlines()
    assert lines[0].split()[:5] == ["method", "policy", "pass@1", "cons@2", "pass@2"]
    assert len(lines) == 6
    assert "37.5 [8.6, 79.3]" in text


def test_the_covering_tag_is_that_of_the_most_teachers_in_the_last_matchings():
    """By hand: tag 0 had three teachers once, but at its last visit p1's trace of c went to tag 1, which then has
    a, b, c over its problems; tag 0 keeps a and b with more traces."""
    rows = [
        ("p1", "t1", "a", 0, 0), ("p1", "t2", "b", 1, 0), ("p1", "t3", "c", 2, 0),
        ("p2", "t4", "a", 1, 0), ("p2", "t5", "b", 0, 0), ("p3", "t6", "b", 0, 0), ("p3", "t7", "c", 0, 0),
        ("p3", "t7", "c", 1, 1), ("p3", "t6", "b", 0, 1), ("p4", "t8", "a", 0, 0),
    ]  # fmt: skip
    names = ("problem_id", "trace_id", "teacher", "tag", "visit")
    table = pa.Table.from_pylist([dict(zip(names, row, strict=True)) for row in rows])
    assert covering_tag(table) == 1
    scores = [pa.Table.from_pylist(rows) for rows in full_example().values()]
    found = compute_metrics(scores, ks=[1], seed=0, covering={"ssft": 1})
    values = {row["policy"]: row["value"] for row in found if (row["method"], row["split"]) == ("ssft", "test")}
    pool = next(p for p in load_pools(scores) if (p.method, p.split, p.policy) == ("ssft", "test", "by_tag"))
    assert values["covering_tag"] == sum(pool.accuracy(1)) / len(pool.problems)


def of_programs(rows, detail='{"public_only": true}'):
    return {method: [{**row, "verifier": "code", "detail": detail} for row in part] for method, part in rows.items()}


def test_programs_do_not_vote_and_figures_say_what_they_hide():
    """pass@k is as ever; cons@k has no value, which is not 0, and every row says that there were public tests only."""
    plain, programs = metrics_of(example()), metrics_of(of_programs(example()))
    assert all(row["note"] is None for row in plain)
    for row, same in zip(programs, plain, strict=True):
        if row["protocol"].startswith("cons@"):
            assert (row["value"], row["low"], row["high"]) == (None, None, None)
            assert row["note"] == "public tests only; no vote over programs"
        else:
            assert (row["value"], row["low"], row["note"]) == (same["value"], same["low"], "public tests only")
        assert (row["protocol"], row["n_problems"]) == (same["protocol"], same["n_problems"])
    pa.Table.from_pylist([{**row, "run_id": "r"} for row in programs], schema=SCHEMAS["metrics"])
    compared = compare(programs, BUDGETS, {"sft": 8, "ssft": 8})
    pa.Table.from_pylist([{**row, "run_id": "r"} for row in compared], schema=SCHEMAS["comparison"])
    summary = headline(compared)
    assert [row["cons_n"] for row in summary] == [None, None]
    assert all(row["pass_n"] is not None for row in summary)
    assert summary[0]["notes"] == ["public tests only", "no vote over programs"]
    assert format_headline(summary).count("public tests only; no vote over programs") == 2


def test_one_program_among_answers_leaves_no_vote():
    rows = example()
    rows["sft"][0] |= {"verifier": "code", "detail": None}
    by_method = {(row["method"], row["split"]): row for row in metrics_of(rows) if row["policy"] == "mixed"}
    noted = {key: row["note"] for key, row in by_method.items() if row["protocol"].startswith("cons@")}
    assert set(noted.values()) <= {None, "no vote over programs"}
    assert [row["value"] for row in metrics_of(rows) if row["note"]] == [None]


def of_seeds(marks):
    """Return scores of sft and ssft with training seeds; by seed the marks of (sft, ssft tag 0, ssft tag 1) on p0."""
    rows = []
    for seed, (plain, first, second) in marks.items():
        part = []
        for split in ("validation", "test"):
            part += cell("sft", "p0", -1, plain, split=split)
            part += cell("ssft", "p0", 0, first, split=split) + cell("ssft", "p0", 1, second, split=split)
        rows += [row | {"training_seed": seed} for row in part]
    return table(rows)


NO_MATCHINGS = pa.Table.from_pylist([], schema=SCHEMAS["matching"])


def compared_over_seeds(marks):
    metrics = metrics_over_seeds(of_seeds(marks), NO_MATCHINGS, ks=[1], seed=0)
    return metrics, with_pairs(compare(metrics, BUDGETS, {"ssft": 4}), metrics)


def test_seeds_by_hand():
    """sft: .25, .5, .75 on the one problem: mean .5, s .25, t(.975, 2 degrees) 4.3027: half width 4.3027 * .25 / 3**.5,
    which is .621, so -.121 to 1.121, cut to 0 and 1. ssft's best
    tag is 0, 1, 0 by seed: 1, 1, .5. Above sft, above, below."""
    marks = {0: ("cxxx", "cc", "xx"), 4: ("ccxx", "xx", "cc"), 7: ("cccx", "cx", "xx")}
    metrics, compared = compared_over_seeds(marks)
    rows = {(row["method"], row["protocol"], row["policy"]): row for row in compared}
    sft = rows["sft", "pass@1", "mixed"]
    assert (sft["value"], sft["n_seeds"], sft["seed_low"], sft["seed_high"]) == (pytest.approx(0.5), 3, 0.0, 1.0)
    best = rows["ssft", "pass@1", "best_tag"]
    assert best["value"] == pytest.approx(2.5 / 3)
    assert best["pairs"] == [{"versus": "sft", "won": 2, "lost": 1, "tied": 0}]
    assert sft["pairs"] == []  # its only baseline, the base model, was not evaluated
    single = {
        row["training_seed"]: row["value"]
        for row in metrics
        if (row["method"], row["split"], row["policy"], row["protocol"]) == ("ssft", "test", "best_tag", "pass@1")
    }
    assert single == {None: pytest.approx(2.5 / 3), 0: 1.0, 4: 1.0, 7: 0.5}
    assert {row["method"]: row["pass_1_seeds"] for row in headline(compared)}["sft"] == (0.0, 1.0)
    assert "Means over 3 training seeds" in format_headline(headline(compared))


def test_equal_seeds_are_tied_and_have_an_interval_of_no_width():
    _, compared = compared_over_seeds({0: ("cxxx", "cx", "cx"), 1: ("cxxx", "cx", "cx")})
    rows = {(row["method"], row["protocol"], row["policy"]): row for row in compared}
    assert rows["ssft", "pass@1", "mixed"]["pairs"] == [{"versus": "sft", "won": 2, "lost": 0, "tied": 0}]
    assert rows["sft", "pass@1", "mixed"]["seed_low"] == rows["sft", "pass@1", "mixed"]["seed_high"] == 0.25
    assert rows["sft", "pass@1", "mixed"]["low"] < 0.25 < rows["sft", "pass@1", "mixed"]["high"]


def test_one_seed_gives_what_it_gave():
    scores = of_seeds({3: ("cxxx", "cx", "cc")})
    assert metrics_over_seeds(scores, NO_MATCHINGS, ks=[1], seed=0) == compute_metrics([scores], ks=[1], seed=0)


def test_seeds_that_were_evaluated_differently_are_refused():
    scores = of_seeds({0: ("cxxx", "cx", "cc"), 1: ("cxxx", "cxc", "ccc")})
    with pytest.raises(InputError, match="seeds 0 and 1 differ in problems or samples"):
        metrics_over_seeds(scores, NO_MATCHINGS, ks=[1], seed=0)


def test_differences_are_averaged_over_seeds():
    """ssft minus sft: 1 - .25, 1 - .5 and .5 - .75."""
    scores = of_seeds({0: ("cxxx", "cc", "xx"), 4: ("ccxx", "xx", "cc"), 7: ("cccx", "cx", "xx")})
    metrics = metrics_over_seeds(scores, NO_MATCHINGS, ks=[1], seed=0)
    compared = compare(metrics, BUDGETS, {"ssft": 4})
    (row,) = paired_differences([scores], compared, resamples=50, seed=0)
    assert (row["a"], row["b"], row["seeds"]) == ("ssft", "sft", [0.75, 0.5, -0.25])
    assert row["value"] == pytest.approx(1 / 3)
    assert row["n_problems"] == 1


def test_budgets_are_those_of_one_seed():
    from forkpipe.evaluation.budgets import training_budgets, validation_samples

    logs = pa.Table.from_pylist(
        [
            {"method": "sft", "training_seed": seed, "tokens": tokens, "rollouts": None}
            for seed, tokens in ((0, 10), (0, 20), (1, 12), (1, 20))
        ]
    )
    assert training_budgets(logs)["sft"] == {"tokens_trained": 31, "rollouts": 0}
    assert validation_samples(of_seeds({0: ("cxxx", "cx", "cx"), 1: ("cxxx", "cx", "cx")})) == {"sft": 4, "ssft": 4}
