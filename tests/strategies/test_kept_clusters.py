"""What was read and measured of a problem before is not done again, and clusters are those from scratch."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forkpipe.stores.results import ResultStore
from forkpipe.strategies.clusterer import StepClusterer
from forkpipe.strategies.grouping import cluster_all

PROBLEM = "How many of the numbers from 1 to 100 are divisible by 3 or 5?"
TEXTS = [
    "By inclusion-exclusion, 33 + 20 - 6 = 47. So \\boxed{47}.",
    "We list the multiples of 3, which are 33, and of 5. We count them: \\boxed{47}.",
    "There are 33 multiples of 3 and 20 of 5. Both hold for 6 of them, so 33 + 20 - 6 = 47.",
    "The complement: 100 * (2 / 3) = 66.7, so we count modulo 15. 100 = 6 * 15 + 10, hence 6 * 7 + 5 = 47.",
    "33 sq 20 mul 6 sub 47",
]


class Watched(StepClusterer):
    """Notes what it reads and which pairs it measures."""

    def __init__(self, threshold=0.3):
        super().__init__(threshold)
        self.did = []

    def read(self, problem, text):
        self.did.append(text)
        return super().read(problem, text)

    def apart(self, a, b):
        self.did.append("pair")
        return super().apart(a, b)


def cluster(store, texts, problem=PROBLEM, options=None):
    clusterer = Watched()
    with store:
        ((clusters, distances),) = cluster_all(clusterer, [(problem, texts)], store=store, options=options)
    return clusters, distances, clusterer.did


def test_packed_readings_are_the_readings():
    clusterer = StepClusterer()
    readings = [clusterer.read(PROBLEM, text) for text in TEXTS]
    again = [clusterer.unpacked(json.loads(json.dumps(clusterer.packed(reading)))) for reading in readings]
    assert again == readings
    assert clusterer.apart(again[0], readings[3]) == clusterer.apart(readings[0], again[3])


@settings(max_examples=15, deadline=None)
@given(st.lists(st.lists(st.sampled_from(range(5)), min_size=1, max_size=5, unique=True), min_size=1, max_size=4))
def test_whatever_was_clustered_before_the_clusters_are_those_from_scratch(tmp_path_factory, runs):
    store = ResultStore(tmp_path_factory.mktemp("kept") / "s")
    for run in runs:
        texts = [TEXTS[at] for at in run]
        clusters, distances, _ = cluster(store, texts)
        assert clusters == StepClusterer().cluster(PROBLEM, texts)
        np.testing.assert_array_equal(distances, StepClusterer().distances(PROBLEM, texts))


def test_the_same_texts_cost_nothing_and_a_further_one_itself_and_its_distances(tmp_path):
    store = ResultStore(tmp_path / "s")
    assert cluster(store, TEXTS[:3])[2] == [*TEXTS[:3], *["pair"] * 3]
    assert cluster(store, TEXTS[:3])[2] == []
    assert cluster(store, TEXTS[:4])[2] == [TEXTS[3], *["pair"] * 3]
    assert cluster(store, TEXTS[3:0:-1])[2] == []  # another order of texts that were measured


@pytest.mark.parametrize("change", [{"problem": PROBLEM + "?"}, {"options": {"threshold": 0.3}}])
def test_another_problem_and_other_options_are_read_anew(tmp_path, change):
    store = ResultStore(tmp_path / "s")
    cluster(store, TEXTS[:2])
    assert cluster(store, TEXTS[:2], **change)[2][:2] == TEXTS[:2]


def test_a_single_text_is_read_for_those_that_may_come(tmp_path):
    store = ResultStore(tmp_path / "s")
    assert cluster(store, TEXTS[:1])[2] == TEXTS[:1]
    assert cluster(store, TEXTS[:2])[2] == [TEXTS[1], "pair"]


def test_a_clusterer_that_only_clusters_is_kept_too(tmp_path):
    class Bare:
        name, version, asked = "bare", "1", 0

        def cluster(self, problem, texts):
            Bare.asked += 1
            return StepClusterer().cluster(problem, texts)

    for _ in range(2):
        with ResultStore(tmp_path / "s") as store:
            ((clusters, distances),) = cluster_all(Bare(), [(PROBLEM, TEXTS)], store=store)
        assert (clusters, distances) == (StepClusterer().cluster(PROBLEM, TEXTS), None)
    assert Bare.asked == 1
