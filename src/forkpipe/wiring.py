"""Make the pipelines for the methods that a session's parameters choose.

Kedro calls `register_pipelines` without arguments, so the choice waits in a context variable while Kedro does. Every
context sets it for itself and takes it away again: a second session of the same process inherits nothing.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from kedro.config import MissingConfigException
from kedro.framework.context import KedroContext
from kedro.framework.project import pipelines
from kedro.utils import find_kedro_project

from forkpipe.config import ProjectConfigLoader
from forkpipe.parameters.comparison import Comparison, comparison_of

_chosen: ContextVar[Comparison | None] = ContextVar("chosen", default=None)


@contextmanager
def wired_for(comparison: Comparison) -> Iterator[None]:
    """Let `register_pipelines` make the pipelines of this comparison."""
    token = _chosen.set(comparison)
    try:
        yield
    finally:
        _chosen.reset(token)


def chosen() -> Comparison:
    """Return what the pipelines are to be made for.

    Outside of a context (`kedro registry list` has neither --env nor --params) that is what the project's configuration
    says, of the environment KEDRO_ENV if there is one; where there is no project, all methods.
    """
    if (comparison := _chosen.get()) is not None:
        return comparison
    project = find_kedro_project(Path.cwd())
    if project is None:
        return Comparison()
    from forkpipe.settings import CONFIG_LOADER_ARGS

    arguments: dict[str, Any] = CONFIG_LOADER_ARGS
    environment = os.environ.get("KEDRO_ENV")
    folders = [project / "conf" / name for name in (arguments["base_env"], environment or arguments["default_run_env"])]
    if not any(_chooses(file, folder) for folder in folders for file in folder.rglob("*.*")):
        return Comparison()
    return _of(ProjectConfigLoader(str(project / "conf"), env=environment, **arguments))


def _chooses(file: Path, folder: Path) -> bool:
    """Whether a file of parameters may say what is compared. The loader of all parameters takes a third of a second."""
    import yaml

    if not any(part.startswith("parameters") for part in file.relative_to(folder).parts):
        return False
    try:
        with file.open("rb") as opened:
            written = yaml.load(opened, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (OSError, yaml.YAMLError):
        return True  # the loader says what is wrong
    if not isinstance(written, dict):
        return written is not None
    benchmarks = written.get("benchmarks") or {}
    if {"methods", "seeds"} & set(written) or not isinstance(benchmarks, dict):
        return True
    return "measure" in benchmarks or bool(benchmarks.get("use"))


class ForkpipeContext(KedroContext):
    """Kedro's context. Where it is made, the project's pipelines are made anew for its parameters.

    This holds for every command that has a context, also for those that leave out hooks, as `kedro viz` does.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self._package_name is not None:
            with wired_for(_of(self.config_loader)):
                pipelines.configure(f"{self._package_name}.pipeline_registry")
                len(pipelines)  # makes them now


def _of(loader: Any) -> Comparison:
    try:
        return comparison_of(loader["parameters"])
    except MissingConfigException:
        return Comparison()
