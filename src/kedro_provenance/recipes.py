"""Today's recipes of Kedro nodes: their code and parameters; the scheduler adds their inputs."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from kedro.pipeline.node import Node

from kedro_provenance.code import CodeIndex
from kedro_provenance.records import Recipe
from kedro_provenance.source import digest

ATTRIBUTE = "__provenance_implementations__"


@dataclass(frozen=True, slots=True)
class Declared:
    """What a project declares about its recipes.

    packages: packages whose code counts. exempt_modules: modules in them whose code does not count.
    ignored_parameters: patterns of dotted parameter names that affect no result, such as worker counts and log levels;
    a pattern "node:pattern" holds for that node alone, and of several that match a name the last decides: one that
    begins with "!" makes the parameter count after all. versions_of: packages whose versions are recorded.
    refers_to: what an input names outside the project, such as the commit of a repository or the folder of a model;
    it is called with the node's name, the input's name and its dataset, or value if it is a parameter.
    """

    packages: tuple[str, ...]
    exempt_modules: tuple[str, ...] = ()
    ignored_parameters: tuple[str, ...] = ()
    versions_of: tuple[str, ...] = ("kedro",)
    refers_to: Callable[[str, str, Any], Mapping[str, Any]] | None = None


def implementations(choose: Callable[[Mapping[str, Any]], Iterable[Any]]) -> Callable[[Any], Any]:
    """Declare on a node's function which implementations its parameters choose, see `CodeIndex.implementation`.

    Args:
        choose: maps parameters by name ("params:verification") to classes, or instances that are cheap to make.
    """

    def declare(function: Any) -> Any:
        setattr(function, ATTRIBUTE, choose)
        return function

    return declare


class Recipes:
    """Recipes without inputs, each computed once.

    Args:
        kept: file in which is kept what fingerprints need to know of the code; None keeps nothing.
    """

    def __init__(self, catalog: Any, declared: Declared, kept: Path | None = None) -> None:
        self._catalog = catalog
        self._declared = declared
        self._code = CodeIndex(declared.packages, declared.exempt_modules, kept)
        self._computed: dict[str, Recipe] = {}

    def save(self) -> None:
        """Keep what was read of the code."""
        self._code.save()

    def of(self, node: Node) -> Recipe:
        """Return a copy of a node's recipe without inputs, to which the caller adds them."""
        if node.name not in self._computed:
            self._computed[node.name] = self._compute(node)
        recipe = self._computed[node.name]
        return Recipe(recipe.code, recipe.parameters, {})

    def _compute(self, node: Node) -> Recipe:
        values = {name: self._catalog.load(name) for name in node.inputs if is_parameter(name)}
        code = self._code.fingerprint(node.func)
        # Which input is which argument, and which output takes which result.
        code["wiring"] = digest(json.dumps([node._inputs, node._outputs], sort_keys=True))
        choose = getattr(node.func, ATTRIBUTE, None)
        for chosen in choose(values) if choose else ():
            code |= self._code.implementation(chosen)
        flat: dict[str, Any] = {}
        for name, value in values.items():
            flat |= dict(flatten(value, name.removeprefix("params:")))
        return Recipe(code, self.counted(node, flat), {})

    def refers_to(self, node: Node, name: str) -> dict[str, Any]:
        """Return what an input of a node names outside the project, see `Declared`."""
        if self._declared.refers_to is None:
            return {}
        value = self._catalog.load(name) if is_parameter(name) else self._catalog[name]
        return dict(self._declared.refers_to(node.name, name, value))

    def counted(self, node: Node, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Return the parameters of a node without those that are declared to be ignored."""
        return {name: value for name, value in parameters.items() if not self._is_ignored(node, name)}

    def _is_ignored(self, node: Node, name: str) -> bool:
        ignored = False
        for pattern in self._declared.ignored_parameters:
            plain = pattern.removeprefix("!")
            if fnmatchcase(name, plain) or fnmatchcase(f"{node.name}:{name}", plain):
                ignored = plain == pattern
        return ignored


def is_parameter(name: str) -> bool:
    """Whether a dataset is a parameter."""
    return name.startswith("params:") or name == "parameters"


def flatten(value: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Yield (dotted name, value) of the leaves of nested parameters; models give their fields as JSON would."""
    if hasattr(value, "model_dump"):
        value = value.model_dump(mode="json")
    if isinstance(value, Mapping):  # an empty mapping yields nothing
        for key, inner in value.items():
            yield from flatten(inner, f"{name}.{key}")
    else:
        yield name, json.loads(json.dumps(value, default=repr))
