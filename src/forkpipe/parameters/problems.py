"""Parameters of the problems."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from forkpipe.core.rows import Split
from forkpipe.parameters.base import MAPPING, TEXT, Count, Settings, Share, form


class FieldReader(Settings):
    """A text within a column."""

    field: str
    """Column; "a.b" is field b within column a."""
    read: Literal["text", "boxed", "hash", "user", "assistant"] = "text"
    r"""boxed: the last `\\boxed{...}` of a solution; hash: what follows the last `####`, as in GSM8K; user, assistant:
    the last message of that role in a chat."""
    pattern: str | None = None
    """Regular expression that is looked for in what was read; its only group is taken, or the whole match."""

    @model_validator(mode="after")
    def _compiles(self) -> "FieldReader":
        if self.pattern is not None:
            try:
                groups = re.compile(self.pattern).groups
            except re.error as error:
                raise ValueError(f"pattern is {self.pattern!r}: {error}") from None
            if groups > 1:
                raise ValueError(f"pattern is {self.pattern!r} with {groups} groups, expected one at most")
        return self


Column = Annotated[Annotated[str, Tag(TEXT)] | Annotated[FieldReader, Tag(MAPPING)], Discriminator(form)]


class FieldNames(Settings):
    """What the columns of the raw problems are called; "a.b" is field b within column a."""

    problem: Column = "problem"
    answer: Column = "answer"
    source_id: str | None = None
    """Column with the source's own id, which must be unique; the row number where there is none."""


class AnswerTypeByRow(Settings):
    """The answer type, by the value of a column."""

    field: str
    """Column; "a.b" is field b within column a."""
    values: dict[str, str] = {}
    """Value of the column -> answer type; without `other`, a value that is not named is an answer type itself."""
    other: str | None = None
    """Answer type of rows whose value is not named; may be auto."""


AnswerType = Annotated[Annotated[str, Tag(TEXT)] | Annotated[AnswerTypeByRow, Tag(MAPPING)], Discriminator(form)]

AUTO_ANSWER_TYPES = ("integer", "math")
"""The answer types that `answer_type: auto` gives."""

Shares = dict[Split, Share]


def _sum_to_one(shares: Shares, name: str) -> None:
    total = sum(shares.values())
    if abs(total - 1) > 1e-9:
        raise ValueError(f"{name} sum to {total:g}, expected 1")


class SourceSettings(Settings):
    """One of several sources of problems, and what its problems are for."""

    dataset: str | None = None
    """Catalog entry that loads a table."""
    file: str | None = None
    """JSONL, gzipped JSONL, Parquet or CSV: a path, a URL, or a pinned file on the hub (`core.hub`)."""
    reader: Literal["rows", "programs"] = "rows"
    """programs: `file` is a data set of programs with their tests, see `datasets.programs`."""
    options: dict[str, Any] = {}
    """Further arguments of the reader programs."""
    fields: FieldNames = Field(default_factory=FieldNames)
    answer_type: AnswerType = "auto"
    use: Annotated[Annotated[Split, Tag(TEXT)] | Annotated[Shares, Tag(MAPPING)], Discriminator(form)]
    """The split of all its problems, or the share of each split."""
    where: dict[str, str | int | float | bool | list[str | int | float | bool]] = {}
    """Column -> value, or values, that a row must have to be a problem."""
    keep: list[str] | None = None
    """Columns that are kept as metadata; null: all that `fields` does not name."""
    limit: Count | None = None
    """Most problems; which ones follows from their ids."""

    @model_validator(mode="after")
    def _agree(self) -> "SourceSettings":
        if (self.dataset is None) == (self.file is None):
            raise ValueError("expected one of dataset and file")
        if self.reader == "programs" and self.file is None:
            raise ValueError("reader is programs, expected file; a catalog entry has a reader of its own")
        if self.options and self.reader == "rows":
            raise ValueError("options stand beside reader rows, which has none")
        if isinstance(self.use, dict):
            _sum_to_one(self.use, "use: shares")
        return self

    @property
    def shares(self) -> Shares:
        """The share of each split."""
        return self.use if isinstance(self.use, dict) else {self.use: 1.0}


class ProblemSettings(Settings):
    """From raw rows to problems: of one source (`source`, with `shares`), or of several (`sources`)."""

    source: str | None = None
    """Name of the source, kept in every row."""
    fields: FieldNames = Field(default_factory=FieldNames)
    answer_type: AnswerType = "auto"
    """What the answers are, and so which of `verification.verifiers` compares them; auto: integer where the answer is
    one, else math."""
    shares: Shares = {}
    """Share of the problems in each split, summing to 1; a problem's split follows from its id alone."""
    sources: dict[str, SourceSettings] = {}
    """Name -> source. If there are any, the catalog's `raw_problems` and the parameters of the only source are not
    read. Of a problem that several have, the first keeps it."""
    split_salt: str = ""
    """Change it for another draw of the splits."""
    limit: Count | None = None
    """Most problems, for a first try: spread over the splits in proportion, which ones follows from their ids."""

    @model_validator(mode="before")
    @classmethod
    def _one_or_many(cls, given: Any) -> Any:
        """Leave out the only source where there are `sources`: an environment inherits it from conf/base."""
        if isinstance(given, Mapping) and given.get("sources"):
            return {name: given[name] for name in ("sources", "split_salt", "limit") if name in given}
        return given

    @model_validator(mode="after")
    def _complete(self) -> "ProblemSettings":
        if not self.sources:
            if self.source is None:
                raise ValueError("source is missing, expected the name of the source, or sources")
            _sum_to_one(self.shares, "shares")
        return self

    @property
    def splits(self) -> set[Split]:
        """The splits that problems can be in."""
        every = [source.shares for source in self.sources.values()] if self.sources else [self.shares]
        return {split for shares in every for split, share in shares.items() if share > 0}

    @property
    def answer_types(self) -> dict[str, str]:
        """Answer type -> the parameter that names it; auto is the types that it stands for."""
        where: dict[str, str | AnswerTypeByRow] = {"problems.answer_type": self.answer_type}
        if self.sources:
            where = {f"problems.sources.{name}.answer_type": it.answer_type for name, it in self.sources.items()}
        types: dict[str, str] = {}
        for parameter, given in where.items():
            named = (
                [given] if isinstance(given, str) else [*given.values.values(), *([given.other] if given.other else [])]
            )
            for name in named:
                types |= dict.fromkeys(AUTO_ANSWER_TYPES if name == "auto" else (name,), parameter)
        return types


class NgramSettings(Settings):
    """Overlap by runs of words."""

    n: Count = 13
    """Words a run, counted after normalisation: a number, a sign and a LaTeX command are words."""
    share: Annotated[float, Field(gt=0, le=1)] = 0.25
    """Least share of the evaluation problem's runs that the problem holds."""
    shortest: Count = 5
    """An evaluation problem of fewer than n words is found inside a problem if it has this many at least."""
    common: Count = 5
    """Runs in more evaluation problems than this are forms of words and do not count."""

    @model_validator(mode="after")
    def _shortest_fits(self) -> "NgramSettings":
        if self.shortest > self.n:
            raise ValueError(f"shortest is {self.shortest}, expected at most n, {self.n}")
        return self


class NearSettings(Settings):
    """Near-duplicates."""

    jaccard: Annotated[float, Field(gt=0, le=1)] = 0.4
    """Least Jaccard similarity of the two texts' shingles."""
    within: Annotated[float, Field(gt=0, le=1)] = 0.5
    """The same for two problems of the run: stricter, for a family of problems has one wording and often one answer."""
    shingle: Count = 3
    """Words a shingle."""
    permutations: Annotated[int, Field(ge=16)] = 128
    """Length of a MinHash: how pairs are proposed, not which are accepted."""


class DecontaminationSettings(Settings):
    """Which problems are rejected because they overlap evaluation sets, or one another."""

    ngram: NgramSettings | None = Field(default_factory=NgramSettings)
    """null: not looked for."""
    near: NearSettings | None = Field(default_factory=NearSettings)
    """null: not looked for."""
    renumbered: Literal["ignore", "report", "reject"] = "report"
    """Overlaps in wording whose numbers differ: another problem, unless told otherwise."""
    within: bool = True
    """Whether the problems are held against one another too, by all kinds but ngram: see `near.within`."""
