"""Bare notation by hand, and what must hold of any clustering."""

import math
import random

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from forkpipe.core.errors import InputError
from forkpipe.demo.modular_powers import STRATEGIES, no_slip, parse
from forkpipe.strategies.base import Clusters, StrategyClusterer
from forkpipe.strategies.clusterer import StepClusterer
from forkpipe.strategies.linkage import far_apart, link
from forkpipe.strategies.notation import profile, profile_distance

PROBLEM = "7 ^ 45 mod 17"
TRACES = [" ".join(solve(parse(PROBLEM), no_slip)) for solve in STRATEGIES.values()]

NOTATION = st.lists(st.sampled_from(["sq", "mul", "log", "rem", "3", "4", "15", "+", "\\frac"]), max_size=8).map(
    " ".join
)
PROSE = st.lists(
    st.sampled_from(["we", "sum", "the", "factor", "12", "250", "of", "x = 3.", "y^2 = 4 -", ".", "triangles"]),
    max_size=9,
).map(" ".join)
TEXTS = st.lists(NOTATION | PROSE | st.text(max_size=12), max_size=6)
THRESHOLDS = st.sampled_from([0.0, 0.25, 0.4, 0.5, 0.6, 0.8, 1.0])


def apart(a, b):
    return profile_distance(profile("", a), profile("", b))


def test_a_distance_by_hand():
    """Operations: sq 1 and 3 times, mul once in the first only. Values: 5 in both, 6 and 8 in one each; pairs differ.

    Weights log2(1 + times): operations (sq 1, mul 1) and (sq 2): 1 - 1/3 = 2/3.
    Values of "5 sq 6 mul": 5, 6, "5 6", each 1; of "5 sq sq sq 8": 5, 8, "5 8": 1 - 1/5 = 4/5.
    """
    assert apart("5 sq 6 mul", "5 sq sq sq 8") == pytest.approx(0.6 * 2 / 3 + 0.4 * 4 / 5)


def test_a_part_empty_on_both_sides_drops_out():
    assert apart("sq mul", "sq") == pytest.approx(1 / 2)
    assert apart("5", "6") == pytest.approx(1)


def test_a_part_empty_on_one_side_counts_in_full():
    assert apart("5 sq", "5") == pytest.approx(0.6)


def test_nothing_known_of_two_texts_is_no_difference():
    assert apart("", "\\boxed{3}") == 0


def test_the_profile_leaves_out_the_problem_the_answer_the_tags_and_the_box():
    text = "<think3>7 sq 15 mod 45 sq 4 <|im_end|> \\boxed{\\frac{11}{2}}"
    found = profile(PROBLEM, text + " 11/2 11 \\boxed{ 11 }")
    assert found.operations == {"sq": math.log2(3), "/": 1.0}
    assert {value for value in found.values if " " not in value} == {"15", "4", "2"}


def test_what_only_the_thinking_holds_counts_a_quarter():
    text = "<think>sq 25 sum</think> sum 31 sum 32 mul 3 4 5 6 7 8 9 10"
    assert profile("", text).operations == {"sum": math.log2(3), "mul": 1.0, "sq": 0.25}


def test_repeats_saturate():
    often, at_the_cap = (profile("", "sq " * times).operations["sq"] for times in (1000, 7))
    assert often == at_the_cap == 3.0


@pytest.mark.parametrize("text", ["\\boxed{1 \\boxed{2}", "}}{", "\\boxed{", "{" * 50 + "}" * 60, "\\boxed{\\}} 5"])
def test_unbalanced_braces_are_read(text):
    assert StepClusterer().cluster("", [text, "sq"]).labels[0] == 0


def test_the_six_ways_to_a_power_are_six_strategies():
    clusters = StepClusterer().cluster(PROBLEM, TRACES + TRACES)
    assert clusters.labels == [0, 1, 2, 3, 4, 5] * 2
    assert clusters.representatives == [0, 1, 2, 3, 4, 5]
    assert clusters.distances == [0.0] * 12


def test_most_powers_have_six_strategies():
    generator = random.Random(0)
    for _ in range(30):
        problem = f"{generator.randrange(2, 17)} ^ {generator.randrange(2, 100)} mod 17"
        texts = [" ".join(solve(parse(problem), no_slip)) for solve in STRATEGIES.values()]
        assert len(StepClusterer().cluster(problem, texts).representatives) == 6, problem


def test_the_largest_cluster_comes_first_and_ties_go_to_the_first_text():
    clusters = StepClusterer().cluster("", ["log", "inv", "sq", "sq"])
    assert clusters == Clusters([1, 2, 0, 0], [2, 0, 1], [0.0] * 4)


def distances_of(*rows):
    return np.array(rows, dtype=float)


def test_the_representative_is_the_medoid():
    """The middle one has distances .3 and .3 (mean .2), the outer ones .3 and .6 (mean .3)."""
    distances = distances_of([0, 0.3, 0.6], [0.3, 0, 0.3], [0.6, 0.3, 0])
    assert link(["a", "bb", "c"], distances, 1.0) == Clusters([0, 0, 0], [1], [0.3, 0, 0.3])


def test_among_nearly_central_ones_a_complete_then_a_shorter_one_represents():
    near = distances_of([0, 0.02, 0.02], [0.02, 0, 0.02], [0.02, 0.02, 0])
    assert link(["no box", "long \\boxed{5}", "\\boxed{5}"], near, 1.0).representatives == [2]
    assert link(["short", "much longer", "longer"], near, 1.0).representatives == [0]


def test_complete_linkage_keeps_a_chain_apart():
    """Single linkage would join all three: 0-1 and 1-2 are .4 apart, 0-2 .8."""
    chain = distances_of([0, 0.4, 0.8], [0.4, 0, 0.41], [0.8, 0.41, 0])
    assert link(["a", "b", "c"], chain, 0.5).labels == [0, 0, 1]


def test_of_clusters_with_close_representatives_the_first_stands_for_both():
    """Clusters {0, 1} and {2}: 0 and 1 are .3 apart, 1 and 2 .5, but 0, which represents, and 2 only .2."""
    distances = np.array([[0, 0.3, 0.2, 0.9], [0.3, 0, 0.5, 0.9], [0.2, 0.5, 0, 0.9], [0.9, 0.9, 0.9, 0]])
    assert far_apart(distances, [0, 2, 3], 0.3) == [0, 2]
    assert far_apart(distances, [0, 2, 3], 0.1) == [0, 1, 2]
    assert far_apart(distances, [], 0.1) == []


def test_no_texts_no_clusters():
    assert StepClusterer().cluster(PROBLEM, []) == Clusters([], [], [])
    assert StepClusterer().cluster(PROBLEM, ["x"]) == Clusters([0], [0], [0.0])


def test_it_is_a_strategy_clusterer():
    assert isinstance(StepClusterer(), StrategyClusterer)


@pytest.mark.parametrize("threshold", [1.5, -0.1, True, "half", None])
def test_a_wrong_threshold_is_named(threshold):
    with pytest.raises(InputError, match=f"threshold is {threshold!r}, expected a number from 0 to 1"):
        StepClusterer(threshold)


def _as_sets(clusters: Clusters, order: list[int]) -> set[frozenset[int]]:
    groups: dict[int, set[int]] = {}
    for position, label in enumerate(clusters.labels):
        groups.setdefault(label, set()).add(order[position])
    return {frozenset(group) for group in groups.values()}


@settings(max_examples=60, deadline=None)
@given(texts=TEXTS, threshold=THRESHOLDS, data=st.data())
def test_the_order_of_texts_only_relabels(texts, threshold, data):
    order = data.draw(st.permutations(range(len(texts))))
    clusterer = StepClusterer(threshold=threshold)
    straight = clusterer.cluster(PROBLEM, texts)
    shuffled = clusterer.cluster(PROBLEM, [texts[index] for index in order])
    # Identical texts are one another's stand-ins: compare what was grouped by text.
    first = [texts.index(text) for text in texts]
    by_text = [
        {frozenset(first[index] for index in group) for group in _as_sets(clusters, where)}
        for clusters, where in ((straight, list(range(len(texts)))), (shuffled, order))
    ]
    assert by_text[0] == by_text[1]
    assert {texts[index] for index in straight.representatives} == {
        texts[order[index]] for index in shuffled.representatives
    }
    assert [shuffled.distances[order.index(index)] for index in range(len(texts))] == straight.distances


@settings(max_examples=60, deadline=None)
@given(texts=TEXTS, threshold=THRESHOLDS)
def test_every_pair_of_a_cluster_is_within_the_threshold(texts, threshold):
    clusterer = StepClusterer(threshold=threshold)
    distances = clusterer.distances(PROBLEM, texts)
    clusters = clusterer.cluster(PROBLEM, texts)
    labels = np.array(clusters.labels)
    assert ((distances >= 0) & (distances <= 1)).all()
    assert (distances == distances.T).all()
    assert (distances[labels[:, None] == labels[None, :]] <= threshold).all()
    sizes = np.bincount(labels) if texts else np.array([])
    assert (np.diff(sizes) <= 0).all()
    for label, representative in enumerate(clusters.representatives):
        assert clusters.labels[representative] == label
    for index, label in enumerate(clusters.labels):
        assert clusters.distances[index] == distances[index, clusters.representatives[label]]


@settings(max_examples=40, deadline=None)
@given(texts=TEXTS.filter(bool), threshold=THRESHOLDS)
@example(texts=["", "sq", "wE"], threshold=0.0)  # both are as near to the last: a tie that parted its copies
def test_identical_texts_share_a_cluster_at_distance_0(texts, threshold):
    clusters = StepClusterer(threshold=threshold).cluster(PROBLEM, texts + texts)
    assert clusters.labels[: len(texts)] == clusters.labels[len(texts) :]
    assert np.diag(StepClusterer().distances(PROBLEM, texts + texts), len(texts)).max() == 0
