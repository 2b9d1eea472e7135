"""What a run compares. These parameters decide which nodes the pipelines have."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, ValidationError, field_validator

from forkpipe.core.errors import InputError
from forkpipe.parameters.base import Settings, problem_of
from forkpipe.parameters.benchmarks import BenchmarksSettings
from forkpipe.parameters.methods import BASE, METHODS, with_parents
from forkpipe.parameters.training import SCRATCH, ModelSettings

if TYPE_CHECKING:
    MethodName = str
else:
    MethodName = Literal[*METHODS]

Seed = Annotated[int, Field(ge=0)]

SEED_MARK = "-seed"
"""Stands between a method and the seed that it is trained with, where that is another than the run's."""


def of_seed(name: str, seed: int | None) -> str:
    """Return the name of a node or dataset in the training with this seed; None, the run's own seed, adds nothing.

    >>> of_seed("ssft.train", 1)
    'ssft-seed1.train'
    """
    first, dot, rest = name.partition(".")
    return name if seed is None else f"{first}{SEED_MARK}{seed}{dot}{rest}"


def without_seed(name: str) -> tuple[str, int | None]:
    """Return a name as it is without a seed, and the seed; the inverse of `of_seed`.

    >>> without_seed("ssft-seed1.train")
    ('ssft.train', 1)
    """
    first, dot, rest = name.partition(".")
    method, mark, seed = first.rpartition(SEED_MARK)
    return (f"{method}{dot}{rest}", int(seed)) if mark and seed.isdigit() else (name, None)


class Comparison(Settings):
    """The methods that are compared, and the seeds with which each is trained and evaluated."""

    methods: Annotated[list[MethodName], Field(min_length=1)] = [*METHODS]
    """In any order. Their parents are trained too, and evaluated only if they are named. The base model is always
    evaluated."""
    seed: Seed = 0
    """Of problems, teachers and trace sets, which all trainings share, and of trainings where `seeds` is not given."""
    seeds: Annotated[list[Seed], Field(min_length=1)] | None = None
    """Of trainings and evaluations: every method is trained and evaluated once with each; null for `seed` alone."""
    model: ModelSettings = Field(default_factory=ModelSettings)
    benchmarks: BenchmarksSettings = Field(default_factory=BenchmarksSettings)

    @field_validator("methods")
    @classmethod
    def _in_order(cls, methods: list[str]) -> list[str]:
        return [method for method in METHODS if method in methods]

    @field_validator("seeds")
    @classmethod
    def _each_once(cls, seeds: list[int] | None) -> list[int] | None:
        if seeds is not None and len(set(seeds)) < len(seeds):
            raise ValueError("expected each seed once")
        return seeds

    @property
    def replicates(self) -> list[int | None]:
        """The seeds of trainings, in the order given; None for `seed` itself.

        What is made with `seed` has no seed in its name, so another seed beside it renames nothing.
        """
        return [None if seed == self.seed else seed for seed in ([self.seed] if self.seeds is None else self.seeds)]

    @property
    def shares_base(self) -> bool:
        """Whether all seeds start from one base model: a pretrained one. From scratch each has weights of its own."""
        return self.model.source != SCRATCH

    @property
    def measured(self) -> list[str]:
        """What is compared and measured on benchmarks too (`benchmarks.measure.methods`), with the first seed."""
        return [name for name in self.benchmarks.measure.methods if name in (BASE, *self.methods)]

    def first_checkpoint(self, method: str) -> str:
        """Return the dataset that holds the checkpoint of a method, or the base model, of the first seed."""
        first = None if method == BASE and self.shares_base else self.replicates[0]
        return "base_model" if method == BASE and first is None else of_seed(f"{method}.checkpoint", first)

    @property
    def trained(self) -> list[str]:
        """The methods that are trained: those that are compared, and their parents."""
        return with_parents(self.methods)


def comparison_of(raw: Mapping[str, Any]) -> Comparison:
    """Return what the parameters choose to compare; InputError in one line if that part of them is wrong."""
    try:
        return Comparison.model_validate({name: raw[name] for name in Comparison.model_fields if name in raw})
    except ValidationError as error:
        raise InputError(f"parameter {problem_of(error)}") from None
