"""All parameters together, and what they must agree on."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import Field, ValidationError, create_model, model_validator

from forkpipe.core.errors import InputError
from forkpipe.parameters.base import Count, problem_of
from forkpipe.parameters.benchmarks import BenchmarksSettings
from forkpipe.parameters.comparison import Comparison, MethodName, Seed
from forkpipe.parameters.evaluation import EvaluationSettings
from forkpipe.parameters.methods import METHODS, POLICY, SUPERVISED
from forkpipe.parameters.parallel import ParallelSettings
from forkpipe.parameters.policy import PolicyMethod, RolloutSettings
from forkpipe.parameters.problems import DecontaminationSettings, ProblemSettings
from forkpipe.parameters.traces import GenerationSettings, StrategySettings, TraceSetSettings, VerificationSettings
from forkpipe.parameters.training import (
    ModelSettings,
    SupervisedMethod,
    SupervisedSettings,
    TagSettings,
    supervised_settings,
)

if TYPE_CHECKING:
    MethodSections = Comparison
else:
    MethodSections = create_model(
        "MethodSections",
        __base__=Comparison,
        **{name: (SupervisedMethod if name in SUPERVISED else PolicyMethod, ...) for name in METHODS},
    )


class Parameters(MethodSections):
    """All parameters: these, those of `Comparison`, and a section for each method by its name."""

    seed: Seed
    environment: str
    """Name of the Kedro environment of the run, for reports."""
    missing_methods: dict[MethodName, str] = {}
    """Methods that the report names as missing, each with the reason. A run in which a method fails fills it in."""
    cpu_threads: Count | None = None
    """Threads of torch on a CPU; null leaves the choice to torch. A small model is fastest with one."""
    inputs: dict[str, str] = {}
    """Paths that catalog entries may refer to, for `--params=inputs.problems=...`."""
    parallel: ParallelSettings = Field(default_factory=ParallelSettings)
    tags: TagSettings
    problems: ProblemSettings
    benchmarks: BenchmarksSettings = Field(default_factory=BenchmarksSettings)
    decontamination: DecontaminationSettings
    generation: GenerationSettings
    verification: VerificationSettings
    strategies: StrategySettings
    trace_sets: TraceSetSettings
    model: ModelSettings
    supervised: SupervisedSettings
    rollouts: RolloutSettings
    evaluation: EvaluationSettings

    @model_validator(mode="after")
    def _agree(self) -> "Parameters":
        if self.trace_sets.max_traces > self.tags.n:
            raise ValueError(
                f"tags.n is {self.tags.n} and trace_sets.max_traces {self.trace_sets.max_traces}: "
                "expected at least as many tags as traces a set"
            )
        if self.trace_sets.select != "teachers" and self.trace_sets.min_strategies > self.trace_sets.max_traces:
            raise ValueError(
                f"trace_sets.min_strategies is {self.trace_sets.min_strategies}, "
                f"expected at most trace_sets.max_traces, {self.trace_sets.max_traces}"
            )
        asked = self.generation.asked
        for name in self.trace_sets.teachers or ():
            if name not in asked:
                raise ValueError(
                    f"trace_sets.teachers names '{name}', expected teachers that are asked: {', '.join(asked)}"
                )
        if self.trace_sets.select == "teachers" and len(set(self.trace_sets.teachers or asked)) < 2:
            where = "trace_sets.teachers names" if self.trace_sets.teachers else "generation asks"
            raise ValueError(
                f"trace_sets.select is 'teachers' and {where} one teacher, which gives one trace a set: "
                "expected several teachers, or select 'divergent'"
            )
        if self.rollouts.group_size % self.tags.n:
            raise ValueError(
                f"rollouts.group_size is {self.rollouts.group_size}, expected a multiple of tags.n, {self.tags.n}"
            )
        known = self.verification.verifiers
        for answer_type, parameter in self.problems.answer_types.items():
            if answer_type not in known:
                raise ValueError(
                    f"{parameter} names '{answer_type}', and verification.verifiers has no '{answer_type}', "
                    f"expected one of the answer types it has: {', '.join(known)}"
                )
        for name in self.benchmarks.use:
            if (answer_type := self.benchmarks.known[name].answer_type) not in known:
                raise ValueError(
                    f"benchmarks.use names {name}, whose answers are of type '{answer_type}', and "
                    f"verification.verifiers has only: {', '.join(known)}"
                )
        for method in [method for method in self.trained if method in POLICY]:
            try:
                getattr(self, method).train.steps(self.rollouts)
            except ValueError as error:
                raise ValueError(f"{method}.train: {error}") from None
        return self


def check_parameters(raw: Mapping[str, Any]) -> Parameters:
    """Check all parameters; InputError with one line that names the first wrong one and what is expected."""
    try:
        parameters = Parameters.model_validate(raw)
    except ValidationError as error:
        raise InputError(_message(error)) from None
    for method in SUPERVISED:
        try:
            supervised_settings(parameters.supervised, getattr(parameters, method).train)
        except ValidationError as error:
            raise InputError(_message(error, f"{method}.train")) from None
    return parameters


def _message(error: ValidationError, where: str = "") -> str:
    named = where or error.errors()[0]["loc"]
    return f"{'parameter ' if named else 'parameters: '}{problem_of(error, where)}"
