"""Classes that parameters pick by name: a registered name, or "package.module:Class" for a class of the user's own.

Each kind is registered beside its classes: `engines.registry`, `verification.registry`, `strategies.registry`. A module
is imported when its class is first needed.
"""

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from forkpipe.core.errors import InputError, one_line
from forkpipe.core.ids import digest


class Plugin(NamedTuple):
    """A registered class."""

    path: str
    """"package.module:Class"."""
    packages: tuple[str, ...] = ()
    """Packages that must be installed."""
    extra: str = ""
    """The extra of this project that installs them."""


def find_class(kind: str, known: Mapping[str, Plugin], name: str, where: str) -> type:
    """Return the named class; InputError names the parameter `where` if the class or a package cannot be imported."""
    plugin = known.get(name) or (Plugin(name) if ":" in name else None)
    if plugin is None:
        raise InputError(
            f"parameter {where}: {kind} '{name}' is unknown, "
            f"expected one of {', '.join(known)} or 'package.module:Class'"
        )
    for package in plugin.packages:
        if importlib.util.find_spec(package) is None:
            hint = f": pip install 'forkpipe[{plugin.extra}]'" if plugin.extra else ""
            raise InputError(
                f"parameter {where}: {kind} '{name}' needs the package {package}, which is not installed{hint}"
            )
    module, _, attribute = plugin.path.partition(":")
    try:
        plugin_class: type = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise InputError(f"parameter {where}: {kind} '{name}' cannot be imported: {error}") from error
    return plugin_class


@lru_cache
def source_digest(plugin_class: type) -> str:
    """Return a digest of the source files that a class decides by: of its room in a package, or of its own file.

    The room of `forkpipe.verification.math` is the folder of `forkpipe.verification`. Kept results have it in their
    keys, so that an edit of the code does not go on with what the code before it found.
    """
    parts = plugin_class.__module__.split(".")
    room = getattr(sys.modules.get(".".join(parts[:2])), "__path__", None) if len(parts) > 1 else None
    if room:
        return digest(sorted(file for folder in room for file in Path(folder).rglob("*.py")))
    file = getattr(sys.modules.get(plugin_class.__module__), "__file__", None) or ""
    return digest([Path(file)]) if file.endswith(".py") else ""


def create(kind: str, known: Mapping[str, Plugin], name: str, options: Mapping[str, Any], where: str) -> Any:
    """Return an instance of the named class; InputError names the parameter whose name, package or option is wrong."""
    plugin_class = find_class(kind, known, name, where)
    try:
        known_options = inspect.signature(plugin_class).parameters
        unknown = [option for option in options if option not in known_options]
        if unknown and all(option.kind is not option.VAR_KEYWORD for option in known_options.values()):
            expected = f"one of: {', '.join(known_options)}" if known_options else "no options"
            raise InputError(f"'{unknown[0]}' is unknown, expected {expected}")
        return plugin_class(**options)
    except Exception as error:
        # The options are the user's, so any error of the constructor is reported as an error in them.
        raise InputError(f"parameter {where}.options of {kind} '{name}': {one_line(error)}") from error
