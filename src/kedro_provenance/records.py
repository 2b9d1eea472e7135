"""Records: a small JSON file beside each output that holds the recipe of the output. Records travel with the data."""

import json
import os
import platform
import subprocess
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import PurePosixPath
from typing import Any

import fsspec

from kedro_provenance.source import digest

SUFFIX = ".provenance.json"
FORMAT = 1
CODE_OF = "code of "
REORDERED = "its inputs or outputs changed places"
NEW = " is new"
COMMIT = "commit"
"""Key of a source for the commit of a repository that it is read from."""


@dataclass(slots=True)
class Recipe:
    """All that determines a node's outputs, in readable parts.

    code: "module:symbol" -> digest; parameters: dotted name -> value; inputs: dataset -> digest of its content;
    sources: input that no node makes -> how it is read, see `sources.Sources`.
    """

    code: dict[str, str] = field(default_factory=dict)
    parameters: dict[str, Any] = field(default_factory=dict)
    inputs: dict[str, str | None] = field(default_factory=dict)
    sources: dict[str, dict[str, Any]] = field(default_factory=dict)

    def differences(self, new: "Recipe") -> list[str]:
        """Return in words what is different in `new`, nothing where the recipes agree."""
        reasons = []
        for name in sorted({*self.parameters, *new.parameters}):
            old_value, new_value = (part.parameters.get(name, "none") for part in (self, new))
            if old_value != new_value:
                reasons.append(f"parameter {name} {_short(old_value)} -> {_short(new_value)}")
        picked = _picked(self.code), _picked(new.code)
        in_one = picked[0].keys() ^ picked[1].keys()
        reasons += [f"{name}{' is no longer used' if name in picked[0] else NEW}" for name in sorted(in_one)]
        left_out = {part[name] for part in picked for name in in_one & part.keys()}
        changed = _changed_modules(
            *(
                _by_module({name: value for name, value in part.code.items() if name not in left_out})
                for part in (self, new)
            )
        )
        if "wiring" in changed:
            reasons.append(REORDERED)
        reasons += [f"{CODE_OF}{module} changed" for module in sorted(changed - {"wiring"})]
        for name in sorted({*self.inputs, *new.inputs}):
            rewired = REORDERED in reasons and (name in self.inputs) != (name in new.inputs)
            if self.inputs.get(name) != new.inputs.get(name) and not rewired:
                reasons.append(f"input {name} changed")
        for name, source in sorted(new.sources.items()):
            before = self.sources.get(name, source)  # records of older versions do not say
            for key in sorted({*before, *source}):
                old_value, new_value = (part.get(key, "none") for part in (before, source))
                # A repository whose commit cannot be told now, as without a network, has not changed.
                if old_value != new_value and not (key == COMMIT and "none" in (old_value, new_value)):
                    reasons.append(f"{name}: {key} {_short(old_value)} -> {_short(new_value)}")
        return reasons

    def digest(self) -> str:
        """Return a digest of the recipe; renaming a module does not change it."""
        code = sorted(sorted(symbols.items()) for symbols in _by_module(self.code).values())
        parts = [code, self.parameters, self.inputs, *([self.sources] if self.sources else [])]
        return digest(json.dumps(parts, sort_keys=True, default=str))


def is_about_code(reason: str) -> bool:
    """Whether a reason of `Recipe.differences` comes from an edit of code; if all do, nothing else changed."""
    # A class that is counted for the first time, with no parameter changed and none replaced by it.
    return reason == REORDERED or reason.startswith(CODE_OF) or reason.endswith(NEW)


def _picked(code: dict[str, str]) -> dict[str, str]:
    """Return "Class 'identity'" -> its name in `code`, for instances that parameters picked."""
    parts = {name: name.split(":", 2) for name in code}
    return {
        f"{part[1]} '{part[2]}'": name
        for name, part in parts.items()
        if len(part) == 3 and part[2] not in ("", "captured")
    }


def _by_module(code: dict[str, str]) -> dict[str, dict[str, str]]:
    """Return the entries of a recipe's code by module: symbol -> digest."""
    modules: dict[str, dict[str, str]] = {}
    for name, symbol_digest in code.items():
        module, _, symbol = name.partition(":")
        modules.setdefault(module, {})[symbol] = symbol_digest
    return modules


def _changed_modules(old: dict[str, dict[str, str]], new: dict[str, dict[str, str]]) -> set[str]:
    """Return the modules whose entries differ; a module that was only renamed counts as unchanged."""
    changed = {module for module in {*old, *new} if old.get(module) != new.get(module)}
    for before in sorted(changed - new.keys()):
        after = next((module for module in sorted(changed - old.keys()) if new[module] == old[before]), None)
        if after is not None:
            changed -= {before, after}
    return changed


@dataclass(slots=True)
class Record:
    """How one output came to be."""

    node: str
    output: str
    digest: str
    recipe: Recipe
    input_recipes: dict[str, str] = field(default_factory=dict)
    """Recipe digests of the nodes that made the inputs: enough to trust an output whose inputs are gone."""
    run_id: str = ""
    started: str = ""
    ended: str = ""
    accepted: list[str] = field(default_factory=list)
    """Reasons for which the output was stale when somebody accepted it as it is."""
    unfinished: str = ""
    """Why the node should run again although nothing has changed, as the dataset said when the output was made."""
    keys: str = ""
    """Digest of the set of keys that the output answers, where a store decides which of them are missing."""
    files: str = ""
    """Digest of the bytes of the output's files. Older records have none."""
    path: str = ""
    """Where the output was made, relative to the project if it is within. Older records do not say."""
    kept: bool = False
    """Whether the files were not made by the node, but accepted as its output: then no run replaces them."""
    environment: dict[str, Any] = field(default_factory=dict)
    format: int = FORMAT


def read_record(path: str) -> Record | None:
    """Return the record of the artifact at `path`, None where there is none or it cannot be read."""
    try:
        data = _read(path)
        if data.get("format") != FORMAT:
            return None
        data["recipe"] = Recipe(**data["recipe"])
        return Record(**data)
    except (OSError, ValueError, TypeError, KeyError):
        return None


def write_record(path: str, record: Record) -> None:
    """Write the record of the artifact at `path`, whole or not at all."""
    _write(path, asdict(record))


def write_claim(path: str, output: str, place: str) -> None:
    """Write, in place of the record of the artifact at `path`, that a node of this project is making it.

    A killed run leaves the claim. It says nothing about the artifact, but that this project may replace it.
    """
    _write(path, {"format": FORMAT, "output": output, "path": place, "unfinished": True})


def is_claimed(path: str, output: str, place: str) -> bool:
    """Whether a run of this project was killed while it made the artifact at `path`."""
    try:
        claim = _read(path)
    except (OSError, ValueError):
        return False
    return bool(claim.get("unfinished")) and (claim.get("output"), claim.get("path")) == (output, place)


def _read(path: str) -> dict[str, Any]:
    filesystem, root = fsspec.core.url_to_fs(path + SUFFIX)
    with filesystem.open(root, "r") as file:
        return dict(json.load(file))


def _write(path: str, data: dict[str, Any]) -> None:
    filesystem, root = fsspec.core.url_to_fs(path + SUFFIX)
    filesystem.makedirs(str(PurePosixPath(root).parent), exist_ok=True)
    with filesystem.open(root + ".tmp", "w") as file:
        json.dump(data, file, indent=1, sort_keys=True, default=str)
    filesystem.mv(root + ".tmp", root)


def remove_record(path: str) -> None:
    """Remove the record of the artifact at `path`, so that nothing vouches for the artifact."""
    filesystem, root = fsspec.core.url_to_fs(path + SUFFIX)
    if filesystem.exists(root):
        filesystem.rm(root)


def now() -> str:
    """Return the time, UTC, ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")


@cache
def environment(packages: tuple[str, ...]) -> dict[str, Any]:
    """Return where a run takes place: git commit, whether files differ from it, versions, hardware."""
    versions = {"python": platform.python_version()}
    for package in packages:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return {
        "git_commit": _git("rev-parse", "HEAD"),
        "git_dirty": bool(_git("status", "--porcelain", "--untracked-files=no")),
        "versions": versions,
        "machine": platform.machine(),
        "system": platform.system(),
        "cpus": os.cpu_count(),
    }


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _short(value: Any) -> str:
    text = json.dumps(value, default=str) if not isinstance(value, str) else value
    return text if len(text) <= 60 else text[:57] + "..."
