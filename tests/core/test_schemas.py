"""Arrow schemas that are made from row types: each kind of column, by hand."""

from typing import NotRequired, TypedDict, get_type_hints

import pyarrow as pa
import pytest

from forkpipe.core.rows import TABLES, Row, Split
from forkpipe.core.schemas import RENAMED, SCHEMAS, VOLATILE, _schema


class Inner(TypedDict):
    name: str
    size: int | None


class Example(Row):
    note: NotRequired[str | None]
    split: Split
    count: int
    score: float
    kept: bool
    weights: NotRequired[list[float] | None]
    parts: list[Inner]


def test_a_row_type_becomes_a_schema():
    inner = pa.struct([pa.field("name", pa.string(), nullable=False), pa.field("size", pa.int64())])
    expected = pa.schema(
        [
            pa.field("split", pa.string(), nullable=False),
            pa.field("count", pa.int64(), nullable=False),
            pa.field("score", pa.float64(), nullable=False),
            pa.field("kept", pa.bool_(), nullable=False),
            pa.field("parts", pa.list_(pa.field("element", inner, nullable=False)), nullable=False),
            pa.field("note", pa.string()),
            pa.field("weights", pa.list_(pa.float64())),
            pa.field("run_id", pa.string(), nullable=False),
        ],
        metadata={"forkpipe.table": "example", "forkpipe.schema_version": "3"},
    )
    assert _schema("example", 3, Example).equals(expected, check_metadata=True)


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_column_may_be_left_out_of_a_row_if_it_may_be_null(name):
    row = TABLES[name][1]
    nullable = {field.name for field in SCHEMAS[name] if field.nullable}
    assert row.__optional_keys__ == nullable | {"run_id"}
    assert set(get_type_hints(row)) == set(SCHEMAS[name].names)


def test_renamed_columns_exist_and_their_former_names_do_not():
    for table, columns in RENAMED.items():
        assert set(columns) <= set(SCHEMAS[table].names)
        assert not set(columns.values()) & set(SCHEMAS[table].names)


def test_volatile_columns_exist():
    assert set(VOLATILE) <= {column for schema in SCHEMAS.values() for column in schema.names}
