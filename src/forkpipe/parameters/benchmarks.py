"""The benchmarks, one entry each: those of `benchmarks.toml`, and the user's own in the parameters."""

import tomllib
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from forkpipe.core.data_files import data_text
from forkpipe.core.prompts import check_prompt
from forkpipe.parameters.base import Count, Settings
from forkpipe.parameters.measure import MeasureSettings

PromptName = Annotated[str, AfterValidator(check_prompt)]
"""A name in `core.prompts.PROMPTS`, or a text with a place for the problem."""

_SHA256 = r"[0-9a-f]{64}"


class BenchmarkFields(Settings):
    """What the columns of a benchmark's file are called."""

    problem: str = "problem"
    answer: str = "answer"
    """Of multiple choice with `distractors`: the right option, else the letter."""
    id: str | None = "id"
    """null: the id is a hash of the problem's text."""
    distractors: list[str] = []
    """Columns of the wrong options. Then the options are put in an order that id and `choice_seed` determine."""


class BenchmarkSource(Settings):
    """A file of a benchmark: on the hub at a commit, at an address with its SHA-256, or of this machine.

    A source without any place describes the columns and the digest of a file that the user has.
    """

    hub: str | None = None
    """Data set on the Hugging Face hub; its script is never run, only `file` is fetched."""
    revision: Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")] | None = None
    """Commit on the hub, 40 hex digits: branches and tags move."""
    url: Annotated[str, Field(pattern=r"^https?://")] | None = None
    file: str | None = None
    """File in the repository `hub`; without `hub`, the path of a file of this machine."""
    sha256: Annotated[str, Field(pattern=f"^{_SHA256}$")] | None = None
    """Of the file's bytes."""
    digest: Annotated[str, Field(pattern=f"^{_SHA256}$")] | None = None
    """Of ids, problems and answers, see `problems.benchmarks.content_digest`; null: learnt at the first load."""
    reader: Literal["rows", "programs"] = "rows"
    """programs: a data set of programs with their tests, told by its columns (`verification.code.readers`)."""
    public_only: bool = False
    """Take the public tests of programs where the private ones are missing; every figure then says so."""
    fields: BenchmarkFields = Field(default_factory=BenchmarkFields)

    @model_validator(mode="after")
    def _one_place(self) -> "BenchmarkSource":
        if self.hub is not None and (self.revision is None or self.file is None or self.url is not None):
            raise ValueError(f"hub is {self.hub}, expected revision (40 hex digits) and file beside it, and no url")
        if self.hub is None and self.revision is not None:
            raise ValueError("revision stands without hub, expected the data set that it is a commit of")
        if self.url is not None and (self.sha256 is None or self.file is not None):
            raise ValueError(f"url is {self.url}, expected sha256 beside it, and no file")
        return self

    @property
    def place(self) -> str:
        """Return where the file is, for people; empty if nobody says."""
        return f"{self.hub}@{self.revision}/{self.file}" if self.hub else self.url or self.file or ""


class Benchmark(Settings):
    """A set of problems by which models are measured."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+$")]
    answer_type: str
    rows: Count
    """Number of problems; a file with more or fewer is refused."""
    sources: Annotated[list[BenchmarkSource], Field(min_length=1)]
    """Where it is fetched first, then other files that are accepted."""
    prompt: PromptName = "lighteval"
    choice_seed: int = 0
    """Together with a question's id, determines the order of its options."""
    window: str | None = None
    """Of a file of LiveCodeBench only the problems of this window (`verification.code.livecodebench.WINDOWS`)."""
    subsets: list[str] = []
    """Columns by whose values metrics are reported too."""
    version: Count = 1
    """Raised when figures before and after a change cannot be compared."""

    @property
    def source(self) -> BenchmarkSource:
        """The source from which the benchmark is fetched."""
        return self.sources[0]

    @property
    def digest(self) -> str:
        """The digest of what is fetched; empty if the first load teaches it."""
        return self.source.digest or ""


class _Shipped(Mapping[str, Benchmark]):
    """The entries of `benchmarks.toml`, read when one is first asked for: most commands ask for none."""

    @cached_property
    def _entries(self) -> dict[str, Benchmark]:
        entries = tomllib.loads(data_text(__file__, "benchmarks.toml"))
        return {name: Benchmark.model_validate({"name": name, **entry}) for name, entry in entries.items()}

    def __getitem__(self, name: str) -> Benchmark:
        return self._entries[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)


BENCHMARKS: Mapping[str, Benchmark] = _Shipped()
"""Those that come with forkpipe, by name."""


class BenchmarksSettings(Settings):
    """The benchmarks of a run: no problem of the run may overlap them, and models are measured by them."""

    use: list[str] = []
    """Names of benchmarks that come with forkpipe, or that `define` adds."""
    files: dict[str, str] = {}
    """Benchmark -> file of this machine with the same content, where it shall not be fetched."""
    prompt: PromptName | None = None
    """In place of each benchmark's own."""
    tests: str | None = None
    """Folder for test cases that are too large for a table, the same as `verification.options.code.tests`."""
    define: dict[str, Benchmark] = {}
    """Benchmarks of your own; one with the name of another replaces it."""
    measure: MeasureSettings = Field(default_factory=MeasureSettings)
    """Which models are measured on them, and how."""

    @model_validator(mode="before")
    @classmethod
    def _name_entries(cls, given: Any) -> Any:
        defined = given.get("define") if isinstance(given, Mapping) else None
        if not isinstance(defined, Mapping):
            return given
        named = {
            name: {"name": name, **entry} if isinstance(entry, Mapping) else entry for name, entry in defined.items()
        }
        return {**given, "define": named}

    @model_validator(mode="after")
    def _known(self) -> "BenchmarksSettings":
        for share in self.measure.shares(self.use):
            if share.name not in self.use:
                named = ", ".join(self.use) or "none is named there"
                raise ValueError(f"measure.benchmarks names '{share.name}', expected some of use: {named}")
        for kind, names in (("use", self.use), ("files", self.files)):
            for name in names:
                if name not in self.known:
                    raise ValueError(f"{kind} names benchmark '{name}', expected one of: {', '.join(self.known)}")
        return self

    @property
    def known(self) -> dict[str, Benchmark]:
        """Every benchmark that can be used, by name."""
        return {**BENCHMARKS, **self.define}
