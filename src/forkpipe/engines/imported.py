"""A teacher that reads a file of existing traces and returns them problem by problem."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, get_args

from forkpipe.core.errors import InputError
from forkpipe.core.read_rows import check_path, file_digest, read_rows, text_of
from forkpipe.core.records import Completion, Request
from forkpipe.core.rows import FinishReason

REQUIRED = ("problem", "text")
OPTIONAL = ("reasoning", "finish_reason", "tokens")


class _Trace(NamedTuple):
    text: str
    reasoning: str
    finish_reason: FinishReason
    tokens: int


class ImportEngine:
    """Completes requests from a file of traces (`.jsonl`, `.jsonl.gz`, `.parquet`, `.csv`), in file order.

    Problems are matched by their text; differences in white space do not count. Sample n of a problem is its n-th row.
    The prompt and the sampling settings of a request are ignored, so a text is never cut at `max_tokens`. The whole
    file is read on first use and kept in memory.

    Args:
        path: the file: a path or URL that fsspec opens.
        fields: names of the file's columns by field, for those that differ. Fields are problem and text, and the
            optional reasoning, finish_reason (stop, length or error; default stop) and tokens (default: the number of
            words in reasoning and text).
        where: keeps only rows whose columns equal these values; the types must agree (true is not "true").

    Example: the traces of one teacher in a file that holds several::

        ImportEngine("traces.jsonl.gz", fields={"text": "trace"}, where={"teacher": "DeepSeek-R1", "correct": True})
    """

    version = "1"

    def __init__(
        self,
        path: str,
        fields: Mapping[str, str] | None = None,
        where: Mapping[str, str | int | float | bool] | None = None,
    ) -> None:
        self._path = str(path)
        self._named = dict(fields or {})
        self._where = dict(where or {})
        for name in self._named:
            if name not in REQUIRED + OPTIONAL:
                known = ", ".join(REQUIRED + OPTIONAL)
                raise InputError(f"engine 'import': fields has '{name}', expected some of: {known}")
        check_path(self._path)
        self._traces: dict[str, list[_Trace]] | None = None
        self._identity: str | None = None

    @property
    def identity(self) -> str:
        """The content of the file, and how it is read."""
        if self._identity is None:
            self._identity = (
                f"import {file_digest(self._path)} {sorted(self._named.items())} {sorted(self._where.items())}"
            )
        return self._identity

    def generate(self, requests: Sequence[Request]) -> Iterator[Completion]:
        """Yield one completion per request, in order; an error if the file holds fewer samples than requested."""
        for request in requests:
            if request.prefix_ids or request.own_tag:
                raise InputError("engine 'import' writes no forking tags")
            yield self._complete(request)

    def samples_held(self, problem: str) -> int:
        """Return how many rows the file has for a problem."""
        return len(self._by_problem().get(_normalised(problem), []))

    def close(self) -> None:
        """Free the traces; the next request reads the file again."""
        self._traces = None

    def _complete(self, request: Request) -> Completion:
        traces = self._by_problem().get(_normalised(request.problem), [])
        if request.sample >= len(traces):
            error = (
                f"{self._path} holds {len(traces)} samples of this problem, sample {request.sample + 1} was requested"
            )
            return Completion(request.request_id, finish_reason="error", error=error)
        trace = traces[request.sample]
        return Completion(
            request.request_id,
            text=trace.text,
            reasoning=trace.reasoning,
            tokens_in=len(request.prompt.split()),
            tokens_out=trace.tokens,
            finish_reason=trace.finish_reason,
            error="recorded as failed in the file" if trace.finish_reason == "error" else "",
        )

    def _by_problem(self) -> dict[str, list[_Trace]]:
        if self._traces is None:
            traces: dict[str, list[_Trace]] = {}
            rows = 0
            for number, row in read_rows(self._path):
                rows += 1
                reader = _RowReader(f"{self._path} row {number}", row, self._named)
                if all(_same(reader.column(column), value) for column, value in self._where.items()):
                    traces.setdefault(_normalised(reader.text("problem")), []).append(reader.trace())
            if not traces:
                kept = ", ".join(f"{column} = {value!r}" for column, value in self._where.items())
                raise InputError(
                    f"{self._path}: none of {rows} rows has {kept}" if rows else f"{self._path}: has no rows"
                )
            self._traces = traces
        return self._traces


class _RowReader:
    """Reads the fields of one row; every error names the file, the row and the column."""

    def __init__(self, place: str, row: Mapping[str, Any], named: Mapping[str, str]) -> None:
        self._place = place
        self._row = row
        self._named = named

    def column(self, column: str) -> Any:
        if column not in self._row:
            raise InputError(f"{self._place}: field '{column}' is missing, the row has: {', '.join(self._row)}")
        return self._row[column]

    def text(self, name: str) -> str:
        column = self._named.get(name, name)
        return text_of(self._row, column, self._place, empty=True)

    def trace(self) -> _Trace:
        text = self.text("text")
        reasoning = self.text("reasoning") if self._gives("reasoning") else ""
        tokens = self._tokens() if self._gives("tokens") else len(reasoning.split()) + len(text.split())
        return _Trace(text, reasoning, self._finish_reason() if self._gives("finish_reason") else "stop", tokens)

    def _gives(self, name: str) -> bool:
        """Whether the row has an optional field; a column that the user named must exist, but may be null."""
        if name in self._named:
            return self.column(self._named[name]) is not None
        return self._row.get(name) is not None

    def _finish_reason(self) -> FinishReason:
        given = self.text("finish_reason")
        for known in get_args(FinishReason):
            if given == known:
                return known
        column = self._named.get("finish_reason", "finish_reason")
        raise InputError(f"{self._place}: field '{column}' is '{given}', expected one of: stop, length, error")

    def _tokens(self) -> int:
        column = self._named.get("tokens", "tokens")
        value = self._row[column]
        if isinstance(value, str) and value.isascii() and value.isdigit():
            value = int(value)  # CSV has no numbers
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise InputError(f"{self._place}: field '{column}' is {value!r}, expected a whole number from 0")
        return value


def _normalised(problem: str) -> str:
    return " ".join(problem.split())


def _same(value: Any, wanted: str | int | float | bool) -> bool:
    """Whether two values are equal and of the same type: True is not 1, but 1.0 is."""
    return isinstance(value, bool) == isinstance(wanted, bool) and bool(value == wanted)
