"""The records that functions take and return: problems, requests, completions, verdicts, trace sets.

Tables hold the same fields as rows, see `core.rows`.
"""

import json
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from typing import Any, Literal, cast

from forkpipe.core.ids import content_hash, derived_seed
from forkpipe.core.json_values import json_value
from forkpipe.core.rows import FinishReason, ProblemRow, Split, TraceSetRow, VerdictName

SPLITS: tuple[Split, ...] = ("train", "rl", "validation", "test")

VERDICTS: tuple[VerdictName, ...] = ("correct", "wrong", "unparsed", "timeout", "truncated", "failed")

Assignment = Literal["optimal", "random", "fixed", "single"]
"""How traces get their tags: by least cost (SSFT), by a random injection, by a mode that is known beforehand (mode
conditioning), or all the same plain tag (SFT-mixed)."""

Gaps = Literal["even", "doubling"]
"""How the visits at which a problem is matched lie apart, see `core.matching.is_due`."""
Baseline = Literal["mean", "leave_one_out"]
"""What is subtracted from a reward: the mean of its group, or the mean of the others in the group."""


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem with its gold answer.

    >>> Problem.create("3 ^ 5 mod 17", "5", answer_type="integer", source="demo", source_id="0").split
    'train'
    """

    problem_id: str
    problem: str
    answer: str
    answer_type: str
    source: str
    source_id: str
    split: Split
    metadata: str
    """JSON text: every field of the source that has no column of its own."""

    @classmethod
    def create(
        cls,
        problem: str,
        answer: str,
        *,
        answer_type: str,
        source: str,
        source_id: str,
        split: Split = "train",
        metadata: dict[str, Any] | None = None,
    ) -> "Problem":
        """Make a problem whose id is the hash of its text and answer."""
        return cls(
            problem_id=content_hash("problem", problem, answer),
            problem=problem,
            answer=answer,
            answer_type=answer_type,
            source=source,
            source_id=source_id,
            split=split,
            metadata=json.dumps(json_value(metadata or {}), sort_keys=True, ensure_ascii=False),
        )

    @classmethod
    def from_row(cls, row: ProblemRow) -> "Problem":
        """Make a problem from a row of the `problems` table."""
        fields: dict[str, Any] = {key: value for key, value in row.items() if key != "run_id"}
        return cls(**fields)

    def to_row(self) -> ProblemRow:
        """Return the problem as a row of the `problems` table."""
        return cast(ProblemRow, asdict(self))


@dataclass(frozen=True, slots=True)
class Sampling:
    """How a completion is drawn. `max_tokens` counts new tokens.

    `max_tokens` changes where a text is cut, not what is written up to there. So it is not part of a request's id, and
    raising it asks again only for the texts that were cut.
    """

    temperature: float = 1.0
    top_p: float = 1.0
    max_tokens: int = 1024

    def identity(self) -> dict[str, float]:
        """Return the settings that change the text."""
        return {"temperature": self.temperature, "top_p": self.top_p}

    def to_json(self) -> str:
        """Return all settings as JSON text."""
        return _as_json(self)


@lru_cache(maxsize=64)  # all rows of a teacher have the same sampling
def _as_json(sampling: Sampling) -> str:
    return json.dumps(asdict(sampling), sort_keys=True)


@dataclass(frozen=True, slots=True)
class Request:
    """A request for one sample from one engine.

    `prefix_ids` are token ids appended to the prompt (a forced forking tag). With `own_tag` the first new token must be
    one of the checkpoint's forking tags. An engine that cannot do either refuses the request.
    """

    request_id: str
    problem_id: str
    problem: str
    prompt: str
    sample: int
    seed: int
    sampling: Sampling
    prefix_ids: tuple[int, ...] = ()
    own_tag: bool = False

    @classmethod
    def create(
        cls,
        *,
        problem_id: str,
        problem: str,
        asked_of: str,
        revision: str,
        prompt: str,
        sample: int,
        sampling: Sampling,
        prefix_ids: tuple[int, ...] = (),
        own_tag: bool = False,
    ) -> "Request":
        """Make a request whose id covers everything that changes the text, and whose seed follows from its id.

        Args:
            problem: text of the problem, for engines that solve it rather than continue the prompt.
            asked_of: name of the teacher, or digest of the checkpoint.
            revision: version of the teacher or of the kind of request.
            sample: index of the sample, from 0.
        """
        request_id = content_hash(
            "request", problem_id, asked_of, revision, sample, prompt, sampling.identity(), list(prefix_ids), own_tag
        )
        return cls(
            request_id, problem_id, problem, prompt, sample, derived_seed(request_id), sampling, prefix_ids, own_tag
        )


REFUSED = "refused"
"""The kind of an error with which an engine refuses a request for its content or its length: it would do so again."""


@dataclass(frozen=True, slots=True)
class Completion:
    """What an engine returned for a request; `error` is set when `finish_reason` is "error".

    An error is its kind, a colon and a message; "refused: ..." says that asking again cannot help.
    `tag` is the index (from 0) of the forking tag that the text follows, or None. `end_id` is the token that ended the
    text and is not in `token_ids`; it is None if the text was cut, or if the engine gives no token ids.
    """

    request_id: str
    text: str = ""
    reasoning: str = ""
    token_ids: tuple[int, ...] = ()
    tag: int | None = None
    tokens_in: int = 0
    tokens_out: int = 0
    finish_reason: FinishReason = "stop"
    error: str = ""
    seconds: float = 0.0
    end_id: int | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """The verifier's verdict on one response.

    correct, wrong: an answer was found and compared. unparsed: no answer was found. truncated: the token limit cut the
    response, whatever it holds. timeout: the comparison took too long. failed: there is no response.
    """

    verdict: VerdictName
    extracted: str = ""
    rule: str = ""
    """Which rule decided, e.g. "number", "math-verify", "identical", "units+decimal"."""
    extracted_from: str = ""
    """Where the answer was found: box, tag, hash (`#### 42`), stated, whole, formula, fence; empty if there is none."""
    detail: str = field(default="", repr=False)
    """JSON text with more about the verdict, for example about the tests of a program."""


@dataclass(frozen=True, slots=True)
class SetTrace:
    """One trace within a trace set."""

    trace_id: str
    teacher: str
    text: str
    strategy: int
    tokens: int


@dataclass(frozen=True, slots=True)
class TraceSet:
    """A problem with up to M correct traces, each with a different strategy; SSFT trains on these.

    >>> TraceSet("p", "3 ^ 5 mod 17", "5", "demo", "train", (SetTrace("t", "peasant", "...", 0, 3),)).traces[0].teacher
    'peasant'
    """

    problem_id: str
    problem: str
    answer: str
    source: str
    split: Split
    traces: tuple[SetTrace, ...] = field(default=())

    @classmethod
    def from_row(cls, row: TraceSetRow) -> "TraceSet":
        """Make a trace set from a row of the `trace_sets` table."""
        traces = tuple(SetTrace(**trace) for trace in row["traces"])
        return cls(row["problem_id"], row["problem"], row["answer"], row["source"], row["split"], traces)
