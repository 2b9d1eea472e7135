"""What `kedro run` does differently here: it runs what is stale, and says in one line what a user can mend."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import click
from kedro.config import MissingConfigException
from kedro.framework.session import KedroSession
from kedro.runner import AbstractRunner, SequentialRunner
from omegaconf.errors import OmegaConfBaseException

from forkpipe.core.errors import InputError
from forkpipe.core.progress import logger
from forkpipe.preflight import check_run
from kedro_provenance.recipes import Declared
from kedro_provenance.runner import ProvenanceRunner

SLICES = ("tags", "node_names", "from_nodes", "to_nodes", "from_inputs", "to_outputs", "namespaces")
"""Arguments of a run that choose nodes: then these run, as in Kedro."""

DECLARED = Declared(
    packages=("forkpipe",),
    # Names of implementations, progress, types, the run's id, errors, what stops a run: none reaches a result.
    exempt_modules=(
        "forkpipe.core.plugins",
        "forkpipe.engines.registry",
        "forkpipe.verification.registry",
        "forkpipe.strategies.registry",
        "forkpipe.pipelines.implementations",
        "forkpipe.core.progress",
        "forkpipe.core.rows",
        "forkpipe.stores.run_id",
        "forkpipe.core.errors",
        "forkpipe.generation.early",
        "kedro_provenance.recipes",
    ),
    ignored_parameters=(
        "verification.options.*.workers",
        "verification.options.*.memory_mb",
        "supervised.matching_tokens",
        "supervised.save_every",
        "supervised.report_to",
        "*.train.*.save_every",
        "*.batch_rows",
        "*.train.*.micro_batch_size",
        "*.train.*.gradient_checkpointing",
        "*.train.*.logit_chunk",
        # it reads these to stop early; prices are the report's
        "generate_traces:verification.*",
        "generate_traces:generation.early_stop",
        "generate_traces:generation.early_stop.*",
        "generate_traces:generation.teachers.*.price",
        "generate_traces:generation.teachers.*.price.*",
        # Where and how fast a teacher is asked, and by which key.
        *(
            f"generation.teachers.*.{name}"
            for name in (
                *("base_url", "concurrency", "stream", "timeout", "connect_timeout", "attempts", "aliases"),
                *("backoff", "longest_backoff", "rate_limit_wait", "patience", "api_key_env", "credentials"),
                *("actors", "address", "cpus", "gpus", "start_timeout"),
            )
        ),
        "strategies.*.cache",
    ),
    versions_of=("forkpipe", "kedro", "torch", "transformers", "trl", "math-verify", "pyarrow", "numpy"),
)


class ForkpipeSession(KedroSession):
    """A Kedro session for this project."""

    def run(  # type: ignore[override]
        self,
        pipeline_name: str | None = None,
        pipeline_names: list[str] | None = None,
        runner: AbstractRunner | None = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """Run as Kedro does, by default with the runner that knows what is stale."""
        targets = [pipeline_name] if pipeline_name else list(pipeline_names or [])
        if type(runner) in (SequentialRunner, type(None)) and not getattr(runner, "_is_async", False):
            sliced = any(kwargs.get(name) for name in SLICES) or bool(kwargs.get("only_missing_outputs"))
            named = targets if targets and "__default__" not in targets else None
            # A project made by `forkpipe new` has a package of its own, whose nodes count as well.
            declared = replace(DECLARED, packages=(*DECLARED.packages, str(self._package_name)))
            runner = ProvenanceRunner(declared, named, sliced=sliced, project=Path(self._project_path), check=check_run)
        else:
            logger.warning("%s keeps no records: all nodes run, and what they write is unknown", type(runner).__name__)
        try:
            return super().run(pipeline_name=pipeline_name, pipeline_names=pipeline_names, runner=runner, **kwargs)
        except Exception as error:
            if (cause := input_error(error)) is not None:
                raise click.ClickException(" ".join(str(cause).split())) from error
            raise


def input_error(error: BaseException | None) -> Exception | None:
    """Return what the user can mend behind an exception: datasets wrap what they raise."""
    while error is not None:
        if isinstance(error, InputError | OmegaConfBaseException | MissingConfigException):
            return error
        if isinstance(error, ValueError) and str(error).startswith("Failed to find the pipeline"):
            return error
        error = error.__cause__
    return None
