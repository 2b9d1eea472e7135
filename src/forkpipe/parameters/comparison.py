"""What a run compares. These parameters decide which nodes the pipelines have."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, ValidationError, field_validator

from forkpipe.core.errors import InputError
from forkpipe.parameters.base import Settings, problem_of
from forkpipe.parameters.methods import BASE, METHODS, with_parents

if TYPE_CHECKING:
    MethodName = str
else:
    MethodName = Literal[*METHODS]


class Comparison(Settings):
    """The methods that are compared."""

    methods: Annotated[list[MethodName], Field(min_length=1)] = [*METHODS]
    """In any order. Their parents are trained too, and evaluated only if they are named. The base model is always
    evaluated."""
    measured: list[str] = []
    """Those of them that are measured on benchmarks (`benchmarks.measure.methods`)."""

    @field_validator("methods")
    @classmethod
    def _in_order(cls, methods: list[str]) -> list[str]:
        return [method for method in METHODS if method in methods]

    @property
    def trained(self) -> list[str]:
        """The methods that are trained: those that are compared, and their parents."""
        return with_parents(self.methods)


def comparison_of(raw: Mapping[str, Any]) -> Comparison:
    """Return what the parameters choose to compare; InputError in one line if that part of them is wrong."""
    try:
        comparison = Comparison.model_validate({"methods": raw["methods"]} if "methods" in raw else {})
    except ValidationError as error:
        raise InputError(f"parameter {problem_of(error)}") from None
    measure = (raw.get("benchmarks") or {}).get("measure") or {}
    measured = [name for name in measure.get("methods") or () if name in (BASE, *comparison.methods)]
    return comparison.model_copy(update={"measured": measured})
