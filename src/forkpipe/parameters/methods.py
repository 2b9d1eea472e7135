"""The methods that are compared, one entry each: a method's name is also its section of the parameters."""

import tomllib
from collections.abc import Collection
from dataclasses import dataclass

from forkpipe.core.data_files import data_text
from forkpipe.core.records import Assignment


@dataclass(frozen=True, slots=True)
class Method:
    """A row of the comparison: one way to train a model, or the model that training starts from.

    A method has an `assignment`, if it is trained on trace sets from the base model, or a `parent`, if it is trained
    by reinforcement from the checkpoint of another method. The base model (`BASE`) has neither.
    """

    name: str
    caption: str
    """What it does, for readers of the report."""
    colour: str
    """Its colour in every figure, as "#rrggbb"."""
    assignment: Assignment | None = None
    """How traces get their tags (`core.matching`)."""
    parent: str | None = None
    versus: tuple[str, ...] = ()
    """Methods of the same stage with which the report compares it, problem by problem."""


BASE = "base"
"""The model that training starts from: every comparison has a row of it. It is asked without any tag."""

COMPARED = {
    name: Method(name, **{**entry, "versus": tuple(entry.get("versus", ()))})
    for name, entry in tomllib.loads(data_text(__file__, "methods.toml")).items()
}
"""By name, in the order in which they are reported."""

METHODS = {name: method for name, method in COMPARED.items() if name != BASE}
"""What trains a model. The parameter `methods` chooses among them."""

SUPERVISED: dict[str, Assignment] = {name: method.assignment for name, method in METHODS.items() if method.assignment}
"""Trained on trace sets; they differ in how traces get their tags."""

MATCHED = tuple(name for name, assignment in SUPERVISED.items() if assignment in ("random", "optimal"))
"""Methods whose matching changes in training."""

POLICY = {name: method.parent for name, method in METHODS.items() if method.parent}
"""Trained by reinforcement, each from the checkpoint of its parent, in the phases that its parameters list."""


def lineage(method: str) -> list[str]:
    """Return the method and those it was trained from, itself last.

    >>> lineage("gfpo")
    ['ssft', 'gfpo']
    """
    return [*(lineage(POLICY[method]) if method in POLICY else ()), method]


def with_parents(methods: Collection[str]) -> list[str]:
    """Return the methods that have to be trained for these: they and their parents, in the order of `METHODS`.

    >>> with_parents(["gfpo"])
    ['ssft', 'gfpo']
    """
    needed = {stage for method in methods for stage in lineage(method)}
    return [method for method in METHODS if method in needed]


TAGGED = tuple(name for name in METHODS if SUPERVISED[lineage(name)[0]] != "single")
"""Methods with N forking tags; the others have one plain tag."""
