"""Verdicts to strategies to sets: what is clustered, drawn, rejected."""

import pyarrow as pa
import pytest

from byte_tokenizer import byte_tokenizer
from forkpipe.core.errors import InputError
from forkpipe.generation.clustering import cluster_strategies
from forkpipe.generation.selecting import build_trace_sets
from forkpipe.generation.selection import select_sets
from forkpipe.parameters import GenerationSettings, ModelSettings, StrategySettings, TeacherSettings, TraceSetSettings

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
    *tables, agreement = cluster_strategies(
        pa.Table.from_pylist(rows),
        pa.Table.from_pylist([verdict(name) for name in names]),
        pa.Table.from_pylist([PROBLEM]),
        StrategySettings(),
        GenerationSettings(teachers=teachers),
    )
    return *(rows_in(table) for table in tables), agreement


def rows_in(batches):
    return batches.to_table().to_pylist()


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


def strategies(n, distances=None):
    return [
        {
            "trace_id": f"t{i}",
            "problem_id": "p",
            "strategy": i,
            "representative": True,
            "distance": 0.0,
            "distances": distances[i] if distances else [float(i != j) for j in range(n)],
        }
        for i in range(n)
    ]


def strategies_of(*names):
    return [{**row, "trace_id": name} for name, row in zip(names, strategies(len(names)), strict=True)]


def select(n, seed=0, rows=None, teachers=None, **changes):
    traces = [
        {
            "trace_id": f"t{i}",
            "problem_id": "p",
            "teacher": teachers[i] if teachers else f"x{i}",
            "text": "long " * i,
            "reasoning": "",
            "tokens_out": i,
        }
        for i in range(max(n, 1))
    ]
    settings = TraceSetSettings(**{"select": "drawn"} | changes)
    return select_sets([PROBLEM], traces, rows or strategies(n), settings, seed)


def chosen(*arguments, **changes):
    return [trace["trace_id"] for trace in select(*arguments, **changes)[0][0]["traces"]]


LINE = [[abs(i - j) / 4 for j in range(5)] for i in range(5)]


def test_the_most_divergent_begin_with_the_ends_and_then_take_the_middle():
    """Five strategies on a line: the ends are 1 apart, the middle is .5 from both, the others .25 from one."""
    for seed in range(5):
        rows = strategies(5, LINE)
        assert chosen(5, seed, rows=rows, select="divergent", max_traces=3) == ["t0", "t2", "t4"]
        assert chosen(5, seed, rows=rows, select="divergent", max_traces=2) == ["t0", "t4"]


def test_teachers_break_ties_of_divergence():
    """All are equally far apart; three of the teacher a, one each of b and c: one of a goes with b and c."""
    for seed in range(8):
        found = chosen(5, seed, teachers="aabac", select="divergent", max_traces=3)
        assert {"t2", "t4"} <= set(found)


def test_divergent_needs_distances():
    rows = [{**row, "distances": None} for row in strategies(3)]
    with pytest.raises(InputError, match=r"trace_sets.select is 'divergent', but trace t. has no distances"):
        select(3, rows=rows, select="divergent", max_traces=2)
    assert len(chosen(3, rows=rows, select="divergent", max_traces=3)) == 3


def test_baselines_look_at_no_strategy_and_the_set_says_how_many_it_holds():
    rows = strategies(2) + [{**strategies(2)[0], "trace_id": f"t{i}", "representative": False} for i in (2, 3)]
    ((longest,), _) = select(4, rows=rows, select="longest", max_traces=2)
    assert [trace["trace_id"] for trace in longest["traces"]] == ["t2", "t3"]
    assert longest["strategies"] == 1
    drawn = {tuple(chosen(4, seed, rows=rows, select="random", max_traces=2)) for seed in range(40)}
    assert len(drawn) == 6
    assert select(4, rows=rows, max_traces=2)[0][0]["strategies"] == 2


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


def test_traces_that_are_too_long_are_rejected_and_the_nearest_takes_their_place():
    """Trace i is i words long. Of the strategy of t3, t1 is nearer than t0; t2 alone has its strategy."""
    rows = [
        {**strategies(4)[0], "trace_id": f"t{i}", "strategy": of, "distance": distance, "representative": whole}
        for i, of, distance, whole in ((3, 0, 0.0, True), (0, 0, 0.4, False), (1, 0, 0.2, False), (2, 1, 0.0, True))
    ]
    ((row,), rejected) = select(4, rows=rows, max_tokens=2)
    assert [trace["trace_id"] for trace in row["traces"]] == ["t1", "t2"]
    assert [(r["stage"], r["id"], r["reason"]) for r in rejected] == [("trace_sets", "t3", "too long")]
    assert rejected[0]["detail"] == "3 tokens, trace_sets.max_tokens allows 2"
    sets, rejected = select(4, rows=rows, max_tokens=1)
    assert sets == []
    assert [(r["id"], r["reason"]) for r in rejected] == [
        ("t3", "too long"),
        ("t2", "too long"),
        ("p", "too few strategies"),
    ]
    assert select(4, rows=rows, max_tokens=3) == select(4, rows=rows)


def save_student(folder):
    byte_tokenizer([]).save_pretrained(folder)
    (folder / "generation_config.json").write_text('{"eos_token_id": [2]}')


def test_a_pretrained_student_counts_its_own_tokens(tmp_path):
    """A tokenizer without merges: a token is a byte."""
    save_student(tmp_path / "student")
    (tmp_path / "empty").mkdir()
    generation = GenerationSettings(teachers={"t": TeacherSettings(engine="procedural")})
    tables = [pa.Table.from_pylist(rows) for rows in ([PROBLEM], [trace("a"), trace("b")], strategies_of("a", "b"))]
    longest = max(len(TEXTS[name]) for name in "ab")

    def rejected(source, most):
        settings = TraceSetSettings(select="drawn", max_tokens=most)
        return rows_in(build_trace_sets(*tables, settings, generation, ModelSettings(source=str(source)), 0)[1])

    assert rejected(tmp_path / "student", longest) == rejected("scratch", 10) == []
    assert rejected(tmp_path / "student", longest - 1)[0]["detail"].startswith(f"{longest} tokens, ")
    with pytest.raises(InputError, match=r"model.source '.*empty' has no tokenizer that can be loaded"):
        rejected(tmp_path / "empty", 10)


@pytest.mark.parametrize(
    ("source", "held"),
    [("student", "<|im_end|>"), ("student", "<|endoftext|>"), ("student", "<think3>"), ("scratch", "<|end|>")],
)
def test_a_trace_with_a_special_token_of_the_student_is_dropped_with_a_reason(tmp_path, source, held):
    save_student(tmp_path / "student")
    generation = GenerationSettings(teachers={"t": TeacherSettings(engine="procedural")})
    traces = [trace("a"), {**trace("b"), "text": f"so {held} 5"}, trace("c")]
    tables = [pa.Table.from_pylist(rows) for rows in ([PROBLEM], traces, strategies_of("a", "b", "c"))]
    model = ModelSettings(source=source if source == "scratch" else str(tmp_path / source))
    settings = TraceSetSettings(select="drawn")
    (row,), rejected = map(rows_in, build_trace_sets(*tables, settings, generation, model, 0)[:2])
    assert [kept["trace_id"] for kept in row["traces"]] == ["a", "c"]
    assert [(r["id"], r["reason"]) for r in rejected] == [("b", "special token")]
    assert repr(held) in rejected[0]["detail"]
    other = ModelSettings(source=str(tmp_path / "student")) if source == "scratch" else ModelSettings()
    if held != "<think3>":  # a tag of every student
        assert rows_in(build_trace_sets(*tables, settings, generation, other, 0)[1]) == []


def test_a_problem_without_any_trace_is_rejected_too():
    sets, rejected = select_sets([PROBLEM], [], [], TraceSetSettings(), 0)
    assert sets == []
    assert [row["id"] for row in rejected] == ["p"]


def test_teachers_do_not_differ_by_how_they_mark_their_reasoning():
    """In the table of traces nothing changes; sets hold one form, and equal traces are duplicates whatever the form."""
    forms = [
        ("<think>\nfirst this\n</think>\n\nso 5", ""),
        ("so 5", "first this"),
        ("[THINK]first this[/THINK]so 5", ""),
    ]
    rows = [
        {**trace("a"), "trace_id": f"t{i}", "text": text, "reasoning": apart} for i, (text, apart) in enumerate(forms)
    ]
    sets, _ = select_sets([PROBLEM], rows, strategies(3), TraceSetSettings(select="drawn"), 0)
    assert {one["text"] for one in sets[0]["traces"]} == {"first this\n</think>\nso 5"}
    verdicts = pa.Table.from_pylist([{**verdict("a"), "trace_id": row["trace_id"]} for row in rows])
    teachers = GenerationSettings(teachers={"t": TeacherSettings(engine="procedural")})
    problems = pa.Table.from_pylist([PROBLEM])
    _, rejected, _ = cluster_strategies(pa.Table.from_pylist(rows), verdicts, problems, StrategySettings(), teachers)
    assert [row["reason"] for row in rows_in(rejected)] == ["exact duplicate"] * 2
