"""Verdicts to strategies to sets: what is clustered, drawn, rejected."""

import pyarrow as pa

from forkpipe.parameters import GenerationSettings, StrategySettings, TeacherSettings, TraceSetSettings
from forkpipe.pipelines.trace_generation.nodes import cluster_strategies
from forkpipe.pipelines.trace_generation.selection import select_sets, whole_text

PROBLEM = {
    "problem_id": "p",
    "problem": "7 ^ 5 mod 17",
    "answer": "11",
    "answer_type": "integer",
    "source": "demo",
    "split": "train",
}
TEXTS = {
    "a": "7 sq 15 sq 4 mul 11 \\boxed{ 11 }",
    "b": "log 11 rem 5 prod 7 \\boxed{ 11 }",
    "c": "7 sq 15 sq 4  mul 11 \\boxed{ 11 }",  # a, but for white space
    "d": "log 11 rem 5 prod 8 \\boxed{ 16 }",
}


def trace(name, teacher="t"):
    given = {"trace_id": name, "problem_id": "p", "teacher": teacher, "text": TEXTS[name]}
    return {**given, "reasoning": "", "tokens_out": 9, "error": ""}


def verdict(name):
    return {"trace_id": name, "verdict": "wrong" if name == "d" else "correct", "extracted": "x"}


def cluster(names="abcd", teachers=None):
    teachers = teachers or {"t": TeacherSettings(engine="procedural")}
    rows = [trace(name, list(teachers)[i % len(teachers)]) for i, name in enumerate(names)]
    return cluster_strategies(
        pa.Table.from_pylist(rows),
        pa.Table.from_pylist([verdict(name) for name in names]),
        pa.Table.from_pylist([PROBLEM]),
        StrategySettings(),
        GenerationSettings(teachers=teachers),
    )


def test_wrong_traces_and_exact_duplicates_are_rejected_and_the_rest_clustered():
    rows, rejected, _ = cluster()
    assert [row["trace_id"] for row in rows] == ["a", "b"]
    assert len({row["strategy"] for row in rows}) == 2
    assert all(row["representative"] and row["distance"] == 0 for row in rows)
    assert [(row["id"], row["reason"]) for row in rejected] == [
        ("c", "exact duplicate"),
        ("d", "verdict wrong"),
    ]


def test_agreement_with_known_strategies_is_reported():
    teachers = {
        "one": TeacherSettings(engine="procedural", strategy="square"),
        "two": TeacherSettings(engine="procedural", strategy="log"),
    }
    assert cluster("ab", teachers)[2] == {"problems": 1, "v_measure": 1.0, "adjusted_rand": 1.0}
    assert cluster("ab")[2] == {"problems": 0, "v_measure": None, "adjusted_rand": None}


def strategies(n):
    return [
        {"trace_id": f"t{i}", "problem_id": "p", "strategy": i, "representative": True, "distance": 0.0}
        for i in range(n)
    ]


def select(n, seed=0, **changes):
    traces = [
        {"trace_id": f"t{i}", "problem_id": "p", "teacher": f"x{i}", "text": "", "reasoning": "", "tokens_out": i}
        for i in range(max(n, 1))
    ]
    return select_sets([PROBLEM], traces, strategies(n), TraceSetSettings(**changes), seed)


def test_at_most_m_strategies_make_a_set_and_the_seed_draws_them():
    (row,), rejected = select(6)
    assert rejected == []
    assert len(row["traces"]) == 4
    drawn = {tuple(t["trace_id"] for t in select(6, seed)[0][0]["traces"]) for seed in range(20)}
    assert len(drawn) > 5
    assert select(6, 3) == select(6, 3)


def test_every_strategy_is_drawn_about_as_often():
    """600 draws of 4 of 6: each is expected 400 times, sd 11.5."""
    counts = [0] * 6
    for seed in range(600):
        for one in select(6, seed)[0][0]["traces"]:
            counts[one["strategy"]] += 1
    assert all(340 < count < 460 for count in counts)


def test_fewer_strategies_make_a_smaller_set_or_none():
    assert len(select(3)[0][0]["traces"]) == 3
    sets, rejected = select(1)
    assert sets == []
    assert rejected[0]["reason"] == "too few strategies"
    assert rejected[0]["detail"] == "1 distinct strategies, 2 needed"
    assert len(select(1, min_strategies=1)[0]) == 1


def test_a_problem_without_any_trace_is_rejected_too():
    sets, rejected = select_sets([PROBLEM], [], [], TraceSetSettings(), 0)
    assert sets == []
    assert [row["id"] for row in rejected] == ["p"]


def test_reasoning_that_stands_apart_is_part_of_what_is_learned():
    assert whole_text({"reasoning": "first this", "text": "so 5"}) == "first this\n</think>\nso 5"
    assert whole_text({"reasoning": "", "text": "so 5"}) == "so 5"
