"""Kedro's hooks: check the parameters before a run, set the run's id, print the headline after it."""

import logging
import os
import sys
from pathlib import Path
from typing import Any

from kedro.config import MissingConfigException
from kedro.framework.hooks import hook_impl

from forkpipe.core import file_digests
from forkpipe.engines import keys
from forkpipe.parameters import Parameters, check_parameters
from forkpipe.stores import run_id

DIGESTS = Path("data") / ".provenance" / "read_files.json"
"""Digests of files that engines and evaluation sets read, relative to the project; may be deleted at any time."""


class ProjectHooks:
    """All hooks of the project."""

    _parameters: Parameters

    @hook_impl
    def after_context_created(self, context: Any) -> None:
        """Check all parameters, also those that no node of this run reads; tell engines credentials and digests."""
        keys.provide(lambda: _credentials(context.config_loader))
        file_digests.keep_in(Path(context.project_path) / DIGESTS)
        self._parameters = check_parameters(context.config_loader["parameters"])

    @hook_impl
    def after_catalog_created(self, catalog: Any) -> None:
        """Put the sources of `problems.sources` in the place of `raw_problems`."""
        if self._parameters.problems.sources:
            from forkpipe.datasets.sources import SourcesDataset

            sources = SourcesDataset.of(self._parameters.problems, catalog)
            warns = logging.getLogger("kedro.io.data_catalog")
            warns.disabled = True  # that an entry is replaced, which is meant
            try:
                catalog["raw_problems"] = sources
            finally:
                warns.disabled = False

    @hook_impl
    def before_pipeline_run(self, run_params: dict[str, Any], pipeline: Any, catalog: Any) -> None:
        """Set the run's id and the number of torch's threads."""
        run_id.begin(run_params["run_id"])
        if self._parameters.cpu_threads is not None:
            _limit_threads(self._parameters.cpu_threads)

    @hook_impl
    def before_node_run(self, node: Any, catalog: Any) -> dict[str, Any]:
        """Hand a node its stores, see `pipelines.stages.StageNode`."""
        return {name: catalog.load(name) for name in getattr(node, "stores", ())}

    @hook_impl
    def after_node_run(self, node: Any, catalog: Any) -> None:
        """Release the stores of a node, such as the lock of its work folder."""
        self._release(node, catalog)

    @hook_impl
    def on_node_error(self, node: Any, catalog: Any) -> None:
        """Release the stores of a node that failed."""
        self._release(node, catalog)

    def _release(self, node: Any, catalog: Any) -> None:
        for name in getattr(node, "stores", ()):
            catalog.release(name)

    @hook_impl
    def after_pipeline_run(
        self, run_params: dict[str, Any], run_result: dict[str, Any], pipeline: Any, catalog: Any
    ) -> None:
        """After a run that made the report, print the comparison and the report's path."""
        if "report" not in run_result:
            return
        from forkpipe.evaluation.metrics import budget_warning, format_headline, headline

        comparison = catalog.load("comparison")
        print("\n" + format_headline(headline(comparison)))
        if warning := budget_warning(comparison):
            print(f"\n{warning}")
        report = catalog["report"]._describe()["filepath"]
        print(f"\nReport: {report}")


def _credentials(loader: Any) -> dict[str, Any]:
    try:
        return dict(loader["credentials"])
    except MissingConfigException:  # no credentials.yml
        return {}


def _limit_threads(threads: int) -> None:
    """Set torch's CPU threads; the environment variable holds for nodes that import torch later."""
    os.environ["OMP_NUM_THREADS"] = str(threads)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(threads)
