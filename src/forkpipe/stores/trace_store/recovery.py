"""Recovery after a crash: moves files that cannot be read, and torn lines of journals, out of the way."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from forkpipe.core.ids import ID_LENGTH
from forkpipe.core.progress import logger
from forkpipe.stores import run_id
from forkpipe.stores.tables import to_table
from forkpipe.stores.trace_store.journal import read_journal
from forkpipe.stores.trace_store.shards import GROUP_ROWS
from forkpipe.stores.versions import renamed_row

SET_ASIDE = "set_aside"
"""A folder within the store; nothing in it is read."""


def set_aside(path: Path) -> Path:
    """Move a file or folder of the store to `SET_ASIDE`; if its name is taken there, a number is added."""
    target = _free(path.parent / SET_ASIDE / path.name)
    path.rename(target)
    return target


def journal_tables(journal: Path) -> Iterator[pa.Table]:
    """Yield the rows of a journal as tables of the schema of `traces`; log other lines and set them aside."""
    torn: list[bytes] = []
    rows: list[dict[str, Any]] = []
    for number, (line, row) in enumerate(read_journal(journal), start=1):
        if row is None or not _is_id(row.get("request_id")):
            torn.append(line)
            logger.warning("%s line %d is torn: set aside, its request is sent again", journal, number)
            continue
        rows.append(renamed_row(row, "traces"))
        if len(rows) == GROUP_ROWS:
            yield _table(rows, torn, journal)
            rows = []
    yield _table(rows, torn, journal)
    if torn:
        target = _free(journal.parent / SET_ASIDE / f"{journal.name}.torn")
        target.write_bytes(b"".join(line if line.endswith(b"\n") else line + b"\n" for line in torn))


def _table(rows: list[dict[str, Any]], torn: list[bytes], journal: Path) -> pa.Table:
    try:
        return to_table(rows, "traces", run_id.current())
    except ValueError:
        pass
    kept = []
    for row in rows:
        for candidate in (row, {name: _without_surrogates(value) for name, value in row.items()}):
            try:
                kept.append(to_table([candidate], "traces", run_id.current()))
            except ValueError as error:
                problem = error
            else:
                if candidate is not row:
                    logger.warning(
                        "request %s: what is no Unicode in its texts is replaced by U+FFFD", row["request_id"]
                    )
                break
        else:
            torn.append(json.dumps(row).encode() + b"\n")
            logger.warning("%s: %s; set aside, request %s is sent again", journal, problem, row["request_id"])
    return pa.concat_tables(kept) if kept else to_table([], "traces", run_id.current())


def _without_surrogates(value: Any) -> Any:
    """Return a text that UTF-8 can encode: an engine may return half a surrogate pair."""
    if not isinstance(value, str):
        return value
    return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _is_id(value: Any) -> bool:
    return isinstance(value, str) and len(value) == ID_LENGTH and all(digit in "0123456789abcdef" for digit in value)


def _free(path: Path) -> Path:
    """Return a path that does not exist, and create its folder."""
    path.parent.mkdir(exist_ok=True)
    tried, number = path, 1
    while tried.exists():
        tried, number = path.with_name(f"{path.name}.{number}"), number + 1
    return tried
