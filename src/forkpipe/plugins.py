"""Implementations by name: engines, verifiers and strategy clusterers that parameters can pick.

A name is one of those registered here, or "package.module:Class" for a class of the user's own that follows the
protocol. Modules are imported when their class is wanted, so that a name costs nothing.
"""

import importlib
import importlib.util
import inspect
from collections.abc import Mapping
from typing import Any, NamedTuple

from forkpipe.core.errors import InputError


class Plugin(NamedTuple):
    """Where a class is, and which packages it needs beyond the project's own."""

    path: str
    packages: tuple[str, ...] = ()
    extra: str = ""
    """The extra of this project that installs the packages."""


ENGINES = {
    "procedural": Plugin("forkpipe.engines.procedural:ProceduralEngine"),
    "import": Plugin("forkpipe.engines.imported:ImportEngine"),
    "transformers": Plugin("forkpipe.engines.transformers:TransformersEngine", ("torch", "transformers")),
}
VERIFIERS = {
    "math": Plugin("forkpipe.verification.math:MathVerifier", ("math_verify", "pebble")),
    "exact": Plugin("forkpipe.verification.exact:ExactVerifier"),
}
CLUSTERERS = {
    "steps": Plugin("forkpipe.core.strategies:StepClusterer"),
}


def create(kind: str, known: Mapping[str, Plugin], name: str, options: Mapping[str, Any], where: str) -> Any:
    """Return an instance of the named class.

    Args:
        kind: what it is, for messages.
        known: the registered names.
        name: registered name or "package.module:Class".
        options: its arguments.
        where: the parameter that names it, for messages.

    Raises:
        InputError: the name, a package or an option is wrong; names the parameter and what is expected.
    """
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
        made = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise InputError(f"parameter {where}: {kind} '{name}' cannot be imported: {error}") from error
    try:
        inspect.signature(made).bind(**options)
    except TypeError as error:
        raise InputError(f"parameter {where}.options of {kind} '{name}': {error}") from None
    try:
        return made(**options)
    except InputError as error:
        raise InputError(f"parameter {where}.options of {kind} '{name}': {error}") from None
