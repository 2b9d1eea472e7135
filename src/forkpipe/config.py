"""Kedro's config loader with the name of the environment, which paths contain, and defaults that depend on the run."""

import warnings
from typing import Any

from kedro.config import OmegaConfigLoader
from omegaconf import OmegaConf

from forkpipe.parameters.defaults import resolve

# Kedro 1.7 calls a function that omegaconf 2.4 renamed, several times in each command.
warnings.filterwarnings("ignore", message=r"register_new_resolver\(\) is deprecated")


class ProjectConfigLoader(OmegaConfigLoader):
    """Adds the resolver `${run:env}`: the name of the environment of the run, "base" where none is given.

    Paths of the catalog contain it, so that every environment writes to its own folder. Parameters come with the values
    that depend on what is run, see `parameters.defaults`.
    """

    def __getitem__(self, key: str) -> dict[str, Any]:
        # Resolvers are global to the process: another loader may have registered its own environment.
        register = getattr(OmegaConf, "register_resolver", OmegaConf.register_new_resolver)
        register("run", self._resolve, replace=True)
        loaded: dict[str, Any] = super().__getitem__(key)
        return resolve(loaded) if key == "parameters" else loaded

    def _resolve(self, key: str) -> str:
        if key != "env":
            raise ValueError(f"${{run:{key}}} is unknown, expected ${{run:env}}")
        return self.env or self.base_env or "base"
