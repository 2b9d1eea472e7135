"""Kept results: whatever was put is found again, after a kill too, and nothing else."""

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forkpipe.core.errors import InputError
from forkpipe.core.ids import content_hash
from forkpipe.stores.results import GROUP_ROWS, ResultStore


def key(number):
    return content_hash(number)


def found(path, *numbers):
    with ResultStore(path) as store:
        return store.get([key(number) for number in numbers])


def test_what_is_put_is_found_in_order_or_not_and_nothing_else(tmp_path):
    many = 3 * GROUP_ROWS + 7
    with ResultStore(tmp_path / "s") as store:
        for number in range(many):
            store.put({key(number): {"n": number, "text": "\u2028 x" * (number % 5)}})
    for asked in (range(many), (many - 1, 0, GROUP_ROWS, many + 5)):
        held = found(tmp_path / "s", *asked)
        assert held == {key(n): {"n": n, "text": "\u2028 x" * (n % 5)} for n in asked if n < many}


def test_a_killed_run_loses_nothing_that_was_put(tmp_path):
    store = ResultStore(tmp_path / "s")
    store.__enter__()
    store.put({key(1): "one", key(2): "two"})
    store._lock.release()  # as the kernel does when a process dies
    (journal,) = (tmp_path / "s").glob("journal-*")
    with journal.open("a") as file:
        file.write('{"key": "' + key(3))  # torn
    assert found(tmp_path / "s", 1, 2, 3) == {key(1): "one", key(2): "two"}


@settings(max_examples=20, deadline=None)
@given(st.lists(st.lists(st.tuples(st.integers(0, 9), st.integers()), max_size=4), max_size=6))
def test_the_newer_of_two_results_counts(tmp_path_factory, runs):
    path, model = tmp_path_factory.mktemp("results") / "s", {}
    for run in runs:
        with ResultStore(path, journal_bytes=60) as store:
            for number, value in run:
                store.put({key(number): value})
        model |= {key(number): value for number, value in run}
        assert found(path, *range(10)) == model


def test_a_damaged_shard_is_set_aside_and_its_results_are_missing(tmp_path, caplog):
    for number in (1, 2):
        with ResultStore(tmp_path / "s") as store:
            store.put({key(number): number})
    first, _ = sorted((tmp_path / "s").glob("shard-*"))
    first.write_bytes(first.read_bytes()[:-40])
    assert found(tmp_path / "s", 1, 2) == {key(2): 2}
    assert "its results are computed again" in caplog.text
    assert pq.read_metadata(*(tmp_path / "s").glob("shard-*")).num_rows == 1


def test_a_store_has_one_writer(tmp_path):
    with ResultStore(tmp_path / "s"), pytest.raises(InputError, match=r"store of results .* is in use by process"):
        ResultStore(tmp_path / "s").__enter__()
