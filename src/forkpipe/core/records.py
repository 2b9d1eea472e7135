"""The records that flow through the pipelines, one type a concept.

Tables between nodes hold the same fields as rows (see `schemas`); functions that work on one item take and
return these records. `json` marks fields that hold JSON text.
"""

import json
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from typing import Any, Literal

from forkpipe.core.ids import content_hash, derived_seed

Split = Literal["train", "rl", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "rl", "validation", "test")

VerdictName = Literal["correct", "wrong", "unparsed", "timeout", "truncated", "failed"]
VERDICTS: tuple[VerdictName, ...] = ("correct", "wrong", "unparsed", "timeout", "truncated", "failed")

FinishReason = Literal["stop", "length", "error"]

Assignment = Literal["optimal", "random", "fixed", "single"]
"""How traces get their tags: by least cost (SSFT), by a random injection, by a mode known beforehand (mode
conditioning), or all the one plain tag (SFT-mixed)."""


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
            metadata=json.dumps(metadata or {}, sort_keys=True, ensure_ascii=False, default=str),
        )

    @classmethod
    def from_row(cls, row: dict[str, Any]) -> "Problem":
        """Make a problem from a row of the `problems` table."""
        return cls(**{key: value for key, value in row.items() if key != "run_id"})


@dataclass(frozen=True, slots=True)
class Sampling:
    """How a completion is drawn. `max_tokens` counts new tokens.

    `max_tokens` changes where a text is cut, not what is written up to there, so it is no part of a request's id:
    raising it asks again only for what was cut.
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


@lru_cache(maxsize=64)  # all rows of a teacher hold the same
def _as_json(sampling: Sampling) -> str:
    return json.dumps(asdict(sampling), sort_keys=True)


@dataclass(frozen=True, slots=True)
class Request:
    """One sample asked of one engine: the unit of generation, retry and resume.

    `prefix_ids` are token ids put behind the prompt (a forced forking tag); `own_tag` asks for the first new token to
    be one of the checkpoint's forking tags. Engines that cannot do either refuse such requests.
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
            problem_id: id of the problem.
            problem: text of the problem, for engines that solve it rather than continue the prompt.
            asked_of: name of the teacher, or digest of the checkpoint.
            revision: version of what is asked.
            prompt: the rendered prompt.
            sample: index of the sample, from 0.
            sampling: how to draw.
            prefix_ids: token ids forced behind the prompt.
            own_tag: whether the model writes its own forking tag first.
        """
        request_id = content_hash(
            "request", problem_id, asked_of, revision, sample, prompt, sampling.identity(), list(prefix_ids), own_tag
        )
        return cls(
            request_id, problem_id, problem, prompt, sample, derived_seed(request_id), sampling, prefix_ids, own_tag
        )


@dataclass(frozen=True, slots=True)
class Completion:
    """What an engine returned for a request; `error` is set when `finish_reason` is "error".

    `tag` is the index (from 0) of the forking tag under which the text stands, None where there is none. `end_id` is
    the token that ended the text, which `token_ids` does not hold; None where it was cut, or the engine gives no ids.
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
    """What the verifier says of one response; the six names are never folded into one another.

    correct, wrong: an answer was found and compared. unparsed: none was found. truncated: the response was cut by the
    token limit, whatever it holds. timeout: the comparison did not end in time. failed: there is no response.
    """

    verdict: VerdictName
    extracted: str = ""
    rule: str = ""
    """Which rule decided, e.g. "number", "math-verify", "identical", "units+decimal"."""
    extracted_from: str = ""
    """Where the answer was found: box, tag, hash (`#### 42`), stated, whole, fence; empty where none was."""
    detail: str = field(default="", repr=False)
    """JSON text of what more there is to say, of a program's tests for example."""


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
    """A problem with up to M correct traces, each by another strategy: the unit of SSFT.

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
    def from_row(cls, row: dict[str, Any]) -> "TraceSet":
        """Make a trace set from a row of the `trace_sets` table."""
        traces = tuple(SetTrace(**trace) for trace in row["traces"])
        return cls(row["problem_id"], row["problem"], row["answer"], row["source"], row["split"], traces)
