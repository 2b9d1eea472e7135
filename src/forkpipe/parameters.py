"""Every parameter of the project: its name, type, range and meaning.

`Parameters` is the whole of `conf/*/parameters*.yml`. It is checked when a run starts, before any node: unknown names
are refused, also those of `kedro run --params`, and what two parameters must agree on is checked here. Nodes take the
models below as type hints, so Kedro hands them checked objects.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from forkpipe.core.errors import InputError
from forkpipe.core.prompts import PLACEHOLDER
from forkpipe.core.records import Sampling, Split
from forkpipe.methods import SUPERVISED

Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]


def _holds_problem(template: str) -> str:
    if PLACEHOLDER not in template:
        raise ValueError(f"expected a text that holds {PLACEHOLDER}")
    return template


Template = Annotated[str, AfterValidator(_holds_problem)]


class Settings(BaseModel):
    """A group of parameters: unknown names are refused, values cannot be changed."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class TagSettings(Settings):
    """The forking tags of every tagged method."""

    style: Literal["special", "text"] = "special"
    """special: one added token a tag; text: the paper's, existing tokens."""
    n: Annotated[int, Field(ge=2)] = 6
    """N, the number of tags."""


class FieldNames(Settings):
    """What the columns of the raw problems are called."""

    problem: str = "problem"
    answer: str = "answer"
    source_id: str | None = None
    """Column with the source's own id, which must be unique; the row number where there is none."""


AnswerType = Literal["integer", "math", "text", "choice", "number", "reasoning_gym"]
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


class SamplingSettings(Settings):
    """How completions are drawn."""

    temperature: Annotated[float, Field(ge=0)] = 1.0
    """0 is greedy."""
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    max_tokens: Count = 1024
    """New tokens at most; more is cut and counts as truncated."""

    def record(self) -> Sampling:
        """Return the record that requests carry."""
        return Sampling(self.temperature, self.top_p, self.max_tokens)


class TeacherSettings(Settings):
    """A teacher: an engine with its options, and what is asked of it."""

    engine: str
    """A registered name, or "package.module:Class" for one's own."""
    options: dict[str, Any] = {}
    """Arguments of the engine's class."""
    revision: str = ""
    """Version of the model or program behind the engine; part of every request's id."""
    prompt: Template = PLACEHOLDER
    samples: Count = 1
    """Samples a problem; an engine that holds fewer gives what it has."""
    sampling: SamplingSettings = SamplingSettings()
    strategy: str | None = None
    """The strategy this teacher is known to use: for reports on agreement, never for clustering."""


class GenerationSettings(Settings):
    """Which problems are asked of which teachers."""

    splits: Annotated[list[Split], Field(min_length=1)] = ["train"]
    teachers: dict[str, TeacherSettings] = Field(min_length=1)
    use: Annotated[list[str], Field(min_length=1)] | None = None
    """Names of the teachers that are asked, null for all: an environment cannot take away those of `conf/base`."""

    @model_validator(mode="after")
    def _known(self) -> "GenerationSettings":
        for name in self.use or ():
            if name not in self.teachers:
                raise ValueError(f"use names '{name}', expected one of: {', '.join(self.teachers)}")
        return self

    @property
    def asked(self) -> dict[str, TeacherSettings]:
        """The teachers that are asked, by name."""
        return {name: self.teachers[name] for name in self.use or self.teachers}


class JudgeSettings(Settings):
    """A language model that is asked where the rules say wrong, or find nothing to compare in an answer."""

    engine: str
    """A registered name, or "package.module:Class"."""
    options: dict[str, Any] = {}
    """Arguments of the engine's class."""
    revision: str = ""
    """Version of the model behind the engine; part of every request's id."""
    sampling: SamplingSettings = SamplingSettings(temperature=0.0, max_tokens=512)
    in_rewards: bool = False
    """Whether rewards are judged too: a policy learns to please its judge."""


class VerificationSettings(Settings):
    """How responses are compared with gold answers."""

    verifiers: dict[AnswerType, str] = {
        "integer": "math",
        "math": "math",
        "text": "exact",
        "choice": "choice",
        "number": "number",
    }
    """Verifier by answer type: a registered name, or "package.module:Class". `reasoning_gym: reasoning_gym` needs the
    extra reasoning-gym."""
    options: dict[str, dict[str, Any]] = {}
    """Arguments by verifier."""
    max_unscored: Share = 0.5
    """A run stops when more than this share of its verdicts is unparsed, timeout or failed: something is broken."""
    judge: JudgeSettings | None = None
    """null: none."""

    @model_validator(mode="after")
    def _options_of_known(self) -> "VerificationSettings":
        for name in self.options:
            if name not in self.verifiers.values():
                raise ValueError(
                    f"options names '{name}', expected one of: {', '.join(sorted(set(self.verifiers.values())))}"
                )
        return self


class StrategySettings(Settings):
    """How correct traces are clustered by how they solve the problem."""

    clusterer: str = "steps"
    """A registered name, or "package.module:Class"."""
    options: dict[str, Any] = {}
    """Arguments of the clusterer's class."""


class TraceSetSettings(Settings):
    """Which traces make a set."""

    max_traces: Count = 4
    """M, the most traces a set."""
    min_strategies: Count = 2
    """Problems with fewer distinct strategies give no set."""


class Architecture(Settings):
    """Size of a model from scratch; the names are those of transformers' LlamaConfig."""

    hidden_size: Count = 64
    num_hidden_layers: Count = 3
    num_attention_heads: Count = 4
    num_key_value_heads: Count = 4
    intermediate_size: Count = 168
    max_position_embeddings: Count = 64
    """The longest sequence, prompt and tag included."""


class ModelSettings(Settings):
    """The model that is trained."""

    source: str = "scratch"
    """scratch: a small Llama with a vocabulary of words; otherwise a checkpoint folder or hub name."""
    revision: str = "main"
    """Revision on the hub."""
    architecture: Architecture = Architecture()
    """For scratch."""
    prompt: Template = PLACEHOLDER
    """What the student is asked, before its chat template."""


class LoraSettings(Settings):
    """Low-rank adapters in place of full training; merged into the checkpoint at the end."""

    rank: Count = 16
    alpha: Count = 32
    dropout: Share = 0.0
    target_modules: str | list[str] = "all-linear"
    """Names of layers as peft takes them."""


class SupervisedSettings(Settings):
    """Training of the supervised methods: the same but for how traces get their tags (`methods.SUPERVISED`)."""

    problems_per_step: Count = 16
    """Problems a forward and backward pass; an optimiser step takes this many times `gradient_accumulation`."""
    gradient_accumulation: Count = 1
    max_steps: Count = 800
    learning_rate: Annotated[float, Field(gt=0)] = 1e-5
    warmup_steps: Annotated[int, Field(ge=0)] = 0
    scheduler: Literal["cosine", "linear", "constant_with_warmup"] = "cosine"
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    max_grad_norm: Annotated[float, Field(gt=0)] = 1.0
    tag_weight: Annotated[float, Field(ge=0)] = 0.1
    """Weight of the loss on the tag itself."""
    prefix_length: Count | Literal["auto"] | None = "auto"
    """L, trace tokens in the matching cost; auto: until a problem's traces have diverged; null for the whole trace."""
    auto_divergence: Count = 8
    """For auto: the tokens by which every two traces of a problem must differ (`core.prefixes`)."""
    auto_cap: Count = 1000
    """For auto: the longest L."""
    rematch_every: Count = 1
    """A problem is matched again at every k-th visit; in between its last matching is kept."""
    matching_tokens: Count = 65536
    """Tokens a forward pass when costs are computed: bounds memory, changes no result."""
    logit_chunk: Count = 4096
    """Positions whose logits exist at once; larger batches are cut (`training.scoring`)."""
    bf16: bool = False
    gradient_checkpointing: bool = False
    """Compute activations again in the backward pass: less memory, about a third more time."""
    group_by_length: bool = False
    """Put problems of like length into a batch: less padding where lengths differ much."""
    lora: LoraSettings | None = None
    """Train low-rank adapters in place of the whole model."""
    max_length: Count = 32768
    """Longer sequences are refused before training starts."""
    save_every: Count | None = 100
    """Steps between the trainer's own checkpoints, from which a killed training goes on; null for none."""
    evaluate_every: Count | None = None
    """Steps between evaluations on the trace sets of split validation (see generation.splits); null for none."""
    report_to: list[Literal["tensorboard", "mlflow", "wandb"]] = []
    """Loggers of transformers; each needs its package."""

    @model_validator(mode="after")
    def _warmup_ends(self) -> "SupervisedSettings":
        if self.warmup_steps >= self.max_steps:
            raise ValueError(f"warmup_steps is {self.warmup_steps}, expected fewer than max_steps, {self.max_steps}")
        return self


class GRPOSettings(Settings):
    """GRPO of the plain model by TRL's trainer."""

    learning_rate: Annotated[float, Field(gt=0)] = 1e-6
    beta: Annotated[float, Field(ge=0)] = 0.0
    """Weight of the KL to the reference."""
    epsilon: Annotated[float, Field(gt=0)] = 0.2
    """Clipping range."""
    loss_type: Literal["grpo", "dapo", "dr_grpo"] = "grpo"
    max_grad_norm: Annotated[float, Field(gt=0)] = 1.0


class GFPOSettings(Settings):
    """GFPO of the tagged model."""

    scope: Literal["head", "router"] = "head"
    """What is trained; in both scopes no completion changes. head: the tags' rows of the output matrix; router: a
    low-rank adapter that picks the tag, beside the model that completes."""
    router: LoraSettings = LoraSettings()
    """For router."""
    objective: Literal["exact", "sampled"] = "exact"
    """exact: the expectation over all tags; sampled: tags drawn from the policy, as in the paper."""
    baseline: Literal["mean", "leave_one_out"] = "mean"
    """For sampled: what a reward is compared with, the mean of its group or of the group's others."""
    scale_by_std: bool = False
    """For sampled: divide advantages by the group's standard deviation, as GRPO does."""
    learning_rate: Annotated[float, Field(gt=0)] = 1e-2
    max_grad_norm: Annotated[float, Field(gt=0)] = 1.0
    kl_weight: Annotated[float, Field(ge=0)] = 0.0
    """Weight of the KL to the policy before training."""
    entropy_weight: Annotated[float, Field(ge=0)] = 0.0
    save_every: Count = 20
    """Steps between the trainer's own checkpoints, from which a killed training goes on."""


class RolloutSettings(Settings):
    """What GRPO and GFPO have in common: the budget."""

    steps: Count = 60
    problems_per_step: Count = 32
    group_size: Annotated[int, Field(ge=2)] = 6
    """Rollouts a problem and step; GFPO draws one under each tag, so it must be a multiple of tags.n."""
    sampling: SamplingSettings = SamplingSettings()
    batch_rows: Count = 192
    """Sequences generated at a time."""

    @property
    def total(self) -> int:
        """Rollouts of the whole training."""
        return self.steps * self.problems_per_step * self.group_size


class EvaluationSettings(Settings):
    """How checkpoints are sampled and scored."""

    samples_per_tag: Count = 4
    """Samples of a problem under each tag; a method with one plain tag draws N times as many."""
    sampling: SamplingSettings = SamplingSettings(temperature=0.7, top_p=0.95)
    pass_at: Annotated[list[Count], Field(min_length=1)] = [1, 2, 4, 6, 8, 12]
    """The k of the pass@k curve."""
    bootstrap: Annotated[int, Field(ge=100)] = 2000
    """Resamples over problems behind every interval."""
    batch_rows: Count = 512
    """Sequences generated at a time."""


class SupervisedMethod(Settings):
    """One supervised method: whatever of `supervised` it has differently."""

    train: dict[str, Any] = {}


class GRPOMethod(Settings):
    """The grpo method."""

    train: GRPOSettings


class GFPOMethod(Settings):
    """The gfpo method."""

    train: GFPOSettings


def supervised_settings(common: SupervisedSettings, own: Mapping[str, Any]) -> SupervisedSettings:
    """Return the settings of one supervised method: the common ones with its own put over them."""
    return SupervisedSettings.model_validate({**common.model_dump(), **own})


class Parameters(Settings):
    """All parameters."""

    seed: Annotated[int, Field(ge=0)]
    environment: str
    """Name of the Kedro environment of the run, for reports."""
    cpu_threads: Count | None = None
    """Threads of torch on a CPU; null leaves the choice to torch. A small model is fastest with one."""
    inputs: dict[str, str] = {}
    """Paths that catalog entries may refer to, for `--params=inputs.problems=...`."""
    tags: TagSettings
    problems: ProblemSettings
    decontamination: DecontaminationSettings
    generation: GenerationSettings
    verification: VerificationSettings
    strategies: StrategySettings
    trace_sets: TraceSetSettings
    model: ModelSettings
    supervised: SupervisedSettings
    sft: SupervisedMethod
    ssft_random: SupervisedMethod
    ssft_fixed: SupervisedMethod
    ssft: SupervisedMethod
    rollouts: RolloutSettings
    grpo: GRPOMethod
    gfpo: GFPOMethod
    evaluation: EvaluationSettings

    @model_validator(mode="after")
    def _agree(self) -> "Parameters":
        if self.trace_sets.max_traces > self.tags.n:
            raise ValueError(
                f"tags.n is {self.tags.n} and trace_sets.max_traces {self.trace_sets.max_traces}: "
                "expected at least as many tags as traces a set"
            )
        if self.trace_sets.min_strategies > self.trace_sets.max_traces:
            raise ValueError(
                f"trace_sets.min_strategies is {self.trace_sets.min_strategies}, "
                f"expected at most trace_sets.max_traces, {self.trace_sets.max_traces}"
            )
        if self.rollouts.group_size % self.tags.n:
            raise ValueError(
                f"rollouts.group_size is {self.rollouts.group_size}, expected a multiple of tags.n, {self.tags.n}"
            )
        return self


def check_parameters(raw: Mapping[str, Any]) -> Parameters:
    """Check all parameters; InputError with one line that names the first wrong one and what is expected."""
    try:
        parameters = Parameters.model_validate(raw)
    except ValidationError as error:
        raise InputError(_one_line(error)) from None
    for method in SUPERVISED:
        try:
            supervised_settings(parameters.supervised, getattr(parameters, method).train)
        except ValidationError as error:
            raise InputError(_one_line(error, f"{method}.train")) from None
    return parameters


def _one_line(error: ValidationError, where: str = "") -> str:
    first = error.errors()[0]
    name = ".".join([where] * bool(where) + [str(part) for part in first["loc"]])
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    if first["type"] == "extra_forbidden":
        return f"parameter {name} does not exist{more}"
    if first["type"] == "missing":
        return f"parameter {name} is missing{more}"
    message = first["msg"].removeprefix("Value error, ")
    if not name:
        return f"parameters: {message}{more}"
    return f"parameter {name} is {first['input']!r}: {message[0].lower() + message[1:]}{more}"
