"""What fingerprints need to know of a source file, as JSON can hold it, so that a plan need not parse the file again.

The facts of a file follow from its bytes, its module's name and the version of Python. They are kept by these.
"""

import ast
import hashlib
import json
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from kedro_provenance.names import free_names
from kedro_provenance.source import FILE_NAME, PATH, Bindings, Module, digest, is_import

FORMAT = 1
"""Raised when other facts are read of the same file."""


class Statement(NamedTuple):
    """What a statement at the top level of a module uses."""

    first: int
    last: int
    """Lines."""
    names: dict[str, list[str | None]]
    """Names of the module, with the attributes that are taken of them; see `names.free_names`."""
    within: Bindings
    """Imports within the statement."""
    paths: list[tuple[str, str]]
    """What strings "module:name" name."""
    files: list[str]
    """Texts that look like names of files."""


class Facts(NamedTuple):
    """What a module defines and imports."""

    definitions: dict[str, tuple[str, list[Statement]]]
    """Name -> digest of the statements that define it, and what they use; under "" those that define none."""
    imports: Bindings
    whole: str
    """Digest of the module."""


def facts_of(module: Module) -> Facts:
    """Return the facts of a module, read from its syntax tree."""
    definitions = {
        name: (digest(*map(ast.unparse, statements)), [_statement(module, statement) for statement in statements])
        for name, statements in module.definitions.items()
    }
    return Facts(definitions, module.imports, module.whole)


def _statement(module: Module, statement: ast.stmt) -> Statement:
    nodes = list(ast.walk(statement))
    texts = [node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    named = {
        name: sorted(attributes, key=lambda a: (a is None, a)) for name, attributes in free_names(statement).items()
    }
    return Statement(
        getattr(statement, "lineno", 0),  # what stands for a docstring has none
        getattr(statement, "end_lineno", 0),
        named,
        module.bindings(node for node in nodes if isinstance(node, ast.stmt) and is_import(node)),
        [(path[1], path[2]) for text in texts if (path := PATH.fullmatch(text))],
        sorted({text for text in texts if FILE_NAME.fullmatch(text)}),
    )


class KeptFacts:
    """Facts of modules, kept in a file.

    Args:
        file: which may be deleted at any time; None keeps nothing.
    """

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._kept: dict[str, Any] = self._saved()
        self._new = False

    def of(self, module: Module) -> Facts:
        """Return the facts of a module."""
        key = _key(module)
        kept = self._kept.get(module.name)
        if kept is not None and kept[0] == key:
            with suppress(TypeError, ValueError, KeyError, IndexError):  # a file that something else has written
                return _read(kept[1])
        facts = facts_of(module)
        self._kept[module.name] = [key, _written(facts)]
        self._new = True
        return facts

    def save(self) -> None:
        """Write what is new, beside what other runs have written meanwhile."""
        if self._file is None or not self._new:
            return
        with suppress(OSError):  # then the next plan parses the files again
            self._file.parent.mkdir(parents=True, exist_ok=True)
            temporary = self._file.with_suffix(f".{os.getpid()}.tmp")
            temporary.write_text(json.dumps(self._saved() | self._kept))
            temporary.replace(self._file)
            self._new = False

    def _saved(self) -> dict[str, Any]:
        if self._file is None:
            return {}
        try:
            return dict(json.loads(self._file.read_text()))
        except (OSError, ValueError):
            return {}


def _key(module: Module) -> str:
    """Return what the facts of a module follow from; its path says whether it is a package."""
    parts = (str(FORMAT), sys.version, module.name, module.path.name)
    return hashlib.sha256("\0".join(parts).encode() + module.path.read_bytes()).hexdigest()[:32]


def _written(facts: Facts) -> list[Any]:
    definitions = {
        name: [of, [[*rest, [within.names, within.stars], paths, files] for *rest, within, paths, files in statements]]
        for name, (of, statements) in facts.definitions.items()
    }
    return [definitions, [facts.imports.names, facts.imports.stars], facts.whole]


def _read(written: list[Any]) -> Facts:
    definitions, imports, whole = written
    return Facts(
        {
            name: (
                of,
                [
                    Statement(first, last, names, _bindings(within), [(a, b) for a, b in paths], files)
                    for first, last, names, within, paths, files in statements
                ],
            )
            for name, (of, statements) in definitions.items()
        },
        _bindings(imports),
        whole,
    )


def _bindings(written: list[Any]) -> Bindings:
    names: Mapping[str, Any] = written[0]
    return Bindings({name: [(a, b) for a, b in targets] for name, targets in names.items()}, list(written[1]))
