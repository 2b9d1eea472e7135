"""A teacher that reads a file of existing traces and returns them problem by problem."""

from collections.abc import Iterator, Mapping, Sequence

from forkpipe.core.errors import InputError
from forkpipe.core.file_digests import file_digest
from forkpipe.core.hub import is_fetched, pinned
from forkpipe.core.prompts import PLACEHOLDER, render
from forkpipe.core.read_rows import check_path
from forkpipe.core.records import REFUSED, Completion, Request
from forkpipe.engines.import_index import Reader
from forkpipe.engines.import_samples import ProblemKey, Samples, key_of, problems_by_id

REQUIRED = ("problem", "text")
OPTIONAL = ("id", "reasoning", "finish_reason", "tokens")


class ImportEngine:
    """Completes requests from a file of traces (`.jsonl`, `.jsonl.gz`, `.parquet`, `.csv`), in file order.

    Problems are matched by their text; differences in white space do not count. Sample n of a problem is its n-th row.
    A row may also hold a list of texts, which are several samples, a chat (`messages`, `conversations`), or a line of
    the batch output of OpenAI's or Anthropic's API. A text that is null is a failed sample. The prompt and the sampling
    settings of a request are ignored, so a text is never cut at `max_tokens`. The file is read once for all teachers
    that it holds, to find where their rows are; each row is read again when it is requested, so memory holds 40 bytes a
    sample and one row. A request's id depends on its row alone: of a file that changes, new rows are requested.

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
    holds_model = False

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
        self._identity: str | None = None
        spec = tuple(tuple(sorted((given or {}).items())) for given in (self._named, self._where, self._problems))
        # repr: 1, 1.0 and True are equal and do not choose the same rows.
        reads = [self._path, *([self._problems["path"]] if self._problems else [])]
        self._reader = Reader(self._path, repr((spec, prompt)), reads, self._samples, self._missing)

    @property
    def identity(self) -> str:
        """The content of the file, and how it is read: another one makes the traces stale."""
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
        """Return how many samples the file has for a problem."""
        return self._reader.count(self._key(problem))

    def sample_identity(self, problem: str, sample: int) -> str:
        """Return what a sample says, hashed: a request's id changes with its row, not with the others of the file."""
        return f"import row {self._reader.digest(self._key(problem), sample)}"

    def close(self) -> None:
        """Close the file; the next request reads it again if it has changed."""
        self._reader.close()
        self._identity = None

    def _key(self, problem: str) -> ProblemKey:
        return key_of(render(self._prompt, problem))

    def _complete(self, request: Request) -> Completion:
        held = self.samples_held(request.problem)
        if request.sample >= held:
            error = f"{self._path} holds {held} samples of this problem, sample {request.sample + 1} was requested"
            return Completion(request.request_id, finish_reason="error", error=error)
        trace = self._reader.trace(self._key(request.problem), request.sample)
        return Completion(
            request.request_id,
            text=trace.text,
            reasoning=trace.reasoning,
            tokens_in=len(request.prompt.split()),
            tokens_out=trace.tokens,
            finish_reason=trace.finish_reason,
            error=f"{REFUSED}: {trace.error}" if trace.error else "",
        )

    def _samples(self) -> Samples:
        if self._problems is None:
            return Samples(self._named, self._where, None)
        named = {name: self._problems[name] for name in ("id", "problem")}
        return Samples(self._named, self._where, problems_by_id(self._problems["path"], named, self._prompt))

    def _missing(self) -> str:
        wanted = [f"{column} = {value!r}" for column, value in self._where.items()]
        return ", ".join([*wanted, *([f"an id of {self._problems['path']}"] if self._problems else [])])


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
