"""Checks that need more than the parameters alone, made before the first node of a run."""

from forkpipe.core.errors import InputError
from forkpipe.parameters import Parameters
from forkpipe.pipelines.trace_generation.requests import create_engines
from forkpipe.plugins import CLUSTERERS, VERIFIERS, create


def check_run(parameters: Parameters, nodes: set[str]) -> None:
    """Raise InputError for what would stop one of the nodes: a package, an option, settings that do not go together.

    Args:
        parameters: all parameters.
        nodes: names of the nodes of the run.
    """
    if "generate_traces" in nodes:
        for engine in create_engines(parameters.generation.teachers).values():
            engine.close()
    if "cluster_strategies" in nodes:
        settings = parameters.strategies
        create("clusterer", CLUSTERERS, settings.clusterer, settings.options, "strategies.clusterer")
    if "verify_traces" in nodes:
        verification = parameters.verification
        for name in set(verification.verifiers.values()):
            options = verification.options.get(name, {})
            create("verifier", VERIFIERS, name, options, "verification.verifiers").close()
    if "gfpo.train" in nodes and parameters.tags.style != "special":
        raise InputError(
            "parameter tags.style is 'text' and gfpo.train.scope 'head', which trains output rows that ordinary tokens "
            "share: expected tags.style 'special'"
        )
