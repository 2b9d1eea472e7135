"""Reads the rows of a user's file without guessing types; an error names the file and the row.

The name's ending gives the format: `.jsonl`, `.jsonl.gz`, `.parquet`, `.csv`. Paths are anything that fsspec opens
("data/problems.jsonl", "s3://bucket/problems.parquet"), and files of data sets on the hub at a commit (`core.hub`).
"""

import csv
import json
import sys
import zlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import IO, Any

from forkpipe.core.errors import InputError, one_line
from forkpipe.core.hub import local_files, pinned

SUFFIXES = (".jsonl", ".jsonl.gz", ".parquet", ".csv")

Row = dict[str, Any]


def read_rows(path: str) -> Iterator[tuple[int, Row]]:
    """Yield (row number, row) lazily, numbered from 1.

    In JSONL the number counts lines, and blank lines are skipped. In CSV all cells are text, and the header is
    not counted. A file without rows yields nothing.

    Raises:
        InputError: the file is missing or has another format, or a row cannot be read.
    """
    import fsspec

    check_path(path)
    if named := pinned(path):
        yield from enumerate((row for file in local_files(named) for _, row in read_rows(str(file))), start=1)
        return
    read = {".parquet": _read_parquet, ".csv": _read_csv}.get(path[path.rfind(".") :], _read_jsonl)
    try:
        with fsspec.open(path, "rb", compression="gzip" if path.endswith(".gz") else None) as file:
            yield from read(path, file)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: cannot be read: {one_line(error)}") from error


def text_of(row: Mapping[str, Any], field: str, where: str, *, expected: str = "", empty: bool = False) -> str:
    """Return a field that must be a text, and not empty unless `empty` is set.

    InputError begins with `where`, the file and row; if the field is missing, it says `expected`, or what the row has.
    """
    if field not in row:
        raise InputError(
            f"{where}: field '{field}' is missing, {expected or 'the row has: ' + (', '.join(row) or 'none')}"
        )
    value = row[field]
    if not isinstance(value, str) or not (empty or value.strip()):
        kind = "empty" if isinstance(value, str) else type(value).__name__
        raise InputError(f"{where}: field '{field}' is {kind}, expected text")
    return value


def value_at(row: Any, column: str) -> Any:
    """Return a column, or what a path such as "response.body.choices.0" leads to; KeyError if there is nothing.

    >>> value_at({"a": {"b": [1, 2]}, "a.c": 3}, "a.b.1"), value_at({"a": {"b": [1, 2]}, "a.c": 3}, "a.c")
    (2, 3)
    """
    if isinstance(row, Mapping) and column in row:
        return row[column]
    first, _, rest = column.partition(".")
    if isinstance(row, list) and first.isascii() and first.isdigit() and int(first) < len(row):
        inner = row[int(first)]
    elif rest and isinstance(row, Mapping) and first in row:
        inner = row[first]
    else:
        raise KeyError(column)
    return value_at(inner, rest) if rest else inner


def check_path(path: str) -> None:
    """Raise `InputError` unless the path has a known ending and the file exists."""
    if not path.endswith(SUFFIXES):
        raise InputError(f"{path}: unknown format, expected a name that ends in one of: {', '.join(SUFFIXES)}")
    if not file_exists(path):
        raise InputError(f"{path}: no such file")


def file_exists(path: str) -> bool:
    """Whether there is a file at the path; one on the hub at a commit is taken to be there."""
    if pinned(path):
        return True
    from fsspec.core import url_to_fs

    try:
        filesystem, inner_path = url_to_fs(path)
        return bool(filesystem.isfile(inner_path))
    except (ValueError, ImportError) as error:  # an unknown protocol, or one whose package is not installed
        raise InputError(f"{path}: cannot be opened: {one_line(error)}") from error


def _read_jsonl(path: str, file: IO[bytes]) -> Iterator[tuple[int, Row]]:
    for number, line in enumerate(file, start=1):
        if (row := row_of_line(line, path, number)) is not None:
            yield number, row


def row_of_line(line: bytes, path: str, number: int) -> Row | None:
    """Return the row of a line of JSONL, None for a blank line; InputError names the file and the line."""
    if number == 1:
        line = line.removeprefix(b"\xef\xbb\xbf")  # a byte order mark, as some editors write it
    if not line.strip():
        return None
    try:
        row = json.loads(line.decode())
        if rb"\ud" in line.lower():
            # UnicodeError for half a surrogate pair, which JSON allows and tables cannot store.
            json.dumps(row, ensure_ascii=False).encode()
    except UnicodeError as error:
        raise InputError(f"{path} line {number}: not UTF-8: {one_line(error)}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} line {number}: not JSON: {one_line(error)}") from error
    if not isinstance(row, dict):
        raise InputError(f"{path} line {number}: is {type(row).__name__}, expected a JSON object")
    return row


def _read_csv(path: str, file: IO[bytes]) -> Iterator[tuple[int, Row]]:
    import io

    # This limit holds for the whole process. The default of 128 KiB is shorter than a long trace.
    csv.field_size_limit(sys.maxsize)
    text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
    number = 0
    try:
        lines = csv.reader(text, strict=True)
        header = next(lines, [])
        _check_names(path, header)
        for cells in lines:
            if not cells:
                continue
            number += 1
            if len(cells) != len(header):
                raise InputError(
                    f"{path} row {number}: has {len(cells)} cells, expected {len(header)} as in the header"
                )
            yield number, dict(zip(header, cells, strict=True))
    except UnicodeError as error:
        raise InputError(f"{path} row {number + 1}: not UTF-8: {one_line(error)}") from error
    except csv.Error as error:
        raise InputError(f"{path} row {number + 1}: not CSV: {one_line(error)}") from error
    finally:
        text.detach()  # the caller closes the file


def _read_parquet(path: str, file: IO[bytes]) -> Iterator[tuple[int, Row]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = 0
    try:
        table = pq.ParquetFile(file, pre_buffer=False)  # for the reason in `stores.tables.open_table`
        _check_names(path, table.schema_arrow.names)
        for batch in table.iter_batches(batch_size=256):  # a row can hold a long trace
            for row in _python_rows(batch, path, number):
                number += 1
                yield number, row
    except pa.ArrowException as error:
        raise InputError(f"{path}: not Parquet: {one_line(error)}") from error


def _python_rows(batch: Any, path: str, before: int) -> list[Row]:
    """Return the rows of a batch, of which `before` come before it in the file; see `_python_value`."""
    try:
        rows: list[Row] = batch.to_pylist()
        return rows
    except (ValueError, OverflowError, KeyError):  # bytes that are no UTF-8, the year 10000, an unknown time zone
        pass
    columns: dict[str, list[Any]] = {}
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        columns[name] = []
        for number, scalar in enumerate(column, before + 1):
            try:
                columns[name].append(_python_value(scalar))
            except (ValueError, OverflowError, KeyError) as error:
                raise InputError(f"{path} row {number}: field '{name}' cannot be read: {one_line(error)}") from error
    return [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]


class NotUTF8(bytes):
    """Text of a file that is not UTF-8: harmless in a column that nobody reads, and no text in any other."""


def _python_value(scalar: Any) -> Any:
    """Return an Arrow value for Python: what Python cannot hold, such as the year 10000, becomes text or `NotUTF8`."""
    import pyarrow as pa

    with suppress(ValueError, OverflowError, KeyError):
        return scalar.as_py()
    if isinstance(scalar, pa.DictionaryScalar):
        return _python_value(scalar.value)
    if isinstance(scalar, pa.StructScalar):
        return {name: _python_value(inner) for name, inner in scalar.items()}
    if isinstance(scalar, pa.ListScalar):
        return [_python_value(inner) for inner in scalar.values]
    if isinstance(scalar, pa.StringScalar):
        return NotUTF8(scalar.as_buffer().to_pybytes())
    if isinstance(scalar, pa.TimestampScalar) and scalar.type.tz:  # whose name this machine may not know
        scalar = scalar.cast(pa.timestamp(scalar.type.unit, "UTC"))
    return scalar.cast(pa.string()).as_py()


def _check_names(path: str, names: list[str]) -> None:
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise InputError(f"{path}: column '{doubled[0]}' is there twice, expected every name once")
