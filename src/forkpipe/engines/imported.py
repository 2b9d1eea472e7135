"""A teacher that reads a file of existing traces and returns them problem by problem."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, get_args

from forkpipe.core.errors import InputError
from forkpipe.core.hub import is_fetched, pinned
from forkpipe.core.prompts import PLACEHOLDER, render
from forkpipe.core.read_rows import Row, check_path, file_digest, read_rows, text_of, value_at
from forkpipe.core.records import REFUSED, Completion, Request
from forkpipe.core.rows import FinishReason
from forkpipe.engines.import_rows import unfolded

REQUIRED = ("problem", "text")
OPTIONAL = ("id", "reasoning", "finish_reason", "tokens")


class _Trace(NamedTuple):
    text: str
    reasoning: str
    finish_reason: FinishReason
    tokens: int
    error: str


class ImportEngine:
    """Completes requests from a file of traces (`.jsonl`, `.jsonl.gz`, `.parquet`, `.csv`), in file order.

    Problems are matched by their text; differences in white space do not count. Sample n of a problem is its n-th row.
    A row may also hold a list of texts, which are several samples, a chat (`messages`, `conversations`), or a line of
    the batch output of OpenAI's or Anthropic's API. A text that is null is a failed sample. The prompt and the sampling
    settings of a request are ignored, so a text is never cut at `max_tokens`. The whole file is read on first use and
    kept in memory.

    Args:
        path: the file: a path or URL that fsspec opens.
        fields: names of the file's columns by field, for those that differ; "a.b" is field b within column a. Fields
            are problem and text, and the optional reasoning, finish_reason (stop, length or error; default stop),
            tokens (default: the number of words in reasoning and text) and id. If the text is a list, the others may be
            lists of the same length.
        where: keeps only rows whose columns equal these values; the types must agree (true is not "true").
        problems: for rows with an id (`custom_id` or `id`, unless `fields` names another column) in place of a problem:
            a file that says which problem an id is. Its columns are id and problem; a mapping with path, id and problem
            names others.
        prompt: what stands around the problem in the file, for instance in the user's message of a chat.

    Example: the traces of one teacher in a file that holds several::

        ImportEngine("traces.jsonl.gz", fields={"text": "trace"}, where={"teacher": "DeepSeek-R1", "correct": True})
    """

    version = "1"

    def __init__(
        self,
        path: str,
        fields: Mapping[str, str] | None = None,
        where: Mapping[str, str | int | float | bool] | None = None,
        problems: str | Mapping[str, str] | None = None,
        prompt: str = PLACEHOLDER,
    ) -> None:
        self._path = str(path)
        self._named = dict(fields or {})
        self._where = dict(where or {})
        for name in self._named:
            if name not in REQUIRED + OPTIONAL:
                known = ", ".join(REQUIRED + OPTIONAL)
                raise InputError(f"engine 'import': fields has '{name}', expected some of: {known}")
        check_path(self._path)
        self._problems = _problem_file(problems)
        if PLACEHOLDER not in prompt:
            raise InputError(f"engine 'import': prompt is {prompt!r}, expected a text with {PLACEHOLDER}")
        self._prompt = prompt
        self._traces: dict[str, list[_Trace]] | None = None
        self._identity: str | None = None

    @property
    def identity(self) -> str:
        """The content of the file, and how it is read."""
        if self._identity is None:
            parts = ["import", file_digest(self._path), sorted(self._named.items()), sorted(self._where.items())]
            if self._problems:
                parts += [file_digest(self._problems["path"]), self._problems["id"], self._problems["problem"]]
            if self._prompt != PLACEHOLDER:
                parts.append(self._prompt)
            self._identity = " ".join(map(str, parts))
        return self._identity

    @property
    def is_fetched(self) -> bool:
        """Whether the file is on this machine, or must be fetched from the hub first."""
        named = pinned(self._path)
        return named is None or is_fetched(named)

    def generate(self, requests: Sequence[Request]) -> Iterator[Completion]:
        """Yield one completion per request, in order; an error if the file holds fewer samples than requested."""
        for request in requests:
            if request.prefix_ids or request.own_tag:
                raise InputError("engine 'import' writes no forking tags")
            yield self._complete(request)

    def samples_held(self, problem: str) -> int:
        """Return how many rows the file has for a problem."""
        return len(self._of(problem))

    def close(self) -> None:
        """Free the traces; the next request reads the file again."""
        self._traces = None

    def _complete(self, request: Request) -> Completion:
        traces = self._of(request.problem)
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
            error=f"{REFUSED}: {trace.error}" if trace.error else "",
        )

    def _of(self, problem: str) -> list[_Trace]:
        return self._by_problem().get(_normalised(render(self._prompt, problem)), [])

    def _by_problem(self) -> dict[str, list[_Trace]]:
        if self._traces is None:
            traces: dict[str, list[_Trace]] = {}
            rows = 0
            by_id = self._texts_by_id()
            for number, row in read_rows(self._path):
                rows += 1
                for reader in self._readers(f"{self._path} row {number}", row):
                    if all(_same(reader.column(column), value) for column, value in self._where.items()):
                        text = reader.text("problem") if by_id is None else by_id.get(reader.id())
                        if text is not None:
                            traces.setdefault(_normalised(text), []).append(reader.trace())
            if not traces:
                wanted = [f"{column} = {value!r}" for column, value in self._where.items()]
                wanted += [f"an id of {self._problems['path']}"] if self._problems else []
                raise InputError(
                    f"{self._path}: none of {rows} rows has {', '.join(wanted)}"
                    if rows
                    else f"{self._path}: has no rows"
                )
            self._traces = traces
        return self._traces

    def _readers(self, place: str, row: Row) -> Iterator["_RowReader"]:
        """Yield a reader for each sample in a row."""
        for sample in unfolded(row, self._named.get("text")):
            try:
                texts = value_at(sample, self._named.get("text", "text"))
            except KeyError:  # an error only if the row is kept
                texts = None
            samples = len(texts) if isinstance(texts, list) else None
            for at in range(1 if samples is None else samples):
                yield _RowReader(place, sample, self._named, at, samples)

    def _texts_by_id(self) -> dict[str, str] | None:
        """Return the problems by their ids, as rows with ids have them; None if rows have the problems themselves."""
        if self._problems is None:
            return None
        path, named = self._problems["path"], {name: self._problems[name] for name in ("id", "problem")}
        texts: dict[str, str] = {}
        for number, row in read_rows(path):
            reader = _RowReader(f"{path} row {number}", row, named)
            text = render(self._prompt, reader.text("problem"))
            if texts.setdefault(reader.id(), text) != text:
                raise InputError(f"{path} row {number}: id '{reader.id()}' is that of another problem already")
        return texts


def _problem_file(problems: str | Mapping[str, str] | None) -> dict[str, str] | None:
    if problems is None:
        return None
    given = {"path": problems} if isinstance(problems, str) else dict(problems)
    if "path" not in given or given.keys() - {"path", "id", "problem"}:
        raise InputError(
            f"engine 'import': problems is {given}, expected a path, or a mapping with path, id and problem"
        )
    check_path(given["path"])
    return {"id": "id", "problem": "problem", **given}


class _RowReader:
    """Reads the fields of one sample of a row; every error names the file, the row and the column.

    Args:
        place: the file and the row.
        row: the row.
        named: names of columns by field.
        at: index of the sample, if the row has a list of texts.
        samples: how many texts the list has; columns with a list of the same length have a value for each.
    """

    def __init__(
        self, place: str, row: Mapping[str, Any], named: Mapping[str, str], at: int = 0, samples: int | None = None
    ) -> None:
        self._place = place
        self._row = row
        self._named = named
        self._at = at
        self._samples = samples

    def name(self, field: str) -> str:
        """Return the column of a field."""
        return self._named.get(field, "custom_id" if field == "id" and "custom_id" in self._row else field)

    def column(self, column: str) -> Any:
        try:
            value = value_at(self._row, column)
        except KeyError:
            hint = "; options.problems says which problem an id is" if column == "problem" else ""
            raise InputError(
                f"{self._place}: field '{column}' is missing, the row has: {', '.join(self._row)}{hint}"
            ) from None
        return value[self._at] if isinstance(value, list) and len(value) == self._samples else value

    def text(self, name: str) -> str:
        column = self.name(name)
        return text_of({column: self.column(column)}, column, self._place, empty=True)

    def id(self) -> str:
        value = self.column(self.name("id"))
        return str(value) if isinstance(value, int) else self.text("id")

    def trace(self) -> _Trace:
        finish = self._finish_reason() if self._gives("finish_reason") else "stop"
        why = self._row.get("error")
        error = f"recorded as failed in the file{f': {why}' if why and isinstance(why, str) else ''}"
        if self.column(self.name("text")) is None:
            return _Trace("", "", "error", 0, error if finish == "error" else "the file holds no text (null)")
        text = self.text("text")
        reasoning = self.text("reasoning") if self._gives("reasoning") else ""
        tokens = self._tokens() if self._gives("tokens") else len(reasoning.split()) + len(text.split())
        return _Trace(text, reasoning, finish, tokens, error if finish == "error" else "")

    def _gives(self, name: str) -> bool:
        """Whether the row has an optional field; a column that the user named must exist, but may be null."""
        return (name in self._named or name in self._row) and self.column(self.name(name)) is not None

    def _finish_reason(self) -> FinishReason:
        given = self.text("finish_reason")
        for known in get_args(FinishReason):
            if given == known:
                return known
        column = self.name("finish_reason")
        raise InputError(f"{self._place}: field '{column}' is '{given}', expected one of: stop, length, error")

    def _tokens(self) -> int:
        column = self.name("tokens")
        value = self.column(column)
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
