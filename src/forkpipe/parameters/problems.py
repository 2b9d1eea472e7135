"""Parameters of the problems."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from forkpipe.core.records import Split
from forkpipe.parameters.base import Count, Settings, Share


class FieldNames(Settings):
    """What the columns of the raw problems are called."""

    problem: str = "problem"
    answer: str = "answer"
    source_id: str | None = None
    """Column with the source's own id, which must be unique; the row number where there is none."""


AnswerType = Literal["integer", "math", "text", "choice", "number", "reasoning_gym", "code"]
"""What an answer is, and so which verifier compares it."""


class ProblemSettings(Settings):
    """From raw rows to problems."""

    source: str
    """Name of the source, kept in every row."""
    fields: FieldNames = FieldNames()
    answer_type: Literal["auto"] | AnswerType = "auto"
    """auto: integer where the answer is one, else math."""
    shares: dict[Split, Share]
    """Share of the problems in each split, summing to 1; a problem's split follows from its id alone."""
    split_salt: str = ""
    """Change it for another draw of the splits."""

    @model_validator(mode="after")
    def _shares_sum_to_one(self) -> "ProblemSettings":
        total = sum(self.shares.values())
        if abs(total - 1) > 1e-9:
            raise ValueError(f"shares sum to {total:g}, expected 1")
        return self


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

    ngram: NgramSettings | None = NgramSettings()
    """null: not looked for."""
    near: NearSettings | None = NearSettings()
    """null: not looked for."""
    renumbered: Literal["ignore", "report", "reject"] = "report"
    """Overlaps in wording whose numbers differ: another problem, unless told otherwise."""
    within: bool = True
    """Whether the problems are held against one another too, by all kinds but ngram: see `near.within`."""
