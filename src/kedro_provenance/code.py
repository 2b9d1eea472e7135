"""Fingerprints of code: what a node's function reaches in the project's own packages.

A fingerprint goes by symbol (a function, a class, a constant), not by file: a change of a function that the node does
not reach is no change. Comments, formatting and docstrings do not count, since symbols are compared as unparsed syntax
trees. Imports are followed wherever they stand, also within functions. Packages of other people are not followed: their
versions are recorded with the run, but do not make anything stale.

Not seen: what is reached by name only (`getattr`, a class path in parameters). For implementations that parameters pick
there is `implementations`; for the rest a module can declare a version in its code.
"""

import ast
import hashlib
import importlib.util
import inspect
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from kedro_provenance.names import free_names

WHOLE = "*"
"""In place of a name: all of the module."""

Symbol = tuple[str, str]
"""(module, name at its top level); the name "" stands for the module's statements that define nothing."""


def digest(*parts: str) -> str:
    """Hash texts to 16 hex digits."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


class Module:
    """The symbols of one source file.

    Args:
        name: dotted name.
        path: the file.
    """

    def __init__(self, name: str, path: Path) -> None:
        self.name = name
        self.path = path

    @cached_property
    def tree(self) -> ast.Module:
        """The syntax tree, without docstrings."""
        tree = ast.parse(self.path.read_text(encoding="utf-8"), filename=str(self.path))
        for node in ast.walk(tree):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                node.body = _without_docstring(node.body)
        return tree

    @cached_property
    def definitions(self) -> dict[str, list[ast.stmt]]:
        """Statements by the name they define; under "" those that define none."""
        found: dict[str, list[ast.stmt]] = {}
        for statement in self.tree.body:
            if isinstance(statement, ast.Import | ast.ImportFrom) or _is_type_checking(statement):
                continue
            for name in _names_defined(statement) or [""]:
                found.setdefault(name, []).append(statement)
        return found

    @cached_property
    def imports(self) -> "Bindings":
        """The imports at the top level, also those within its `if` and `try`."""
        return self.bindings(one for one in _outside_functions(self.tree.body) if _is_import(one))

    def bindings(self, statements: Iterable[ast.stmt]) -> "Bindings":
        """Return what import statements bind."""
        found = Bindings()
        for statement in statements:
            if isinstance(statement, ast.Import):
                for alias in statement.names:
                    # `import a.b` binds a, by which all of a.b can be reached.
                    local, name = (alias.asname, "") if alias.asname else (alias.name.split(".")[0], WHOLE)
                    found.names.setdefault(local, []).append((alias.name, "" if "." not in alias.name else name))
            elif isinstance(statement, ast.ImportFrom):
                module = self._absolute(statement)
                for alias in statement.names:
                    if alias.name == "*":
                        found.stars.append(module)
                    else:
                        found.names.setdefault(alias.asname or alias.name, []).append((module, alias.name))
        return found

    def _absolute(self, statement: ast.ImportFrom) -> str:
        module = statement.module or ""
        if not statement.level:
            return module
        package = self.name if self.path.name == "__init__.py" else self.name.rpartition(".")[0]
        base = package.split(".")[: len(package.split(".")) - statement.level + 1]
        return ".".join([*base, *([module] if module else [])])

    @cached_property
    def whole(self) -> str:
        """Digest of the whole module."""
        return digest(ast.unparse(self.tree))


@dataclass(slots=True)
class Bindings:
    """What imports bind: local name -> (module, name in it, "" for the module), and modules imported by a star."""

    names: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    stars: list[str] = field(default_factory=list)


def _written(name: str) -> Module | None:
    """Return an imported module by its source file, None where it has none."""
    file = getattr(sys.modules.get(name), "__file__", None) or ""
    return Module(name, Path(file)) if file.endswith(".py") else None


class CodeIndex:
    """Fingerprints over the project's packages; reads every source file once.

    Args:
        packages: names of the packages whose code counts.
        exempt: modules whose code is declared not to affect results (registries of names, logging).
    """

    def __init__(self, packages: Iterable[str], exempt: Iterable[str] = ()) -> None:
        self._packages = tuple(packages)
        self._exempt = frozenset(exempt)
        self._modules: dict[str, Module | None] = {}

    def fingerprint(self, function: Callable[..., Any]) -> dict[str, str]:
        """Return "module:symbol" -> digest of all that a function reaches, itself included."""
        captured: list[Any] = []
        while isinstance(function, partial):
            captured += [*function.args, *sorted(function.keywords.items())]
            function = function.func
        function = inspect.unwrap(function)
        # A function made by another one: the maker's code, and the values it has captured.
        captured += [cell.cell_contents for cell in getattr(function, "__closure__", None) or ()]
        if not hasattr(function, "__qualname__"):  # an object that can be called
            captured += sorted(vars(function).items())
            function = type(function)
        module, name = function.__module__, function.__qualname__
        found: dict[str, str] = {}
        for symbol in self._places(function):
            found |= self.reach(symbol)
        if self.module(module) is None:
            found[f"{module}:{name}"] = "not of this project"
        if captured:
            found[f"{module}:{name}:captured"] = digest(*(self._described(value, found) for value in captured))
        return found

    def _places(self, function: Any) -> list[Symbol]:
        """Return the top-level symbols that hold a function; a lambda has no name to find it by, but a line."""
        name = function.__qualname__.split(".")[0]
        source = self.module(function.__module__)
        if name != "<lambda>" or source is None:
            return [(function.__module__, name)]
        line = function.__code__.co_firstlineno
        return [
            (function.__module__, defined)
            for defined, statements in source.definitions.items()
            if any(one.lineno <= line <= (one.end_lineno or one.lineno) for one in statements)
        ]

    def _described(self, value: Any, found: dict[str, str]) -> str:
        """Return a captured value as a text that is the same in every process; functions add what they reach."""
        if isinstance(value, tuple | list):
            return "[" + ", ".join(self._described(one, found) for one in value) + "]"
        if callable(value) and hasattr(value, "__qualname__"):
            found |= self.fingerprint(value)
            return f"{value.__module__}:{value.__qualname__}"
        return re.sub(r" at 0x[0-9a-fA-F]+", "", repr(value))

    def implementation(self, made: Any) -> dict[str, str]:
        """Return the part of a class that parameters picked, or of its instance.

        Its own module, in whatever package, its declared `version`, and the instance's `identity` (what neither code
        nor parameters show); nothing that the module imports.
        """
        kind = made if isinstance(made, type) else type(made)
        module = self.module(kind.__module__) or _written(kind.__module__)
        declared = [str(getattr(made, name, "")) for name in ("version", "identity")]
        identity = digest(module.whole if module else "", *declared)
        return {f"{kind.__module__}:{kind.__qualname__}{'' if made is kind else ':' + declared[1]}": identity}

    def reach(self, start: Symbol) -> dict[str, str]:
        """Return "module:symbol" -> digest of a symbol and of all it reaches."""
        found: dict[str, str] = {}
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
            pending.append((module.name, ""))
            statements = module.definitions.get(symbol[1], [])
            if statements:
                found[f"{module.name}:{symbol[1]}"] = digest(*map(ast.unparse, statements))
            pending += self._imported(symbol[1], module.imports, used=[])  # handed on from another module
            for statement in statements:
                pending += self._used(module, statement)
        return found

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

    def _used(self, module: Module, statement: ast.stmt) -> list[Symbol]:
        """Return the symbols that a statement uses: names of its module, imports at the top and within."""
        inner = (node for node in ast.walk(statement) if isinstance(node, ast.stmt) and _is_import(node))
        within = module.bindings(inner)
        found: list[Symbol] = []
        for name, attributes in free_names(statement).items():
            if name in module.definitions:
                found.append((module.name, name))
            # Of a module that is used by its attributes alone, these count; of one that is handed on, all.
            used = [] if None in attributes else sorted(map(str, attributes))
            for bindings in (module.imports, within):
                found += self._imported(name, bindings, used)
        return found

    def _imported(self, name: str, bindings: Bindings, used: list[str]) -> list[Symbol]:
        """Return the symbols behind a name that imports may bind."""
        found = [symbol for target in bindings.names.get(name, []) for symbol in self._target(*target, used=used)]
        for star in bindings.stars:
            source = self.module(star)
            if name and source is not None and (name in source.definitions or name in source.imports.names):
                found.append((star, name))
        return found

    def _target(self, module: str, name: str, used: list[str]) -> list[Symbol]:
        """Return the symbols behind an imported name; of an imported module those of its names that are used."""
        if name == WHOLE:
            used = []
        elif name:
            inner = f"{module}.{name}"
            source = self.module(module)
            defined = source is not None and (name in source.definitions or name in source.imports.names)
            if defined or self.module(inner) is None:
                return [(module, name)]
            module = inner
        source = self.module(module)
        if source is None:
            return []
        return [(module, one) for one in (used or [*source.definitions, *source.imports.names])]


def _without_docstring(body: list[ast.stmt]) -> list[ast.stmt]:
    kept = [
        one
        for one in body
        if not (isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant) and isinstance(one.value.value, str))
    ]
    return kept or [ast.Pass()]


def _is_import(node: ast.AST) -> bool:
    return isinstance(node, ast.Import | ast.ImportFrom)


def _outside_functions(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield statements, also those within `if`, `try`, `with` and `for`, but not those of functions and classes."""
    for statement in body:
        if _is_type_checking(statement):
            continue
        yield statement
        if not isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            for inner in ast.iter_child_nodes(statement):
                if isinstance(inner, ast.stmt):
                    yield from _outside_functions([inner])
                elif isinstance(inner, ast.ExceptHandler):
                    yield from _outside_functions(inner.body)


def _is_type_checking(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.If) and ast.unparse(statement.test).endswith("TYPE_CHECKING")


def _names_defined(statement: ast.stmt) -> list[str]:
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [statement.name]
    if isinstance(statement, ast.Assign | ast.AnnAssign | ast.AugAssign):
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        return [node.id for target in targets for node in ast.walk(target) if isinstance(node, ast.Name)]
    if isinstance(statement, ast.If | ast.Try | ast.With | ast.For):
        inner = [one for one in ast.walk(statement) if isinstance(one, ast.stmt) and one is not statement]
        return [name for one in inner for name in _names_defined(one)]
    return []
