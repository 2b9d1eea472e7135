"""The rows of the public tables: a type for each table, from which `core.schemas` makes the table's Arrow schema.

A column is required (never null) unless its type allows None. Such a column may be left out of a row that is saved; in
a row that is read it is there. To change a table, change its type and raise its version in `TABLES`; tests hold the
column names that users rely on. The tables stay in one file, as the reference of all columns.
"""

from typing import Literal, NotRequired, TypedDict

Split = Literal["train", "rl", "validation", "test"]
VerdictName = Literal["correct", "wrong", "unparsed", "timeout", "truncated", "failed"]
FinishReason = Literal["stop", "length", "error"]


class Row(TypedDict, total=False):
    """What every table has."""

    run_id: str  # the session that wrote the row; filled in when the table is saved


class ProblemRow(Row):
    """A problem."""

    problem_id: str
    problem: str
    answer: str
    answer_type: str
    source: str
    source_id: str
    split: Split
    metadata: str


class OverlapRow(Row):
    """A problem that overlaps an evaluation set, or another problem of the run."""

    problem_id: str
    set: str  # name of the evaluation set; problems: another of these problems
    kind: str  # exact, ngram, near, renumbered
    score: float  # 0 to 1, by kind
    other_id: str
    other_problem: str
    action: str  # rejected, kept


class TraceRow(Row):
    """An attempt at one request to a teacher."""

    request_id: str
    attempt: int
    trace_id: str
    problem_id: str
    teacher: str
    teacher_revision: str
    sample: int
    seed: int
    prompt: str
    prompt_hash: str
    sampling: str
    text: str
    reasoning: str
    tokens_in: int
    tokens_out: int
    finish_reason: FinishReason
    status: str  # done, failed
    error: str
    seconds: float


class GenerationReportRow(Row):
    """A teacher: what was asked of it, and what came of it."""

    teacher: str
    requests: int
    asked: int  # attempts of the run that wrote the row
    not_asked: int  # requests without an attempt: a limit was reached
    attempts: int  # of all runs; tokens, seconds and errors are theirs
    tokens_in: int
    tokens_out: int
    seconds: float
    failed: int
    truncated: int
    errors: str  # JSON: kind -> attempts that ended so
    correct: int
    kept: int  # traces in trace sets
    tokens_per_kept: NotRequired[float | None]  # tokens out
    price: NotRequired[float | None]  # null where the teacher has none
    price_per_kept: NotRequired[float | None]


class VerdictColumns(TypedDict):
    """What the verifier says of a response."""

    extracted: str
    extracted_from: str  # box, tag, hash, stated, whole, formula, fence; empty where nothing was found
    verdict: VerdictName
    rule: str
    verifier: str
    verifier_version: str
    detail: NotRequired[str | None]  # JSON, of verifiers that say more, for example about the tests of a program


class _TraceColumns(Row):
    trace_id: str


class VerdictRow(_TraceColumns, VerdictColumns):
    """The verdict on a trace."""


class StrategyRow(Row):
    """The strategy of a correct trace."""

    trace_id: str
    problem_id: str
    strategy: int  # index of the cluster within its problem, the largest first
    representative: bool
    distance: float  # to the representative of the cluster, 0 to 1
    distances: NotRequired[list[float] | None]  # to the representatives of clusters 0, 1, ..., where they are measured
    distances_to_earlier: NotRequired[list[float] | None]  # to the traces in the problem's rows before this one


class TraceInSet(TypedDict):
    """A trace of a trace set."""

    trace_id: str
    teacher: str
    text: str
    strategy: int
    tokens: int


class TraceSetRow(Row):
    """A problem with its traces."""

    problem_id: str
    problem: str
    answer: str
    source: str
    split: Split
    traces: list[TraceInSet]
    strategies: NotRequired[int | None]  # distinct ones among its traces


class RejectedRow(Row):
    """A problem or trace that a stage dropped."""

    stage: str
    id: str
    reason: str
    detail: str


class _SeedColumn(Row):
    training_seed: NotRequired[int | None]  # of the model; null in the tables of one training


class _MethodColumn(_SeedColumn):
    method: str


class StepColumns(TypedDict):
    """What a trainer logs of an optimiser step."""

    step: int
    loss: float
    learning_rate: float
    tokens: int
    seconds: float
    matching_seconds: NotRequired[float | None]
    trace_loss: NotRequired[float | None]
    tag_loss: NotRequired[float | None]
    eval_loss: NotRequired[float | None]  # of trace sets that are not trained on, with evaluation during training
    tag_purity: NotRequired[float | None]  # of the matching of those sets, by teacher
    tag_information_bits: NotRequired[float | None]
    reward: NotRequired[float | None]
    entropy: NotRequired[float | None]
    kl: NotRequired[float | None]
    tag_usage: NotRequired[list[float] | None]
    groups: NotRequired[int | None]  # of rollouts, one group a problem
    groups_skipped: NotRequired[int | None]  # those in which all rewards are equal
    rollouts: NotRequired[int | None]
    phase: NotRequired[str | None]  # of reinforcement learning, see parameters/policy.py
    anchor: NotRequired[float | None]  # nats a token: the term that keeps completions close to the reference
    peak_memory_gb: NotRequired[float | None]  # of the first process's GPU since the training began, in 10^9 bytes
    planned_memory_gb: NotRequired[float | None]  # what was counted for it before, see training/memory.py


class TrainingLogRow(_MethodColumn, StepColumns):
    """An optimiser step of a method."""


class MatchColumns(TypedDict):
    """A trace and the tag that it was matched to, at a step of training."""

    step: int
    visit: int  # how often the problem was seen before
    problem_id: str
    trace_id: str
    teacher: str
    tag: int
    cost: NotRequired[float | None]  # nats a token; null where the assignment needs no costs
    margin: NotRequired[float | None]  # nats a token, see core.matching.margins; null without another assignment
    margin_noise: NotRequired[float | None]  # nats a token: error of the margin by rounding, measured in the run


class MatchingRow(_MethodColumn, MatchColumns):
    """A trace and its tag, at a step of a method's training."""


class RewardColumns(TypedDict):
    """A rollout and its reward."""

    problem_id: str
    tag: int
    sample: int
    verdict: VerdictName
    tokens: int
    policy_version: int


class RewardRow(_MethodColumn, RewardColumns):
    """A rollout of a method and its reward."""


class SampleColumns(Row):
    """Which sample of a checkpoint a row is about."""

    method: str
    problem_id: str
    split: Split
    policy: str  # by_tag: every tag forced in turn; own: the model writes its tag; none: asked without a tag
    tag: int  # index from 0; -1 where the method has one plain tag, and where there is none
    tag_source: str  # forced, own, none
    sample: int  # index within (problem, policy, tag), or within (problem, policy) for own


class GenerationRow(SampleColumns):
    """A sample of a checkpoint."""

    seed: int
    text: str
    token_ids: list[int]
    tokens: int
    finish_reason: FinishReason
    checkpoint: str  # digest of the checkpoint's files


class _CountedSample(SampleColumns, _SeedColumn):
    tokens: int


class ScoreRow(_CountedSample, VerdictColumns):
    """The verdict on a sample."""


class MetricRow(Row):
    """A metric of a method on a split."""

    method: str
    split: Split
    protocol: str  # pass@1, cons@6, pass@6, ...
    policy: str  # best_tag, covering_tag, mixed, own, native, none
    k: int
    value: NotRequired[float | None]  # null where there is none, as the note says; never 0 for that reason
    low: NotRequired[float | None]
    high: NotRequired[float | None]
    n_problems: int
    n_samples: int
    seed: int
    training_seed: NotRequired[int | None]  # null in the row over all training seeds
    n_seeds: NotRequired[int | None]  # training seeds whose mean the value is
    seed_low: NotRequired[float | None]  # 95 % t interval over training seeds; null with one
    seed_high: NotRequired[float | None]
    note: NotRequired[str | None]  # what has to be said beside the value, for example that there were public tests only


class PairsWon(TypedDict):
    """With how many training seeds a method was above, below and equal to a baseline."""

    versus: str
    won: int
    lost: int
    tied: int


class ComparisonRow(Row):
    """A metric of a method on the test split, beside what the method has cost."""

    method: str
    protocol: str
    policy: str
    value: NotRequired[float | None]
    low: NotRequired[float | None]
    high: NotRequired[float | None]
    n_problems: int
    n_samples: int
    tokens_trained: int
    rollouts: int
    validation_rollouts: int
    seed: int
    note: NotRequired[str | None]
    n_seeds: NotRequired[int | None]
    seed_low: NotRequired[float | None]
    seed_high: NotRequired[float | None]
    pairs: NotRequired[list[PairsWon] | None]  # seed by seed; null with one seed


class BenchmarkProblemRow(ProblemRow):
    """A problem of a benchmark."""

    benchmark: str
    prompt: str  # the user's message
    subsets: list[str]  # column=value


class BenchmarkSampleColumns(Row):
    """Which sample of a subject a row is about: one may serve several policies."""

    subject: str  # the model that is measured
    benchmark: str
    problem_id: str
    asked: str  # forced: under a tag; own: the model picks it; none: under no tag
    tag: int  # index from 0 of the tag that was asked for; -1 without
    sample: int  # index within (subject, benchmark, problem, asked, tag)
    n_tags: int  # of the subject, 0 for a plain model


class BenchmarkGenerationRow(BenchmarkSampleColumns):
    """A sample of a subject."""

    request_id: str
    seed: int
    text: str
    reasoning: str
    token_ids: list[int]
    tokens: int
    finish_reason: FinishReason
    own_tag: NotRequired[int | None]  # the tag that the model picked
    checkpoint: str  # digest of the model


class _CountedBenchmarkSample(BenchmarkSampleColumns):
    tokens: int


class BenchmarkScoreRow(_CountedBenchmarkSample, VerdictColumns):
    """The verdict on a sample of a subject, and what it votes for."""

    vote: NotRequired[int | None]  # class of equal answers, within subject, benchmark and problem; null: it abstains
    vote_correct: NotRequired[bool | None]  # whether the answer of that class is correct


class BenchmarkMetricRow(Row):
    """A metric of a subject on a benchmark or a subset of it."""

    subject: str
    benchmark: str
    subset: str  # all, or column=value
    policy: str  # none, tag:1, own, router, spread
    protocol: str  # avg@66, pass@6, cons@6, cons@6x11
    k: int
    value: NotRequired[float | None]  # null where there is none, as the note says
    problems_low: NotRequired[float | None]  # 95 % interval over problems: had other problems of this kind been asked
    problems_high: NotRequired[float | None]
    samples_low: NotRequired[float | None]  # over samples: had these problems been asked again; null with one set
    samples_high: NotRequired[float | None]
    detectable: NotRequired[float | None]  # smallest difference on these problems that two such runs tell apart
    n_problems: int
    n_samples: int  # a problem
    tokens: float  # mean of a sample
    truncated: float  # share of the samples
    unscored: float  # share without an answer that could be read
    note: NotRequired[str | None]  # what has to be said beside the value, as in MetricRow


class BenchmarkDifferenceRow(Row):
    """A difference between two subjects, problem by problem."""

    a: str
    b: str
    benchmark: str
    subset: str
    policy_a: str
    policy_b: str
    protocol: str
    value: float  # mean of a - b
    low: float  # 95 % interval over problems
    high: float
    detectable: float
    n_problems: int


TABLES: dict[str, tuple[int, type]] = {
    "problems": (1, ProblemRow),
    "overlaps": (1, OverlapRow),
    "traces": (1, TraceRow),
    "generation_report": (1, GenerationReportRow),
    "verdicts": (3, VerdictRow),
    "strategies": (3, StrategyRow),
    "trace_sets": (2, TraceSetRow),
    "rejected": (1, RejectedRow),
    "training_log": (4, TrainingLogRow),
    "matching": (2, MatchingRow),
    "rewards": (2, RewardRow),
    "generations": (2, GenerationRow),
    "scores": (5, ScoreRow),
    "metrics": (3, MetricRow),
    "comparison": (3, ComparisonRow),
    "benchmark_problems": (1, BenchmarkProblemRow),
    "benchmark_generations": (1, BenchmarkGenerationRow),
    "benchmark_scores": (1, BenchmarkScoreRow),
    "benchmark_metrics": (1, BenchmarkMetricRow),
    "benchmark_differences": (1, BenchmarkDifferenceRow),
}
"""The version and the row type of every public table. `{method}.training_log` and its like are named by their last
word."""
