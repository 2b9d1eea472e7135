"""The prefix length that a problem's own traces ask for."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from forkpipe.core.prefixes import divergence_length

traces = st.lists(st.lists(st.integers(0, 4), min_size=1, max_size=12), min_size=2, max_size=4)


def differing(a, b):
    """Tokens, with repetition, that either side has and the other lacks."""
    return sum(((Counter(a) - Counter(b)) + (Counter(b) - Counter(a))).values())


@given(traces, st.integers(1, 4), st.integers(1, 15))
def test_it_is_the_least_length_at_which_all_pairs_differ(sets, tokens, cap):
    def diverged(length):
        return all(
            any(differing(a[:n], b[:n]) >= 2 * tokens for n in range(1, length + 1))
            for i, a in enumerate(sets)
            for b in sets[:i]
        )

    cap = min(cap, max(map(len, sets)))
    expected = next((length for length in range(1, cap + 1) if diverged(length)), cap)
    assert divergence_length(sets, tokens, cap) == expected


def test_equal_traces_and_single_ones_take_the_cap_or_all_there_is():
    assert divergence_length([[1, 2, 3], [1, 2, 3]], 1, 2) == 2
    assert divergence_length([[1, 2, 3]], 1, 2) == 2
    assert divergence_length([[1, 2, 3], [1, 2, 3]], 1, 7) == 3


def test_a_shifted_trace_has_not_diverged():
    """One token more at the beginning puts every position out of step; as texts the two are the same."""
    text = [1, 2, 3, 4, 5, 6, 7, 8]
    assert divergence_length([text, [9, *text]], 2, 8) == 8


def test_a_common_beginning_is_passed_over():
    """Three common tokens, then unlike ones: two unlike pairs of tokens are four differing ones, at length 5."""
    assert divergence_length([[1, 2, 3, 4, 5, 6], [1, 2, 3, 7, 8, 9]], 2, 6) == 5
