"""Implementations by name: engines, verifiers and strategy clusterers that parameters can pick.

A name is one of those registered here, or "package.module:Class" for a class of the user's own that follows the
protocol. Modules are imported when their class is wanted, so that a name costs nothing.
"""

import gc
import importlib
import importlib.util
import sys
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
    "vllm": Plugin("forkpipe.engines.vllm:VLLMEngine", ("torch", "transformers", "vllm"), "vllm"),
    "openai": Plugin("forkpipe.engines.openai:OpenAIEngine", ("openai", "aiohttp")),
    "ray": Plugin("forkpipe.engines.ray:RayEngine", ("ray",), "ray"),
}
VERIFIERS = {
    "math": Plugin("forkpipe.verification.math:MathVerifier", ("math_verify",)),
    "exact": Plugin("forkpipe.verification.exact:ExactVerifier"),
    "choice": Plugin("forkpipe.verification.choice:ChoiceVerifier"),
    "number": Plugin("forkpipe.verification.number:NumberVerifier"),
    "reasoning_gym": Plugin(
        "forkpipe.verification.reasoning_gym:ReasoningGymVerifier", ("reasoning_gym",), "reasoning-gym"
    ),
    "code": Plugin("forkpipe.verification.code.verifier:CodeVerifier"),
}
CLUSTERERS = {
    "steps": Plugin("forkpipe.strategies.clusterer:StepClusterer"),
}


def find_class(kind: str, known: Mapping[str, Plugin], name: str, where: str) -> type:
    """Return the named class.

    Args:
        kind: what it is, for messages.
        known: the registered names.
        name: registered name or "package.module:Class".
        where: the parameter that names it, for messages.

    Raises:
        InputError: the name is unknown, a package is missing or the import fails.
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
        found: type = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise InputError(f"parameter {where}: {kind} '{name}' cannot be imported: {error}") from error
    return found


def create(kind: str, known: Mapping[str, Plugin], name: str, options: Mapping[str, Any], where: str) -> Any:
    """Return an instance of the named class, made with `options`; see `find_class`.

    Raises:
        InputError: the name, a package or an option is wrong; names the parameter and what is expected.
    """
    made = find_class(kind, known, name, where)
    try:
        return made(**options)
    except Exception as error:
        # Whatever a class says of its arguments is about what the user wrote.
        said = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"parameter {where}.options of {kind} '{name}': {said}") from error


# Which classes the parameters of a node pick, for its recipe (see `provenance.recipes.implementations`).


def engines_of(given: Mapping[str, Any]) -> list[Any]:
    """Return the engines of the teachers; each says by its `identity` what no parameter shows."""
    return list(create_engines(given["params:generation"].asked).values())


def create_engines(teachers: Mapping[str, Any]) -> dict[str, Any]:
    """Return an engine for every teacher; InputError names the teacher whose settings are wrong."""
    made = {}
    for name, teacher in teachers.items():
        where = f"generation.teachers.{name}"
        made[name] = create("engine", ENGINES, teacher.engine, teacher.options, where)
        for needed in ("generate", "samples_held", "close", "identity", "version"):
            if not hasattr(made[name], needed):
                raise InputError(f"parameter {where}: engine '{teacher.engine}' has no {needed}, see engines/base.py")
    return made


def verifiers_of(given: Mapping[str, Any]) -> list[Any]:
    """Return the verifiers, and the judge's engine where there is one."""
    settings = given["params:verification"]
    made: list[Any] = [
        find_class("verifier", VERIFIERS, name, "verification.verifiers")
        for name in sorted(set(settings.verifiers.values()))
    ]
    return made + ([create_judge(settings.judge)] if settings.judge else [])


def create_completing(settings: Any, checkpoint: str, batch_rows: int, where: str) -> Any:
    """Return the engine that completes what a checkpoint is asked; parameter `where` holds its settings."""
    if "torch" in sys.modules:
        # What trainers of this process have held: an engine in a process of its own could not have it.
        gc.collect()
        sys.modules["torch"].cuda.empty_cache()
    name, options = settings.name, dict(settings.options)
    # The actors of Ray hold the engine that runs the checkpoint.
    runs, inner = (options.get("engine"), dict(options.get("options") or {})) if name == "ray" else (name, options)
    inner["model"] = checkpoint
    if runs == "transformers":
        inner.setdefault("batch_rows", batch_rows)
    return create("engine", ENGINES, name, {**options, "options": inner} if name == "ray" else inner, where)


def checkpoints_sampled_by(given: Mapping[str, Any]) -> list[Any]:
    """Return the engine that samples checkpoints for evaluation."""
    return [find_class("engine", ENGINES, given["params:evaluation"].engine.name, "evaluation.engine")]


def rollouts_made_by(given: Mapping[str, Any]) -> list[Any]:
    """Return the engine that fills tables of rewards, and what scores them."""
    name = given["params:rollouts"].engine.name
    return [find_class("engine", ENGINES, name, "rollouts.engine"), *verifiers_of(given)]


def create_judge(judge: Any) -> Any:
    """Return the engine of the judge."""
    return create("engine", ENGINES, judge.engine, judge.options, "verification.judge")


def clusterer_of(given: Mapping[str, Any]) -> list[Any]:
    """Return the clusterer, and the engines that are asked about traces where there are any."""
    settings = given["params:strategies"]
    made: list[Any] = [find_class("clusterer", CLUSTERERS, settings.clusterer, "strategies.clusterer")]
    return made + [
        create_strategy_model(model, where)
        for model, where in ((settings.summaries, "summaries"), (settings.judge, "judge"))
        if model
    ]


def create_strategy_model(model: Any, where: str) -> Any:
    """Return the engine of a model that is asked about traces."""
    return create("engine", ENGINES, model.engine, model.options, f"strategies.{where}")
