"""Matchings with a prior, by hand: costs that are solved again, what is logged, what a checkpoint holds."""

import numpy as np
import pytest

from forkpipe.core.consistency import ConsistencyPrior
from forkpipe.training.matchings import Matchings, SetNames
from forkpipe.training.precision import Costed

WEAK = np.array([[0.0, 0.1], [0.1, 0.0]])
"""(tags, traces): the first trace is likelier under the first tag, by .1 nats, and the second under the second."""
STRONG = np.array([[9.0, 0.0], [0.0, 9.0]])


def matchings(weight=1.0):
    """Four problems, each with a trace of mode x and a trace of mode y."""
    names = [SetNames(f"p{i}", (f"x{i}", f"y{i}"), ("a", "b"), ("a", "b")) for i in range(4)]
    prior = ConsistencyPrior([[{"x"}, {"y"}]] * 4, n_tags=2)
    return Matchings(names, "optimal", 2, rematch_every=10, seed=0, prior=prior, weight=weight)


def first_visits(made):
    """The first problem is matched by weak costs, and the others against it by strong ones."""
    for index, costs in enumerate((WEAK, STRONG, STRONG, STRONG)):
        made.remember([made.visit(index, Costed(costs, 0.01))], step=index)


def test_where_no_costs_are_due_the_last_ones_are_solved_again_with_the_prior_of_now():
    made = matchings()
    first_visits(made)
    assert made.due([0]) == []
    again = made.visit(0)
    assert again.tags == [1, 0]
    assert (again.costs, again.computed) == (WEAK.tolist(), False)
    # V = 2. Three traces of x are under tag 1 and three of y under tag 0: 3.1 of 3.2 for them, .1 for the other.
    unlikely, likely = -np.log(0.1 / 3.2), -np.log(3.1 / 3.2)
    assert np.array(again.prior) == pytest.approx(np.array([[unlikely, likely], [likely, unlikely]]))
    made.remember([again], step=4)
    assert [(row["visit"], row["trace_id"], row["tag"]) for row in made.log[-2:]] == [(1, "x0", 1), (1, "y0", 0)]
    assert made.log[-1]["cost"] == pytest.approx(0.1)
    assert made.log[-1]["margin"] == pytest.approx(2 * (unlikely - likely - 0.1))
    logged = len(made.log)
    made.remember([made.visit(0)], step=5)
    assert len(made.log) == logged  # the tags are those of before
    assert made.visits_of(0) == 3


def test_without_weight_costs_alone_count():
    made = matchings(weight=0.0)
    first_visits(made)
    assert made.visit(0).tags == [0, 1]


def test_a_checkpoint_holds_what_the_prior_learned_and_the_costs(tmp_path):
    made, resumed = matchings(), matchings()
    first_visits(made)
    made.save(tmp_path)
    resumed.load(tmp_path)
    for index in range(4):
        assert (resumed.prior.costs(index) == made.prior.costs(index)).all()
    assert [resumed.visit(index) for index in range(4)] == [made.visit(index) for index in range(4)]


def test_a_training_that_began_without_the_prior_keeps_its_matching_until_costs_are_due(tmp_path):
    before = matchings()
    before.prior = None
    first_visits(before)
    before.save(tmp_path)
    resumed = matchings()
    resumed.load(tmp_path)
    assert resumed.visit(0).tags == [0, 1]


@pytest.mark.parametrize(("whole", "expected"), [(0, []), (1, [1]), (2, [0, 1])])
def test_first_visits_read_whole_traces(whole, expected):
    made = matchings()
    made.whole_visits = whole
    made.remember([made.visit(0, Costed(WEAK, 0.01))], step=0)
    assert made.read_whole([0, 1]) == expected
