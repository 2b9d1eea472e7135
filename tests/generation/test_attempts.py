"""Which attempt counts, against a plain loop over random attempts."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from forkpipe.generation.attempts import is_among, is_final, latest
from forkpipe.stores.trace_store.index import KINDS, STOP, Index

KEYS = st.lists(st.integers(0, 9), max_size=12)


def index_of(rows):
    """Return an index of (key, attempt, failed, finish, tokens_out, limit)."""
    made = Index.empty()
    made.key = np.array([row[0] for row in rows], np.uint64)
    for column, name in enumerate(("attempt", "failed", "finish", "tokens_out", "limit"), start=1):
        setattr(made, name, np.array([row[column] for row in rows], getattr(made, name).dtype))
    zeros = np.zeros(len(rows), np.int32)
    made.tokens_in = made.seconds = made.kind = made.shard = made.row = zeros
    return made


@given(KEYS, KEYS)
def test_membership_is_that_of_sets(found, keys):
    mask = is_among(np.array(found, np.uint64), np.array(keys, np.uint64))
    assert mask.tolist() == [one in keys for one in found]


def test_what_is_final():
    """Limit of today 10; failed; whole; cut by 8 and by 10 then; cut by the teacher itself at 4 of 8."""
    rows = [(1, 0, True, 2, 0, 8), (2, 0, False, STOP, 3, 8), (3, 0, False, 1, 8, 8), (4, 0, False, 1, 10, 10)]
    assert is_final(index_of([*rows, (5, 0, False, 1, 4, 8)]), 10).tolist() == [False, True, False, True, True]


def test_a_refusal_is_final_under_its_limit_once_the_teacher_has_answered_any():
    rows = [(1, 0, True, 2, 0, 10), (2, 0, True, 2, 0, 10), (3, 0, True, 2, 0, 8), (4, 0, False, STOP, 3, 10)]
    index = index_of(rows)
    index.kind = np.array([KINDS.index("refused"), KINDS.index("other"), KINDS.index("refused"), 0])
    assert is_final(index, 10).tolist() == [True, False, False, True]
    assert not is_final(index.take(slice(0, 3)), 10).any()  # nothing was answered: the options may be wrong


ROWS = st.dictionaries(
    st.tuples(st.integers(0, 5), st.integers(0, 3)),
    st.tuples(st.booleans(), st.integers(0, 1), st.integers(0, 12), st.sampled_from([4, 8, 12])),
    max_size=15,
)


@given(ROWS, st.lists(st.integers(0, 7), unique=True), st.sampled_from([4, 8, 12]), st.randoms())
def test_the_last_final_attempt_counts(rows, keys, max_tokens, rng):
    listed = [(*key, *values) for key, values in rows.items()]
    rng.shuffle(listed)
    index = index_of(listed)
    final = is_final(index, max_tokens)
    found = latest(index, np.array(keys, np.uint64), max_tokens)
    for position, key in enumerate(keys):
        mine = [n for n, row in enumerate(listed) if row[0] == key]
        best = max(mine, key=lambda n: (final[n], listed[n][1]), default=-1)
        assert found.entry[position] == best
        assert found.final[position] == (bool(mine) and final[best])
        assert found.next_attempt[position] == max((listed[n][1] + 1 for n in mine), default=0)
