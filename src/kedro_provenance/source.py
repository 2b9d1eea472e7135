"""Source files as symbols: what a module defines and imports, read from its syntax tree without importing it."""

import ast
import hashlib
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

WHOLE = "*"
"""In place of a name: all of the module."""
FILE_NAME = re.compile(r"[\w-]+\.\w+")
PATH = re.compile(r"(\w+(?:\.\w+)*):(\w+)")
"""A string "module:name", by which code reaches a symbol that it imports later."""


def digest(*parts: str) -> str:
    """Hash texts to 16 hex digits."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


@dataclass(slots=True)
class Bindings:
    """What imports bind: local name -> (module, name in it, "" for the module), and modules imported by a star."""

    names: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    stars: list[str] = field(default_factory=list)


class Module:
    """The symbols of one source file."""

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
        """Top-level statements by the name they define; under "" those that define none."""
        statements: dict[str, list[ast.stmt]] = {}
        for statement in self.tree.body:
            if isinstance(statement, ast.Import | ast.ImportFrom) or _is_type_checking(statement):
                continue
            for name in _names_defined(statement) or [""]:
                statements.setdefault(name, []).append(statement)
        return statements

    @cached_property
    def imports(self) -> Bindings:
        """The imports at the top level, also those within its `if` and `try`."""
        return self.bindings(statement for statement in _outside_functions(self.tree.body) if is_import(statement))

    def bindings(self, statements: Iterable[ast.stmt]) -> Bindings:
        """Return what import statements bind."""
        bound = Bindings()
        for statement in statements:
            if isinstance(statement, ast.Import):
                for alias in statement.names:
                    # `import a.b` binds a, by which all of a.b can be reached.
                    local, name = (alias.asname, "") if alias.asname else (alias.name.split(".")[0], WHOLE)
                    bound.names.setdefault(local, []).append((alias.name, "" if "." not in alias.name else name))
            elif isinstance(statement, ast.ImportFrom):
                module = self._absolute(statement)
                for alias in statement.names:
                    if alias.name == "*":
                        bound.stars.append(module)
                    else:
                        bound.names.setdefault(alias.asname or alias.name, []).append((module, alias.name))
        return bound

    def _absolute(self, statement: ast.ImportFrom) -> str:
        module = statement.module or ""
        if not statement.level:
            return module
        package = self.name if self.path.name == "__init__.py" else self.name.rpartition(".")[0]
        base = package.split(".")[: len(package.split(".")) - statement.level + 1]
        return ".".join([*base, *([module] if module else [])])

    def files(self, names: Iterable[str]) -> dict[str, str]:
        """Return "module:file" -> digest of those of the named files that lie beside this one, such as a template."""
        paths = [self.path.parent / name for name in names]
        return {f"{self.name}:{path.name}": digest(path.read_bytes().hex()) for path in paths if path.is_file()}

    @cached_property
    def whole(self) -> str:
        """Digest of the whole module."""
        return digest(ast.unparse(self.tree))


def imported_module(name: str) -> Module | None:
    """Return a module that is imported already, None where it was not read from a Python file."""
    file = getattr(sys.modules.get(name), "__file__", None) or ""
    return Module(name, Path(file)) if file.endswith(".py") else None


def is_import(node: ast.AST) -> bool:
    """Whether a statement is an import."""
    return isinstance(node, ast.Import | ast.ImportFrom)


def _without_docstring(body: list[ast.stmt]) -> list[ast.stmt]:
    def is_text(node: ast.stmt) -> bool:
        return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)

    return [node for node in body if not is_text(node)] or [ast.Pass()]


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
        inner = [node for node in ast.walk(statement) if isinstance(node, ast.stmt) and node is not statement]
        return [name for node in inner for name in _names_defined(node)]
    return []
