"""Which names a piece of code reads from its module, and not from its own functions."""

import ast
from typing import Any


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

    def visit_ListComp(self, node: ast.ListComp) -> None:
        self._comprehension(node)

    def visit_SetComp(self, node: ast.SetComp) -> None:
        self._comprehension(node)

    def visit_DictComp(self, node: ast.DictComp) -> None:
        self._comprehension(node)

    def visit_GeneratorExp(self, node: ast.GeneratorExp) -> None:
        self._comprehension(node)

    def _comprehension(self, node: ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp) -> None:
        self.visit(node.generators[0].iter)  # read outside of the comprehension
        targets = [inner for one in node.generators for inner in ast.walk(one.target)]
        self._local.append({inner.id for inner in targets if isinstance(inner, ast.Name)})
        self.generic_visit(node)
        self._local.pop()

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
        if isinstance(node, ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp):
            # Its variables are its own too, but for those of `:=`.
            bound |= {one.target.id for one in ast.walk(node) if isinstance(one, ast.NamedExpr)}
            continue
        if isinstance(node, ast.Global):
            declared |= set(node.names)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store | ast.Del):
            bound.add(node.id)
        if isinstance(node, ast.ExceptHandler) and node.name:
            bound.add(node.name)
        pending += ast.iter_child_nodes(node)
    return bound - declared
