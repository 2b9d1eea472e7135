"""Reads the rows of a user's file without guessing types; an error names the file and the row.

The name's ending gives the format: `.jsonl`, `.jsonl.gz`, `.parquet`, `.csv`. Paths are anything that fsspec opens
("data/problems.jsonl", "s3://bucket/problems.parquet").
"""

import csv
import json
import sys
import zlib
from collections.abc import Iterator, Mapping
from typing import IO, Any

from forkpipe.core.errors import InputError, one_line
from forkpipe.core.ids import digest

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


def check_path(path: str) -> None:
    """Raise `InputError` unless the path has a known ending and the file exists."""
    if not path.endswith(SUFFIXES):
        raise InputError(f"{path}: unknown format, expected a name that ends in one of: {', '.join(SUFFIXES)}")
    if not file_exists(path):
        raise InputError(f"{path}: no such file")


def file_exists(path: str) -> bool:
    """Whether there is a file at the path."""
    from fsspec.core import url_to_fs

    try:
        filesystem, inner_path = url_to_fs(path)
        return bool(filesystem.isfile(inner_path))
    except (ValueError, ImportError) as error:  # an unknown protocol, or one whose package is not installed
        raise InputError(f"{path}: cannot be opened: {one_line(error)}") from error


def file_digest(path: str) -> str:
    """Return a hash of a file's bytes, 16 hex digits."""
    import fsspec

    with fsspec.open(path, "rb") as file:
        return digest(iter(lambda: file.read(1 << 20), b""))


def _read_jsonl(path: str, file: IO[bytes]) -> Iterator[tuple[int, Row]]:
    for number, line in enumerate(file, start=1):
        if number == 1:
            line = line.removeprefix(b"\xef\xbb\xbf")  # a byte order mark, as some editors write it
        if not line.strip():
            continue
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
        yield number, row


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
            for row in batch.to_pylist():
                number += 1
                yield number, row
    except pa.ArrowException as error:
        raise InputError(f"{path}: not Parquet: {one_line(error)}") from error


def _check_names(path: str, names: list[str]) -> None:
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise InputError(f"{path}: column '{doubled[0]}' is there twice, expected every name once")
