"""Ids and what follows from them."""

from forkpipe.core.ids import content_hash, derived_seed, unit_interval
from forkpipe.core.records import Problem, Request, Sampling


def request(**changes):
    given = {
        "problem_id": "p",
        "problem": "1 + 1",
        "asked_of": "teacher",
        "revision": "1",
        "prompt": "1 + 1 = ?",
        "sample": 0,
        "sampling": Sampling(0.7, 0.95, 100),
    }
    return Request.create(**(given | changes))


def test_ids_are_stable_over_versions():
    """Written down once: a change of these loses every trace that anybody has stored."""
    assert (
        content_hash("problem", "3 ^ 5 mod 17", "5")
        == Problem.create("3 ^ 5 mod 17", "5", answer_type="integer", source="s", source_id="1").problem_id
    )
    assert content_hash("a", 1, [2.5, None]) == "8d63d4976dada832"
    assert request().request_id == "5ba624d199a7718f"


def test_what_changes_the_text_changes_the_request_and_its_seed():
    base = request()
    for change in (
        {"problem_id": "q"},
        {"asked_of": "other"},
        {"revision": "2"},
        {"prompt": "1 + 1 ="},
        {"sample": 1},
        {"sampling": Sampling(0.8, 0.95, 100)},
        {"sampling": Sampling(0.7, 0.9, 100)},
        {"prefix_ids": (5,)},
        {"own_tag": True},
    ):
        assert request(**change).request_id != base.request_id
        assert request(**change).seed != base.seed


def test_max_tokens_is_no_part_of_a_request():
    assert request(sampling=Sampling(0.7, 0.95, 200)).request_id == request().request_id


def test_units_are_uniform():
    """10,000 draws: the mean of uniform numbers is .5 with sd .003."""
    draws = [unit_interval("test", i) for i in range(10_000)]
    assert abs(sum(draws) / len(draws) - 0.5) < 0.015
    assert min(draws) >= 0
    assert max(draws) < 1


def test_seeds_differ_between_samples():
    assert len({derived_seed("x", i) for i in range(1000)}) == 1000
