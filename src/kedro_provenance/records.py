"""Records: a small JSON file beside each output, with the recipe it was made by. They travel with the data."""

import json
import os
import platform
import subprocess
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import fsspec

from kedro_provenance.code import digest

SUFFIX = ".provenance.json"
FORMAT = 1


@dataclass(slots=True)
class Recipe:
    """All that determines what a node makes, in readable parts.

    code: "module:symbol" -> digest; parameters: dotted name -> value; inputs: dataset -> digest of its content.
    """

    code: dict[str, str] = field(default_factory=dict)
    parameters: dict[str, Any] = field(default_factory=dict)
    inputs: dict[str, str | None] = field(default_factory=dict)

    def differences(self, new: "Recipe") -> list[str]:
        """Say in words what is different in `new`, nothing where the recipes agree."""
        said = []
        for name in sorted({*self.parameters, *new.parameters}):
            old_value, new_value = (part.parameters.get(name, "none") for part in (self, new))
            if old_value != new_value:
                said.append(f"parameter {name} {_short(old_value)} -> {_short(new_value)}")
        changed = {n.split(":")[0] for n in {*self.code, *new.code} if self.code.get(n) != new.code.get(n)}
        if "wiring" in changed:
            said.append("its inputs or outputs changed places")
        said += [f"code of {module} changed" for module in sorted(changed - {"wiring"})]
        for name in sorted({*self.inputs, *new.inputs}):
            if self.inputs.get(name) != new.inputs.get(name):
                said.append(f"input {name} changed")
        return said

    def digest(self) -> str:
        """Return a digest of the recipe."""
        return digest(json.dumps(asdict(self), sort_keys=True, default=str))


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
    keys: str = ""
    """Digest of the set of keys the output stands for, where a store decided what was missing."""
    environment: dict[str, Any] = field(default_factory=dict)
    format: int = FORMAT


def read_record(path: str) -> Record | None:
    """Return the record of the artifact at `path`, None where there is none or it cannot be read."""
    filesystem, root = fsspec.core.url_to_fs(path + SUFFIX)
    try:
        with filesystem.open(root, "r") as file:
            data = json.load(file)
        if data.get("format") != FORMAT:
            return None
        data["recipe"] = Recipe(**data["recipe"])
        return Record(**data)
    except (OSError, ValueError, TypeError, KeyError):
        return None


def write_record(path: str, record: Record) -> None:
    """Write the record of the artifact at `path`, whole or not at all."""
    filesystem, root = fsspec.core.url_to_fs(path + SUFFIX)
    with filesystem.open(root + ".tmp", "w") as file:
        json.dump(asdict(record), file, indent=1, sort_keys=True, default=str)
    filesystem.mv(root + ".tmp", root)


def remove_record(path: str) -> None:
    """Remove the record of the artifact at `path`: what is there is unknown from now on."""
    filesystem, root = fsspec.core.url_to_fs(path + SUFFIX)
    if filesystem.exists(root):
        filesystem.rm(root)


def now() -> str:
    """Return the time, UTC, ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")


@cache
def environment(packages: tuple[str, ...]) -> dict[str, Any]:
    """Return where a run takes place: git commit and dirtiness, versions, hardware."""
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
