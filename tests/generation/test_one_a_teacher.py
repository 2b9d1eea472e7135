"""Sets by teacher: one trace of each, the most unlike first, and none that repeats a chosen one nearly word by word."""

from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_trace_sets import PROBLEM

from forkpipe.generation.one_a_teacher import Wording, distances_between, one_a_teacher
from forkpipe.generation.selection import select_sets
from forkpipe.generation.set_totals import SetTotals, compared, described, other_of, other_rule
from forkpipe.parameters import TraceSetSettings

LINE = [0.0, 0.3, 0.5, 0.9, 1.0]
"""Five traces on a line; their distances are differences."""


def rows_of(distances, labels=None):
    """Return rows of `strategies` for the traces t0, t1, ... with these distances; None for a clusterer without any."""
    n = len(labels if distances is None else distances)
    return [
        {
            "trace_id": f"t{i}",
            "problem_id": "p",
            "strategy": labels[i] if labels else 0,
            "representative": i == 0,
            "distance": 0.0,
            "distances": None,
            "distances_to_earlier": None if distances is None else list(distances[i][:i]),
        }
        for i in range(n)
    ]


def between(places):
    return [[abs(a - b) for b in places] for a in places]


def choose(teachers, distances, most=4, texts=None, labels=None, order=None, near_identical=0.6):
    rows = rows_of(distances, labels)
    order = order or range(len(rows))
    texts = texts or [f"{i} its own words {i}" for i in range(len(rows))]
    chosen, passed = one_a_teacher(
        [rows[i] for i in order],
        [teachers[i] for i in order],
        [texts[i] for i in order],
        distances_between(rows),
        most,
        near_identical,
    )
    return [row["trace_id"] for row in chosen], passed


def test_the_furthest_pair_of_two_teachers_begins_and_each_teacher_comes_once():
    """t0 and t4 are furthest apart, but both of a. t0 and t3 are .9 apart, t1 and t4 .7. Then c alone is left."""
    assert choose("abcba", between(LINE))[0] == ["t0", "t3", "t2"]
    assert choose("abcba", between(LINE), most=2)[0] == ["t0", "t3"]


def test_of_several_traces_of_a_teacher_the_one_that_diverges_most_from_the_chosen_is_taken():
    """b has t1 (.3 from t0) and t2 (.5 from both ends): t2 is further from its nearest chosen trace."""
    assert choose("abbcd", between(LINE))[0] == ["t0", "t4", "t2", "t3"]


def test_with_more_teachers_than_traces_the_most_divergent_come_first():
    """After the ends, t2 is .5 from both; t1 and t3 are nearer to one of them."""
    assert choose("abcde", between(LINE), most=3)[0] == ["t0", "t4", "t2"]


def test_of_equals_the_first_drawn_is_taken():
    same = [[float(i != j) for j in range(4)] for i in range(4)]
    assert choose("abcd", same, most=2, order=[2, 0, 3, 1])[0] == ["t2", "t0"]


def test_without_distances_another_strategy_is_further_than_the_same():
    """Of a, b and c, only b has another strategy than a."""
    assert choose("abc", None, most=2, labels=[0, 1, 0])[0] == ["t0", "t1"]
    assert choose("acb", None, most=2, labels=[0, 0, 1])[0] == ["t0", "t2"]


TEXT = "first add three and four to get seven then double seven to get fourteen eggs"
NEARLY = TEXT.replace("eggs", "eggs!")
"""12 of 13 runs of three words are shared, of 14 in all: .857."""


def test_a_trace_that_repeats_a_chosen_one_nearly_word_by_word_is_passed_over():
    texts = [TEXT, "quite another text of its own", NEARLY, "and a further one that differs"]
    chosen, passed = choose("abcd", between([0.0, 1.0, 0.5, 0.4]), texts=texts)
    assert chosen == ["t0", "t1", "t3"]
    assert [(one.trace_id, one.chosen) for one in passed] == [("t2", "t0")]
    assert passed[0].similarity == pytest.approx(12 / 14)
    assert choose("abcd", between([0.0, 1.0, 0.5, 0.4]), texts=texts, near_identical=None)[0][2] == "t2"
    assert choose("abcd", between([0.0, 1.0, 0.5, 0.4]), texts=texts, near_identical=0.9)[0][2] == "t2"


def test_another_trace_of_the_same_teacher_takes_its_place():
    texts = [TEXT, "quite another text of its own", NEARLY, "and a further one that differs"]
    chosen, passed = choose("abcc", between([0.0, 1.0, 0.5, 0.4]), texts=texts)
    assert chosen == ["t0", "t1", "t3"]
    assert [one.trace_id for one in passed] == ["t2"]


def test_nearly_identical_traces_are_no_pair_to_begin_with():
    chosen, passed = choose("ab", between([0.0, 1.0]), texts=[TEXT, NEARLY])
    assert chosen == ["t0"]
    assert [(one.trace_id, one.chosen) for one in passed] == [("t1", "t0")]


def traces_of(teachers, texts):
    return [
        {"trace_id": f"t{i}", "problem_id": "p", "teacher": of, "text": text, "reasoning": "", "tokens_out": 1}
        for i, (of, text) in enumerate(zip(teachers, texts, strict=True))
    ]


def sets(names, texts, distances, **changes):
    traces = traces_of(names, texts)
    chosen = TraceSetSettings(**changes)
    return select_sets([PROBLEM], traces, rows_of(distances), chosen, 0)


def test_strategies_are_counted_and_not_required():
    """All traces are of one strategy: by strategy there is no set, by teacher there is one, which says so."""
    texts = ["one way to say it", "another way to put it", "third wording of the same"]
    ((row,), rejected) = sets("abc", texts, between([0.0, 0.1, 0.2]), min_strategies=3)
    assert (row["strategies"], len(row["traces"]), rejected) == (1, 3, [])
    none, rejected = sets("abc", texts, between([0.0, 0.1, 0.2]), select="drawn")
    assert none == []
    assert rejected[0]["reason"] == "too few strategies"


def test_a_problem_that_one_teacher_solved_gives_no_set_and_says_why():
    none, rejected = sets("aa", ["one text here", "quite another"], between([0.0, 1.0]))
    assert none == []
    assert [(row["id"], row["reason"], row["detail"]) for row in rejected] == [
        ("p", "too few teachers", "1 teachers with a trace of their own, 2 needed")
    ]
    none, rejected = sets("ab", [TEXT, NEARLY], between([0.0, 1.0]))
    assert none == []
    assert sorted(row["reason"] for row in rejected) == ["near-identical", "too few teachers"]


def test_distances_hold_where_a_trace_in_between_is_too_long():
    """t1 is dropped for its length; the distance of t0 and t2 is still read from the right place."""
    texts = ["a b c", "this one is far too long for it", "d e f", "g h i"]
    ((row,), rejected) = sets("abcd", texts, between([0.0, 0.2, 1.0, 0.9]), max_tokens=4, max_traces=2)
    assert [trace["trace_id"] for trace in row["traces"]] == ["t0", "t2"]
    assert [(r["id"], r["reason"]) for r in rejected] == [("t1", "too long")]


@st.composite
def problems(draw):
    n = draw(st.integers(1, 7))
    teachers = draw(st.text("abcd", min_size=n, max_size=n))
    places = draw(st.lists(st.integers(0, 6), min_size=n, max_size=n))
    texts = draw(
        st.lists(st.sampled_from([TEXT, NEARLY, *(f"text {i} alone" for i in range(6))]), min_size=n, max_size=n)
    )
    return teachers, between([float(place) for place in places]), texts


@given(problems(), st.integers(2, 4))
@settings(max_examples=150, deadline=None)
def test_a_choice_is_valid_maximal_and_greedy(problem, most):
    teachers, distances, texts = problem
    chosen, passed = choose(teachers, distances, most, texts)
    index = [int(name[1:]) for name in chosen]
    wording = Wording(texts)
    assert len({teachers[i] for i in index}) == len(index) <= most
    assert all(wording.similarity(a, b) < 0.6 for a, b in combinations(index, 2))
    assert all(wording.similarity(int(one.trace_id[1:]), int(one.chosen[1:])) >= 0.6 for one in passed)
    free = [
        i
        for i in range(len(teachers))
        if teachers[i] not in {teachers[j] for j in index} and all(wording.similarity(i, j) < 0.6 for j in index)
    ]
    assert len(index) == most or free == []
    pairs = [
        (a, b)
        for a, b in combinations(range(len(teachers)), 2)
        if teachers[a] != teachers[b] and wording.similarity(a, b) < 0.6
    ]
    assert (len(index) >= 2) == bool(pairs)
    if pairs:
        assert distances[index[0]][index[1]] == max(distances[a][b] for a, b in pairs)
    for at in range(2, len(index)):
        before = index[:at]
        gains = [
            min(distances[i][j] for j in before)
            for i in range(len(teachers))
            if teachers[i] not in {teachers[j] for j in before} and all(wording.similarity(i, j) < 0.6 for j in before)
        ]
        assert min(distances[index[at]][j] for j in before) == max(gains)


@given(problems(), st.randoms())
@settings(max_examples=60, deadline=None)
def test_the_order_of_rows_does_not_count(problem, random):
    teachers, distances, texts = problem
    order = list(range(len(teachers)))
    random.shuffle(order)
    traces = traces_of(teachers, texts)
    moved = [
        {**rows_of(distances)[i], "distances_to_earlier": [distances[i][j] for j in order[:at]]}
        for at, i in enumerate(order)
    ]
    straight = select_sets([PROBLEM], traces, rows_of(distances), TraceSetSettings(), 5)
    assert select_sets([PROBLEM], traces[::-1], moved, TraceSetSettings(), 5) == straight


def test_both_rules_are_counted_beside_one_another():
    texts = ["one way to say it", "another way to put it"]

    def both(settings):
        used, other = SetTotals(), SetTotals()
        for totals, chosen in ((used, settings), (other, other_rule(settings))):
            totals.add(sets("ab", texts, between([0.0, 0.1]), **chosen.model_dump())[0])
        return compared(settings, 1, used, other)

    found = both(TraceSetSettings())
    assert (found["select"], found["problems"]) == ("teachers", 1)
    assert found["by_teacher"] == {"sets": 1, "traces": 2, "of_traces": {"2": 1}, "of_strategies": {"1": 1}}
    assert found["by_strategy"]["sets"] == 0
    assert other_of(found) == "by strategy (trace_sets.select divergent) there would be 0 sets"
    turned = both(TraceSetSettings(select="divergent"))
    assert {name: turned[name] for name in ("by_teacher", "by_strategy")} == {
        name: found[name] for name in ("by_teacher", "by_strategy")
    }
    assert described(turned["by_teacher"]) in other_of(turned)
