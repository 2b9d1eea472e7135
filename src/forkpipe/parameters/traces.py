"""Parameters of traces: teachers, verification, strategies, trace sets."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from forkpipe.core.ids import content_hash
from forkpipe.core.prompts import PLACEHOLDER
from forkpipe.core.records import Sampling
from forkpipe.core.rows import Split
from forkpipe.parameters.base import AsksEngine, Count, Settings, Share, Template


class CheckpointSampling(Settings):
    """How completions of a checkpoint are drawn."""

    temperature: Annotated[float, Field(ge=0)] = 1.0
    """0 is greedy."""
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    max_tokens: Count | Literal["auto"] = 1024
    """New tokens at most; more is cut and counts as truncated. auto: what the model's positions leave after the longest
    prompt, at most 32,768 as in the paper."""

    def record(self) -> Sampling:
        """Return the record that requests carry; ValueError as long as `max_tokens` is auto (`fitted` replaces it)."""
        if self.max_tokens == "auto":
            raise ValueError("max_tokens is 'auto', expected a number of tokens: see models.new_tokens.fitted")
        return Sampling(self.temperature, self.top_p, self.max_tokens)


class SamplingSettings(CheckpointSampling):
    """How completions are drawn."""

    max_tokens: Count = 1024
    """New tokens at most; more is cut and counts as truncated."""


Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class PriceSettings(Settings):
    """Price of a million tokens, in any currency that is the same for all teachers."""

    input: Amount = 0.0
    output: Amount


class NamedEngine(AsksEngine):
    """An engine by name, with its options."""

    engine: str
    """A registered name, or "package.module:Class" for one's own."""
    options: dict[str, Any] = {}
    """Arguments of the engine's class."""
    revision: str = ""
    """Version of the model or program that the engine asks; part of every request's id."""


class TeacherSettings(NamedEngine):
    """A teacher: an engine with its options, and what is asked of it."""

    prompt: Template = PLACEHOLDER
    samples: Count = 1
    """Samples a problem; an engine that holds fewer gives what it has."""
    sampling: SamplingSettings = Field(default_factory=SamplingSettings)
    strategy: str | None = None
    """The strategy this teacher is known to use: for reports on agreement, never for clustering."""
    price: PriceSettings | None = None
    """For progress, reports and `limits.price`; null: not known."""


class LimitSettings(Settings):
    """What one run may spend on traces; null: any amount. A run that is stopped goes on when it is started again."""

    tokens: Count | None = None
    """Tokens in and out, of all teachers together."""
    price: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """In the currency of the teachers' prices, which all must have."""
    minutes: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """Since the first teacher was asked."""
    partial: bool = False
    """Whether a run that has reached a limit goes on with the traces there are; else it ends there."""


class EarlyStopSettings(Settings):
    """When a run is stopped because something must be wrong with a teacher: its server, prompt or template."""

    first: Count = 100
    """Answers of a teacher that are looked at, once in a run."""
    max_failed: Share = 0.5
    """Share of them that may fail; requests that were answered before count as answered."""
    max_truncated: Share = 0.8
    """Share of those that did not fail that the token limit may cut."""
    max_unparsed: Share = 0.5
    """Share of those that ended by themselves in which verification may find no answer."""


class TargetSettings(Settings):
    """When a problem has enough traces; then it is asked no more, see `generation.planner`."""

    correct: Count
    """Correct traces, equal texts counted once."""
    distinct: Count = 1
    """Strategies among them, as `strategies` clusters them."""
    give_up: Share = 0.01
    """A problem is given up when its chance to reach the target with the samples that are left is below this."""

    @model_validator(mode="after")
    def _traces_for_strategies(self) -> "TargetSettings":
        if self.distinct > self.correct:
            raise ValueError(f"distinct is {self.distinct}, expected at most correct, {self.correct}")
        return self


class GenerationSettings(Settings):
    """Which problems are asked of which teachers."""

    splits: Annotated[list[Split], Field(min_length=1)] = ["train"]
    teachers: dict[str, TeacherSettings] = Field(min_length=1)
    use: Annotated[list[str], Field(min_length=1)] | None = None
    """Names of the teachers that are asked, null for all: an environment cannot take away those of `conf/base`."""
    target: TargetSettings | None = None
    """What every problem shall have: samples are asked for in rounds, where they are likeliest to supply what is
    lacking, up to `samples` of each teacher. null: `samples` of each teacher for every problem."""
    limits: LimitSettings = Field(default_factory=LimitSettings)
    early_stop: EarlyStopSettings | None = Field(default_factory=EarlyStopSettings)
    """null: never."""

    @model_validator(mode="after")
    def _known(self) -> "GenerationSettings":
        for name in self.use or ():
            if name not in self.teachers:
                raise ValueError(f"use names '{name}', expected one of: {', '.join(self.teachers)}")
        most = sum(teacher.samples for teacher in self.asked.values())
        if self.target is not None and self.target.correct > most:
            raise ValueError(
                f"target.correct is {self.target.correct} and the teachers have {most} samples a problem, expected as "
                "many (generation.teachers.*.samples)"
            )
        without = [name for name, teacher in self.asked.items() if teacher.price is None]
        if self.limits.price is not None and without:
            raise ValueError(f"limits.price is set and teacher {without[0]} has no price, expected one for each")
        return self

    @property
    def asked(self) -> dict[str, TeacherSettings]:
        """The teachers that are asked, by name."""
        return {name: self.teachers[name] for name in self.use or self.teachers}


class AskedModelSettings(NamedEngine):
    """A language model that is asked about answers or traces."""

    sampling: SamplingSettings = Field(default_factory=lambda: SamplingSettings(temperature=0.0, max_tokens=1024))
    cache: str | None = None
    """File (JSONL) of the answers, so that nothing is asked twice; null keeps none."""


class JudgeSettings(AskedModelSettings):
    """A language model that is asked where the rules say wrong, or find nothing to compare in an answer."""

    sampling: SamplingSettings = Field(default_factory=lambda: SamplingSettings(temperature=0.0, max_tokens=512))
    in_rewards: bool = False
    """Whether rewards are judged too: a policy learns to please its judge."""


class VerificationSettings(Settings):
    """How responses are compared with gold answers."""

    verifiers: dict[str, str] = {
        "integer": "math",
        "math": "math",
        "text": "exact",
        "choice": "choice",
        "number": "number",
        "code": "code",
    }
    """Verifier by answer type: a registered name, or "package.module:Class". A new answer type is a new entry.
    `reasoning_gym: reasoning_gym` needs the extra reasoning-gym."""
    options: dict[str, dict[str, Any]] = {}
    """Arguments by verifier."""
    max_unscored: Share = 0.5
    """A run stops when more than this share of its verdicts is unparsed, timeout or failed: something is broken."""
    judge: JudgeSettings | None = None
    """null: none."""

    @property
    def decides(self) -> str:
        """A hash of what verdicts depend on: a changed tolerance repeats no training that is under way."""
        return content_hash(self.model_copy(update={"max_unscored": 0.5}).model_dump())

    @model_validator(mode="after")
    def _options_of_known(self) -> "VerificationSettings":
        for name in self.options:
            if name not in self.verifiers.values():
                raise ValueError(
                    f"options names '{name}', expected one of: {', '.join(sorted(set(self.verifiers.values())))}"
                )
        return self


class StrategyJudgeSettings(AskedModelSettings):
    """A language model that decides pairs of traces near the threshold; for curation, never a reward."""

    margin: Share = 0.1
    """Largest distance from the threshold at which a pair is put before the judge."""


class StrategySettings(Settings):
    """How correct traces are clustered by how they solve the problem."""

    clusterer: str = "steps"
    """A registered name, or "package.module:Class"."""
    options: dict[str, Any] = {}
    """Arguments of the clusterer's class."""
    summaries: AskedModelSettings | None = None
    """A model that names the steps of every trace; null: rules describe them."""
    judge: StrategyJudgeSettings | None = None
    """null: none."""


class TraceSetSettings(Settings):
    """Which traces make a set."""

    max_traces: Count = 4
    """M, the most traces a set."""
    select: Literal["teachers", "divergent", "drawn", "random", "longest"] = "teachers"
    """Which M. teachers: one correct trace of each teacher, as in the paper, those that differ most where there are
    more teachers or traces (`generation.one_a_teacher`). By strategy: divergent, the most divergent representatives, or
    drawn, representatives drawn by the seed. Baselines that look at neither: random, any correct traces drawn by the
    seed, or longest."""
    near_identical: Annotated[float, Field(gt=0, le=1)] | None = 0.6
    """For teachers: a trace is passed over if it and a chosen one have this share of their runs of three words in
    common (Jaccard similarity); null: none is."""
    min_strategies: Count = 2
    """Not for teachers: problems with fewer distinct strategies give no set."""
    teachers: Annotated[list[str], Field(min_length=1)] | None = None
    """Teachers whose traces may be in sets; null: all. The traces of the others are verified and clustered too."""
    max_tokens: Count | None = None
    """Longer traces are dropped; null: none is. Counted with the student's tokenizer, in words for `scratch`, without
    prompt, tag and end token."""
    min_tokens: Count | None = None
    """Shorter traces are dropped; null: none is. Counted as for `max_tokens`."""
    near_duplicates: Annotated[float, Field(gt=0, le=1)] | None = None
    """For every selection, before it: of traces of one problem, by any teachers, that have this share of their runs of
    three words in common, the first drawn stays; null: all do."""

    @model_validator(mode="after")
    def _lengths_agree(self) -> "TraceSetSettings":
        if self.min_tokens and self.max_tokens and self.min_tokens > self.max_tokens:
            raise ValueError(f"min_tokens is {self.min_tokens}, expected at most max_tokens, {self.max_tokens}")
        return self

    @model_validator(mode="after")
    def _room_for_two(self) -> "TraceSetSettings":
        if self.select == "teachers" and self.max_traces < 2:
            raise ValueError(f"max_traces is {self.max_traces} and select 'teachers', expected at least 2 traces")
        return self
