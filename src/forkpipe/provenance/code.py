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
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property, partial
from pathlib import Path
from typing import Any

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
    def imports(self) -> dict[str, tuple[str, str]]:
        """Local name -> (module, name in it or "") of the imports at the top level."""
        statements = [one for one in self.tree.body if isinstance(one, ast.Import | ast.ImportFrom)]
        return dict(binding for statement in statements for binding in self.bindings(statement))

    def bindings(self, statement: ast.Import | ast.ImportFrom) -> Iterator[tuple[str, tuple[str, str]]]:
        """Yield (local name, (module, name in it or "")) of an import statement."""
        if isinstance(statement, ast.Import):
            for alias in statement.names:
                yield alias.asname or alias.name.split(".")[0], (alias.name, "")
            return
        module = statement.module or ""
        if statement.level:
            package = self.name if self.path.name == "__init__.py" else self.name.rpartition(".")[0]
            base = package.split(".")[: len(package.split(".")) - statement.level + 1]
            module = ".".join([*base, *([module] if module else [])])
        for alias in statement.names:
            yield alias.asname or alias.name, (module, alias.name)

    @cached_property
    def whole(self) -> str:
        """Digest of the whole module."""
        return digest(ast.unparse(self.tree))


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
        values: list[str] = []
        while isinstance(function, partial):
            values += [repr(function.args), repr(sorted(function.keywords.items()))]
            function = function.func
        function = inspect.unwrap(function)
        # A function made by another one: the maker's code, and the values it has captured.
        values += [repr(cell.cell_contents) for cell in getattr(function, "__closure__", None) or ()]
        module = function.__module__
        found = self.reach((module, function.__qualname__.split(".")[0]))
        if self.module(module) is None:
            found[f"{module}:{function.__qualname__}"] = "not of this project"
        if values:
            found[f"{module}:{function.__qualname__}:captured"] = digest(*values)
        return found

    def implementation(self, made: Any) -> dict[str, str]:
        """Return the part of a class that parameters picked, or of its instance.

        Its own module, its declared `version`, and the instance's `identity` (what neither code nor parameters show);
        nothing that the module imports.
        """
        kind = made if isinstance(made, type) else type(made)
        module = self.module(kind.__module__)
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
            elif symbol[1] in module.imports:  # handed on from another module
                pending += self._target(*module.imports[symbol[1]], used=[])
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
        bound = dict(module.imports)
        for node in ast.walk(statement):
            if isinstance(node, ast.Import | ast.ImportFrom):
                bound |= dict(module.bindings(node))
        found: list[Symbol] = []
        for name, attributes in free_names(statement).items():
            if name in module.definitions:
                found.append((module.name, name))
            elif name in bound:
                # Of a module that is used by its attributes alone, these count; of one that is handed on, all.
                found += self._target(*bound[name], used=[] if None in attributes else sorted(map(str, attributes)))
        return found

    def _target(self, module: str, name: str, used: list[str]) -> list[Symbol]:
        """Return the symbols behind an imported name; of an imported module those of its names that are used."""
        if name:
            inner = f"{module}.{name}"
            source = self.module(module)
            defined = source is not None and (name in source.definitions or name in source.imports)
            if defined or self.module(inner) is None:
                return [(module, name)]
            module = inner
        source = self.module(module)
        if source is None:
            return []
        return [(module, one) for one in (used or source.definitions)]


def free_names(statement: ast.stmt) -> dict[str, set[str | None]]:
    """Return the names that a statement reads from its module, each with the attributes taken of it.

    Arguments and variables of functions are not of the module, whatever their names; None among the attributes means
    that the name is used as it is.
    """
    reader = _Names()
    reader.visit(statement)
    return reader.found


class _Names(ast.NodeVisitor):
    """Collects names that no enclosing function binds."""

    def __init__(self) -> None:
        self.found: dict[str, set[str | None]] = {}
        self._local: list[set[str]] = []

    def visit_Name(self, node: ast.Name) -> None:
        self._read(node.id, None)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        if isinstance(node.value, ast.Name):
            self._read(node.value.id, node.attr)
        else:
            self.visit(node.value)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self._function(node, node.body)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        self._function(node, node.body)

    def visit_Lambda(self, node: ast.Lambda) -> None:
        self._function(node, [node.body])

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda, body: list[Any]) -> None:
        # Decorators, defaults and annotations are read outside of the function.
        for outer in [*getattr(node, "decorator_list", []), node.args, getattr(node, "returns", None)]:
            if outer is not None:
                self.visit(outer)
        arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs, node.args.vararg, node.args.kwarg]
        self._local.append({one.arg for one in arguments if one is not None} | _bound_in(body))
        for inner in body:
            self.visit(inner)
        self._local.pop()

    def _read(self, name: str, attribute: str | None) -> None:
        if not any(name in local for local in self._local):
            self.found.setdefault(name, set()).add(attribute)


def _bound_in(body: list[Any]) -> set[str]:
    """Return the names that a function's body binds, but by imports: those are followed."""
    bound: set[str] = set()
    declared: set[str] = set()
    pending = list(body)
    while pending:
        node = pending.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            bound.add(node.name)
            continue  # what it binds within is its own
        if isinstance(node, ast.Global):
            declared |= set(node.names)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store | ast.Del):
            bound.add(node.id)
        if isinstance(node, ast.ExceptHandler) and node.name:
            bound.add(node.name)
        pending += ast.iter_child_nodes(node)
    return bound - declared


def _without_docstring(body: list[ast.stmt]) -> list[ast.stmt]:
    kept = [
        one
        for one in body
        if not (isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant) and isinstance(one.value.value, str))
    ]
    return kept or [ast.Pass()]


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
