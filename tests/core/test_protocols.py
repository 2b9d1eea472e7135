"""The grammar of policies and protocols: what each asks for, by hand and as properties."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forkpipe.core.errors import InputError
from forkpipe.core.protocols import (
    Asked,
    Protocol,
    Share,
    TagPolicy,
    disjoint,
    needed,
    parse_served,
    parse_share,
    unique,
)

COUNTS = st.integers(1, 70)
POLICIES = st.sampled_from(["none", "tag:1", "tag:3", "own", "router", "spread"]).map(TagPolicy.parse)
PROTOCOLS = st.one_of(
    st.builds(Protocol, st.sampled_from(["avg", "pass", "cons"]), COUNTS),
    st.builds(Protocol, st.just("cons"), COUNTS, st.integers(1, 12)),
)


def tags(*counts):
    return {Asked("forced", tag): count for tag, count in enumerate(counts)}


def test_the_papers_splits_over_six_tags():
    spread = TagPolicy.parse("spread")
    assert spread.split(6, 6) == tags(1, 1, 1, 1, 1, 1)
    assert spread.split(66, 6) == tags(11, 11, 11, 11, 11, 11)
    assert spread.split(32, 6) == tags(6, 6, 5, 5, 5, 5)
    assert spread.split(4, 6) == tags(1, 1, 1, 1)


@given(POLICIES, COUNTS, st.integers(3, 9))
def test_a_split_is_whole_and_as_even_as_possible(policy, k, n_tags):
    counts = policy.split(k, n_tags)
    assert sum(counts.values()) == k
    every = [counts.get(Asked("forced", tag), 0) for tag in range(n_tags)] if policy.kind == "spread" else [0]
    assert max(every) - min(every) <= 1


@given(POLICIES, PROTOCOLS)
def test_what_is_written_is_read_again(policy, protocol):
    assert TagPolicy.parse(str(policy)) == policy
    assert Protocol.parse(str(protocol)) == protocol
    for name in ("m", "a@b", "org/model@main"):
        assert parse_served(f"{name}@{policy}") == (name, policy, None)
        assert parse_served(f"{name}@{policy}/{protocol}") == (name, policy, protocol)


@given(st.lists(POLICIES, min_size=1, max_size=4), st.lists(PROTOCOLS, min_size=1, max_size=4))
def test_what_is_needed_suffices_for_each_and_no_sample_is_needed_by_none(policies, protocols):
    n = max(protocol.least for protocol in protocols)
    uses = [protocol.used(policy, n, 6) for policy in policies for protocol in protocols]
    assert needed(policies, protocols, n, 6) == {
        asked: max(use.get(asked, 0) for use in uses) for asked in {asked for use in uses for asked in use}
    }


def test_a_request_that_two_policies_need_counts_once():
    """66 of spread are 11 a tag; avg@8 under tag 1 are among them, avg@12 is one more."""
    policies = [TagPolicy.parse("spread"), TagPolicy.parse("tag:1")]
    assert needed(policies, [Protocol("avg", 8), Protocol("cons", 6, 11)], 66, 6)[Asked("forced", 0)] == 66
    only = [Protocol("avg", 12)]
    assert needed(policies, only, 66, 6) == tags(12, 2, 2, 2, 2, 2)
    assert needed([TagPolicy.parse("own"), TagPolicy.parse("router")], only, 12, 6) == {Asked("own"): 12}


def test_avg_needs_its_own_number_and_cons_all_of_them():
    none = TagPolicy.parse("none")
    assert needed([none], [Protocol("avg", 8)], 66, 0) == {Asked("none"): 8}
    assert needed([none], [Protocol("cons", 8)], 66, 0) == {Asked("none"): 66}


def test_a_benchmark_with_few_samples_keeps_the_protocols_that_they_allow():
    asked = [Protocol.parse(text) for text in ("avg@66", "cons@6", "cons@6x11", "pass@4")]
    assert Share("math500", 6).protocols(asked) == [Protocol("cons", 6), Protocol("pass", 4)]
    assert Share("math500", 2).protocols(asked) == [Protocol("avg", 2)]
    assert Share("math500").protocols(asked) == asked
    assert Share("math500").n(asked) == 66
    assert parse_share("aime24:66") == ("aime24", 66)
    assert parse_share(" math500 ") == ("math500", None)


def test_disjoint_sets_share_no_sample():
    sets = disjoint(TagPolicy.parse("spread").split(4, 3), 3)
    assert [numbers[Asked("forced", 0)] for numbers in sets] == [range(0, 2), range(2, 4), range(4, 6)]
    assert [numbers[Asked("forced", 2)] for numbers in sets] == [range(0, 1), range(1, 2), range(2, 3)]


@pytest.mark.parametrize("text", ["", "tag", "tag:0", "tag:-1", "tag:1.5", "best", "spread:6", "Own", "tag:1:2"])
def test_what_is_no_policy_is_refused_by_name(text):
    with pytest.raises(InputError, match=rf"policies is '{text}', expected one of: none, tag:1"):
        TagPolicy.parse(text, "policies")


@pytest.mark.parametrize("text", ["", "avg", "avg@", "avg@0", "mean@4", "avg@6x11", "pass@2x2", "cons@6x", "cons@06"])
def test_what_is_no_protocol_is_refused_by_name(text):
    with pytest.raises(InputError, match=r"protocols is .*, expected one of: avg@n"):
        Protocol.parse(text, "protocols")


@pytest.mark.parametrize("text", ["", ":4", "aime24:", "aime24:0", "aime24:x", "aime24:4:4"])
def test_what_is_no_share_is_refused(text):
    with pytest.raises(InputError, match="NAME or NAME:SAMPLES"):
        parse_share(text)


def test_a_model_without_the_tag_is_refused():
    with pytest.raises(InputError, match="policy 'tag:7': the model has 6 tags, expected more"):
        TagPolicy.parse("tag:7").split(1, 6)
    with pytest.raises(InputError, match="policy 'spread': the model has no forking tags, expected policy none"):
        TagPolicy.parse("spread").split(1, 0)


def test_lists_hold_each_part_once():
    assert unique(["tag:1, spread", "", "spread,own"]) == ["tag:1", "spread", "own"]
