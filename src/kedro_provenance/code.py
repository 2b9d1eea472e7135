"""Fingerprints of code: what a node's function reaches in the project's own packages.

A fingerprint counts symbols (functions, classes, constants), not files: changing a function that the node does not
reach changes nothing. Comments, formatting and docstrings do not count, because symbols are compared as unparsed syntax
trees. Imports are followed wherever they stand, also within functions, and so are strings "module:name". A file beside
a module whose name the code gives, such as a template, counts too. Packages of other people are not followed: their
versions are recorded with each run, but an upgrade makes nothing stale.

Not seen: what is reached by other names (`getattr`, a class path in parameters). For implementations that parameters
choose there is `recipes.implementations`; for the rest, a module can declare a version in its code.
"""

import importlib.util
import inspect
import re
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

from kedro_provenance.facts import Facts, KeptFacts, Statement
from kedro_provenance.source import WHOLE, Bindings, Module, digest, imported_module

Symbol = tuple[str, str]
"""(module, name at its top level); the name "" stands for the module's statements that define nothing."""


class CodeIndex:
    """Fingerprints of functions of the project's packages; reads every source file once.

    Args:
        exempt: modules whose code is declared not to affect results (registries of names, logging).
        kept: file in which facts of source files are kept, see `facts`; None keeps none.
    """

    def __init__(self, packages: Iterable[str], exempt: Iterable[str] = (), kept: Path | None = None) -> None:
        self._packages = tuple(packages)
        self._exempt = frozenset(exempt)
        self._modules: dict[str, Module | None] = {}
        self._kept = KeptFacts(kept)
        self._facts: dict[str, Facts] = {}

    def save(self) -> None:
        """Keep the facts of files that were parsed."""
        self._kept.save()

    def facts(self, module: Module) -> Facts:
        """Return what a module defines and imports."""
        if module.name not in self._facts:
            self._facts[module.name] = self._kept.of(module)
        return self._facts[module.name]

    def fingerprint(self, function: Callable[..., Any]) -> dict[str, str]:
        """Return "module:symbol" -> digest of all that a function reaches, itself included."""
        captured: list[Any] = []
        while isinstance(function, partial):
            captured += [*function.args, *sorted(function.keywords.items())]
            function = function.func
        function = inspect.unwrap(function)
        # A function that another one returned: the code of that one, and the values it captured.
        captured += [cell.cell_contents for cell in getattr(function, "__closure__", None) or ()]
        if not hasattr(function, "__qualname__"):  # an object that can be called
            captured += sorted(vars(function).items())
            function = type(function)
        module, name = function.__module__, function.__qualname__
        code: dict[str, str] = {}
        for symbol in self._places(function):
            code |= self.reach(symbol)
        if self.module(module) is None:
            code[f"{module}:{name}"] = "not of this project"
        if captured:
            code[f"{module}:{name}:captured"] = digest(*(self._described(value, code) for value in captured))
        return code

    def _places(self, function: Any) -> list[Symbol]:
        """Return the top-level symbols that hold a function; a lambda has no name to find it by, but a line."""
        name = function.__qualname__.split(".")[0]
        source = self.module(function.__module__)
        if name != "<lambda>" or source is None:
            return [(function.__module__, name)]
        line = function.__code__.co_firstlineno
        return [
            (function.__module__, defined)
            for defined, (_, statements) in self.facts(source).definitions.items()
            if any(statement.first <= line <= statement.last for statement in statements)
        ]

    def _described(self, value: Any, code: dict[str, str]) -> str:
        """Return a captured value as a text that is the same in every process; functions add what they reach."""
        if isinstance(value, tuple | list):
            return "[" + ", ".join(self._described(item, code) for item in value) + "]"
        if callable(value) and hasattr(value, "__qualname__"):
            code |= self.fingerprint(value)
            return f"{value.__module__}:{value.__qualname__}"
        return re.sub(r" at 0x[0-9a-fA-F]+", "", repr(value))

    def implementation(self, chosen: Any) -> dict[str, str]:
        """Return the entry of a class that parameters choose, or of its instance.

        It covers the class's own module, in whatever package, its declared `version`, and the instance's `identity`
        (what neither code nor parameters show), but nothing that the module imports.
        """
        kind = chosen if isinstance(chosen, type) else type(chosen)
        module = self.module(kind.__module__) or imported_module(kind.__module__)
        declared = [str(getattr(chosen, name, "")) for name in ("version", "identity")]
        identity = digest(self.facts(module).whole if module else "", *declared)
        return {f"{kind.__module__}:{kind.__qualname__}{'' if chosen is kind else ':' + declared[1]}": identity}

    def reach(self, start: Symbol) -> dict[str, str]:
        """Return "module:symbol" -> digest of a symbol and of all it reaches."""
        code: dict[str, str] = {}
        seen: set[Symbol] = set()
        pending = [start]
        while pending:
            symbol = pending.pop()
            if symbol in seen:
                continue
            seen.add(symbol)
            module = self.module(symbol[0])
            if module is None or symbol[0] in self._exempt:
                continue
            facts = self.facts(module)
            pending.append((module.name, ""))
            of_symbol, statements = facts.definitions.get(symbol[1], ("", []))
            if statements:
                code[f"{module.name}:{symbol[1]}"] = of_symbol
            pending += self._imported(symbol[1], facts.imports, used=[])  # a name imported here for other modules
            for statement in statements:
                code |= module.files(statement.files)
                pending += self._used(module, facts, statement)
        return code

    def module(self, name: str) -> Module | None:
        """Return a module of the project, None for any other."""
        if name not in self._modules:
            self._modules[name] = self._find(name)
        return self._modules[name]

    def _find(self, name: str) -> Module | None:
        if name.split(".")[0] not in self._packages:
            return None
        try:
            spec = importlib.util.find_spec(name)
        except (ImportError, ValueError):
            return None
        if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
            return None
        return Module(name, Path(spec.origin))

    def _used(self, module: Module, facts: Facts, statement: Statement) -> list[Symbol]:
        """Return the symbols that a statement uses: names of its module, imports at the top and within."""
        symbols: list[Symbol] = []
        for name, attributes in statement.names.items():
            if name in facts.definitions:
                symbols.append((module.name, name))
            # Of a module of which only attributes are used, these count; of a module used as a value, all of it.
            used = [] if None in attributes else sorted(map(str, attributes))
            for bindings in (facts.imports, statement.within):
                symbols += self._imported(name, bindings, used)
        return symbols + statement.paths

    def _imported(self, name: str, bindings: Bindings, used: list[str]) -> list[Symbol]:
        """Return the symbols that a name stands for where an import binds it."""
        symbols = [symbol for target in bindings.names.get(name, []) for symbol in self._target(*target, used=used)]
        for star in bindings.stars:
            source = self.module(star)
            if name and source is not None and self._defines(source, name):
                symbols.append((star, name))
        return symbols

    def _target(self, module: str, name: str, used: list[str]) -> list[Symbol]:
        """Return the symbols that an imported name stands for; of an imported module the names that are used."""
        if name == WHOLE:
            used = []
        elif name:
            inner = f"{module}.{name}"
            source = self.module(module)
            defined = source is not None and self._defines(source, name)
            if defined or self.module(inner) is None:
                return [(module, name)]
            module = inner
        source = self.module(module)
        if source is None:
            return []
        facts = self.facts(source)
        return [(module, used_name) for used_name in (used or [*facts.definitions, *facts.imports.names])]

    def _defines(self, module: Module, name: str) -> bool:
        facts = self.facts(module)
        return name in facts.definitions or name in facts.imports.names
