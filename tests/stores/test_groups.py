"""Rows by problem and joined tables, from memory and from files, against doing it by hand."""

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forkpipe.core.errors import InputError
from forkpipe.stores.groups import Groups, InMemory, Joined
from forkpipe.stores.tables import Batches, StoredTable, write_table


def by_hand(rows):
    groups = {}
    for row in rows:
        groups.setdefault(row["problem_id"], []).append(row)
    return groups


class Small(InMemory):
    """A table that is read three rows at a time."""

    def batches(self, columns, rows=3):
        return super().batches(columns, 3)


problems = st.lists(st.sampled_from("abcd"), max_size=20)


@settings(max_examples=60, deadline=None)
@given(problems, st.booleans(), st.lists(st.sampled_from("abcde"), max_size=8))
def test_groups_hold_the_rows_of_each_problem_in_whatever_order_they_lie_and_are_asked_for(names, in_order, asked):
    names = sorted(names) if in_order else names
    rows = [{"problem_id": name, "n": n} for n, name in enumerate(names)]
    schema = pa.schema({"problem_id": pa.string(), "n": pa.int64()})
    groups = Groups(Small(pa.Table.from_pylist(rows, schema)), ["n"])
    assert dict(groups) == by_hand(rows)
    assert list(groups.problems) == list(by_hand(rows))
    assert [groups.of(name) for name in asked] == [by_hand(rows).get(name, []) for name in asked]
    assert dict(groups) == by_hand(rows)


def test_problems_in_their_order_are_read_once_and_a_few_at_a_time():
    read = []

    class Watched(Small):
        def batches(self, columns, rows=3):
            for batch in super().batches(columns):
                read.append(tuple(columns))
                yield batch

    rows = [{"problem_id": f"p{n // 4}", "n": n} for n in range(40)]
    groups = Groups(Watched(pa.Table.from_pylist(rows)), ["n"])
    del read[:]
    assert [row["n"] for row in groups.of("p0")] == [0, 1, 2, 3]
    assert len(read) == 2
    assert [row["n"] for p in range(1, 10) for row in groups.of(f"p{p}")] == list(range(4, 40))
    assert len(read) == 14


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 12), st.randoms(use_true_random=False), st.booleans())
def test_a_join_takes_the_order_of_the_first_table(n, random, shuffled):
    first = pa.table({"id": pa.array([f"i{k}" for k in range(n)], pa.string()), "a": pa.array(range(n), pa.int64())})
    order = list(range(n + 2))
    if shuffled:
        random.shuffle(order)
    second = pa.table({"id": pa.array([f"i{k}" for k in order], pa.string()), "b": pa.array(order, pa.int64())})
    joined = Joined(Small(first), InMemory(second), "id", ["b"], "second")
    rows = [row for batch in joined.batches(["b", "a"]) for row in batch.to_pylist()]
    assert rows == [{"b": k, "a": k} for k in range(n)]


def test_a_row_without_a_partner_is_named():
    joined = Joined(pa.table({"id": ["x", "y"]}), pa.table({"id": ["x"], "b": [1]}), "id", ["b"], "verdicts")
    with pytest.raises(InputError, match="verdicts has no row with id y"):
        list(joined.batches(["id", "b"]))


def test_a_stored_table_is_read_by_bytes_and_is_a_table_for_whoever_asks(tmp_path, monkeypatch):
    rows = [{"stage": "s", "id": f"i{n}", "reason": "r", "detail": f"{n:04d}" * 250} for n in range(100)]
    write_table(str(tmp_path / "t.parquet"), "rejected", rows)
    table = StoredTable(str(tmp_path / "t.parquet"), "rejected")
    monkeypatch.setattr("forkpipe.stores.tables.BATCH_BYTES", 10_000)
    sizes = [len(batch) for batch in table.batches(["detail"])]
    assert sum(sizes) == 100
    assert max(sizes) < 40
    assert [len(batch) for batch in table.batches(["id"])] == [100]  # the size of the columns that are read counts
    assert (len(table), table.num_rows, table["id"][7].as_py()) == (100, 100, "i7")
    assert table.select(["reason"]).to_pylist() == [{"reason": "r"}] * 100
    assert Batches(lambda: iter([table.to_table()])).to_table().equals(table.to_table())
