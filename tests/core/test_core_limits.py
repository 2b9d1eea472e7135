"""A part of the problems for a first try."""

from hypothesis import given
from hypothesis import strategies as st

from forkpipe.core.limits import first_ids, first_of_groups, quotas

IDS = st.sets(st.integers(0, 200).map(str), max_size=40)


@given(IDS, st.integers(1, 50), st.integers(0, 20), st.randoms())
def test_a_part_is_the_same_in_any_order_and_lies_within_a_larger_one(ids, limit, more, random):
    shuffled = sorted(ids)
    random.shuffle(shuffled)
    part = first_ids(ids, limit)
    assert part == first_ids(shuffled, limit) <= first_ids(ids, limit + more)
    assert len(part) == min(limit, len(ids))


@given(IDS, IDS, st.integers(1, 50))
def test_more_problems_push_ids_out_and_bring_none_back(ids, others, limit):
    assert first_ids(ids | others, limit) & ids <= first_ids(ids, limit)


def test_another_salt_draws_another_part():
    ids = [str(n) for n in range(100)]
    assert first_ids(ids, 10) != first_ids(ids, 10, "again")


def test_quotas_by_hand():
    assert quotas([480, 180, 140, 200], 50) == [24, 9, 7, 10]
    assert quotas([480, 180, 140, 200], 10) == [5, 2, 1, 2]  # 4.8, 1.8, 1.4, 2: two left, for the .8 and .8
    assert quotas([100, 0, 1], 3) == [2, 0, 1]
    assert quotas([1, 1, 1], 2) == [1, 1, 0]
    assert quotas([2, 3], 9) == [2, 3]


@given(st.lists(st.integers(0, 60), min_size=1, max_size=5), st.integers(1, 100))
def test_quotas_use_the_limit_and_forget_no_group_that_has_room(counts, limit):
    parts = quotas(counts, limit)
    assert sum(parts) == min(limit, sum(counts))
    assert all(0 <= part <= count for part, count in zip(parts, counts, strict=True))
    if limit >= sum(count > 0 for count in counts):
        assert all(bool(part) == bool(count) for part, count in zip(parts, counts, strict=True))


PAIRS = st.lists(
    st.tuples(st.sampled_from(["train", "rl", "test"]), st.integers(0, 999).map(str)),
    unique_by=lambda it: it[1],
    max_size=30,
)


@given(PAIRS, st.integers(1, 40))
def test_a_part_of_groups_is_that_of_each_group(pairs, limit):
    part = first_of_groups(pairs, limit)
    assert len(part) == min(limit, len(pairs))
    for group in ("train", "rl", "test"):
        members = [name for where, name in pairs if where == group]
        assert part & set(members) == first_ids(members, len(part & set(members)))
