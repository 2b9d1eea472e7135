"""The session of `kedro run`: it runs stale nodes only, and reports what a user can fix in one line."""

import tomllib
from collections.abc import Iterator, Mapping
from contextlib import chdir, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
from kedro.config import MissingConfigException
from kedro.framework.session import KedroSession
from kedro.runner import AbstractRunner, SequentialRunner
from omegaconf.errors import OmegaConfBaseException

from forkpipe.core.data_files import data_text
from forkpipe.core.errors import InputError
from forkpipe.core.progress import logger
from forkpipe.left_out import free_memory, listed, methods_lost
from forkpipe.outside import refers_to
from forkpipe.parameters.comparison import comparison_of
from forkpipe.planned import described
from forkpipe.preflight import check_run
from kedro_provenance.recipes import Declared
from kedro_provenance.runner import ProvenanceRunner

SLICES = ("tags", "node_names", "from_nodes", "to_nodes", "from_inputs", "to_outputs", "namespaces")
"""Options of `kedro run` that choose nodes: then exactly these run, fresh or not, as in Kedro."""

DECLARED = Declared(
    **{name: tuple(values) for name, values in tomllib.loads(data_text(__file__, "declared.toml")).items()},
    refers_to=refers_to,
)

HINTS = {
    "Failed to find the pipeline": " `kedro registry list` lists all.",
    "Pipeline does not contain": ": `kedro registry describe __default__` lists all nodes",
    "Pipeline contains no nodes": " `kedro registry describe __default__` lists all nodes.",
    "Given configuration path": ": expected an environment, the name of a folder of conf/",
}
"""How Kedro's messages about names that do not exist begin, and what is added to them."""


class ForkpipeSession(KedroSession):
    """Kedro's session with the runner of `kedro_provenance`, and errors of users in one line."""

    def run(  # type: ignore[override]
        self,
        pipeline_name: str | None = None,
        pipeline_names: list[str] | None = None,
        runner: AbstractRunner | None = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """Run as Kedro does, by default with the runner that leaves out fresh nodes.

        Where a method does not fit the machine, the run goes on with the others and ends with a ClickException that
        says which are missing.
        """
        targets = [pipeline_name] if pipeline_name else list(pipeline_names or ["__default__"])
        if type(runner) not in (SequentialRunner, type(None)) or getattr(runner, "_is_async", False):
            logger.warning(
                "%s keeps no records: all nodes run and replace outputs, and later runs do not know how they were made",
                type(runner).__name__,
            )
            with self._errors_in_one_line():
                return super().run(pipeline_names=targets, runner=runner, **kwargs)
        sliced = any(kwargs.get(name) for name in SLICES) or bool(kwargs.get("only_missing_outputs"))
        # A project made by `forkpipe new` has a package of its own, whose nodes count as well.
        declared = replace(DECLARED, packages=(*DECLARED.packages, str(self._package_name)))
        missing: dict[str, str] = {}
        while True:
            named = None if "__default__" in targets else targets
            recording = ProvenanceRunner(
                declared,
                named,
                sliced=sliced,
                project=Path(self._project_path),
                check=check_run,
                describe=described,
            )
            with self._errors_in_one_line():
                try:
                    result = super().run(pipeline_names=targets, runner=recording, **kwargs)
                    break
                except Exception as error:
                    lost = {} if sliced or recording.failed is None else methods_lost(recording.failed.name, error)
                    targets = [target for target in targets if target.removeprefix("train_") not in lost]
                    if not lost or not targets or not self._leave_out(lost):
                        raise
                    free_memory(error)
            missing |= lost
            logger.error("the run goes on without %s", listed(lost))
        if missing:
            raise click.ClickException(f"missing: {listed(missing)}")
        return result

    def load_context(self) -> Any:
        """Return the context, as Kedro does, and keep what it compares."""
        self._context = super().load_context()
        return self._context

    def _leave_out(self, lost: Mapping[str, str]) -> bool:
        """Take methods out of the session's parameters; return False where none would be left to compare."""
        raw = self._context.config_loader["parameters"]
        methods = [method for method in comparison_of(raw).methods if method not in lost]
        changed = {"methods": methods, "missing_methods": {**raw.get("missing_methods", {}), **lost}}
        self._store["runtime_params"] = {**(self._store.get("runtime_params") or {}), **changed}
        return bool(methods)

    @contextmanager
    def _errors_in_one_line(self) -> Iterator[None]:
        """Turn an error that a user can fix into one line; relative paths in parameters begin at the project."""
        try:
            with chdir(self._project_path):  # as in the catalog
                yield
        except Exception as error:
            if (cause := input_error(error)) is not None:
                message = " ".join(str(cause).split())
                hint = next((hint for start, hint in HINTS.items() if message.startswith(start)), "")
                raise click.ClickException(message + hint) from error
            raise


def input_error(error: BaseException | None) -> Exception | None:
    """Return the error that a user can fix among the causes of an exception, or None; datasets wrap their errors."""
    while error is not None:
        if isinstance(error, InputError | OmegaConfBaseException | MissingConfigException):
            return error
        if isinstance(error, ValueError) and str(error).startswith(tuple(HINTS)):
            return error
        error = error.__cause__
    return None
