"""Settings of Kedro for this project."""

from forkpipe.catalog import ProjectCatalog
from forkpipe.config import ProjectConfigLoader
from forkpipe.hooks import ProjectHooks
from forkpipe.session import ForkpipeSession
from forkpipe.wiring import ForkpipeContext

HOOKS = (ProjectHooks(),)
SESSION_CLASS = ForkpipeSession
CONTEXT_CLASS = ForkpipeContext
DATA_CATALOG_CLASS = ProjectCatalog
CONFIG_LOADER_CLASS = ProjectConfigLoader
CONFIG_LOADER_ARGS = {
    "base_env": "base",
    "default_run_env": "local",
    # An environment changes the parameters that it names; the others keep their values of conf/base.
    "merge_strategy": {"parameters": "soft"},
}
