"""Asserts as tests: those on plain data become calls, the others run in a process of their own.

An assert that runs beside the program it tests can be fooled by it in many ways. `assert f(2) == 4` needs no assert:
the function is called, and its value compared by the verifier. Any other code runs in a second process, where the
function's name stands for a call in the program's process; what goes there and comes back is plain data.
"""

import ast
import builtins
from typing import Any, NamedTuple

UNREADABLE = (SyntaxError, ValueError, RecursionError, MemoryError)
"""What `ast.parse` raises: the last two for code that is nested too deeply."""


class LiteralCall(NamedTuple):
    """An assert that a call with plain data gives plain data."""

    arguments: list[Any]
    expected: Any


def literal_call(code: str, entry: str) -> LiteralCall | None:
    """Return the call that an assert compares with a literal, None where it is anything else.

    >>> literal_call("assert f([1], 2) == (3, {4})", "f"), literal_call("assert abs(f(1) - 2) < 1", "f")
    (LiteralCall(arguments=[[1], 2], expected=(3, {4})), None)
    """
    try:
        body = ast.parse(code.strip()).body
    except UNREADABLE:
        return None
    if len(body) != 1 or not isinstance(body[0], ast.Assert):
        return None
    test = body[0].test
    if not isinstance(test, ast.Compare) or len(test.ops) != 1 or not isinstance(test.ops[0], ast.Eq):
        return None
    for call, value in ((test.left, test.comparators[0]), (test.comparators[0], test.left)):
        if isinstance(call, ast.Call) and _name(call.func) in (entry, "candidate") and not call.keywords:
            try:
                arguments = [ast.literal_eval(argument) for argument in call.args]
                return LiteralCall(arguments, ast.literal_eval(value))
            except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
                return None
    return None


def why_unprovable(code: str, entry: str, setup: str = "") -> str | None:
    """Return why asserts cannot run apart from the program, None where they can.

    They may use the function, builtins, and what they or their setup define; they may pass it plain data only.

    >>> why_unprovable("assert f(Pair(1, 2)) == 3", "f"), why_unprovable("assert f((1, 'a'), int) == 3", "f")
    ("needs 'Pair' of the program", "passes 'int', which is no plain data")
    """
    try:
        tree, before = ast.parse(code), _parsed_setup(setup)
    except UNREADABLE as error:
        return f"is no Python: {type(error).__name__}"
    known = {entry, "candidate", *dir(builtins), *_defined(tree), *_defined(before)}
    for node in (*ast.walk(before), *ast.walk(tree)):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id not in known:
            return f"needs '{node.id}' of the program"
        if isinstance(node, ast.Call) and _name(node.func) in (entry, "candidate"):
            for argument in (*node.args, *(keyword.value for keyword in node.keywords)):
                if passed := _not_plain(argument):
                    return f"passes '{passed}', which is no plain data"
    return None


def _parsed_setup(setup: str) -> ast.Module:
    """Parse code that may end with a function that lacks its body."""
    try:
        return ast.parse(setup)
    except SyntaxError:
        return ast.parse(setup + "\n    pass\n")


def _defined(tree: ast.Module) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.arg):
            names.add(node.arg)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names |= {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ExceptHandler) and node.name:
            names.add(node.name)
    return names


def _not_plain(argument: ast.expr) -> str | None:
    """Return what an argument is where it is a function or a type."""
    if isinstance(argument, ast.Lambda):
        return "lambda"
    if isinstance(argument, ast.Name) and callable(getattr(builtins, argument.id, None)):
        return argument.id
    return None


def _name(function: ast.expr) -> str:
    return function.id if isinstance(function, ast.Name) else ""


def split_check(test: str, entry: str) -> list[str]:
    """Return the asserts of HumanEval's `check(candidate)`, or the whole of it where it holds more than asserts.

    >>> split_check("def check(candidate):\\n    assert candidate(1) == 2\\n    assert True\\n", "f")
    ['assert candidate(1) == 2']
    """
    whole = [f"{test}\ncheck({entry})\n"]
    try:
        body = ast.parse(test).body
    except UNREADABLE:
        return whole
    checks = [node for node in body if isinstance(node, ast.FunctionDef) and node.name == "check"]
    others = [node for node in body if node not in checks and not _is_metadata(node)]
    if len(checks) != 1 or others or not all(isinstance(node, ast.Assert) for node in checks[0].body):
        return whole
    asserts = [node for node in checks[0].body if isinstance(node, ast.Assert)]
    needed = [node for node in asserts if not isinstance(node.test, ast.Constant)]
    return [ast.unparse(ast.Assert(node.test, None)) for node in needed] or whole


def _is_metadata(node: ast.stmt) -> bool:
    return isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "METADATA"
