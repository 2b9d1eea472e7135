"""The engines that parameters can name. A new engine is one file and one line in `ENGINES`."""

import gc
import json
import sys
from collections.abc import Mapping
from typing import Any

from forkpipe.core.engine import Engine, described
from forkpipe.core.errors import InputError
from forkpipe.core.plugins import Plugin, create
from forkpipe.parameters import EngineSettings, TeacherSettings

ENGINES = {
    "procedural": Plugin("forkpipe.demo.procedural:ProceduralEngine"),
    "import": Plugin("forkpipe.engines.imported:ImportEngine"),
    "transformers": Plugin("forkpipe.engines.transformers:TransformersEngine", ("torch", "transformers")),
    "vllm": Plugin("forkpipe.engines.vllm:VLLMEngine", ("torch", "transformers", "vllm"), "vllm"),
    "openai": Plugin("forkpipe.engines.openai:OpenAIEngine", ("openai", "aiohttp")),
    "ray": Plugin("forkpipe.engines.ray:RayEngine", ("ray",), "ray"),
}


def create_engine(name: str, options: Mapping[str, Any], where: str) -> Engine:
    """Return an engine; InputError names the parameter `where` if its name or an option is wrong."""
    engine: Engine = create("engine", ENGINES, name, options, where)
    if not hasattr(engine, "identity"):
        # The class does not say which options change a completion, so all of them count.
        engine.identity = f"{name} {json.dumps(options, sort_keys=True, default=str)}"
    return engine


def create_engines(teachers: Mapping[str, TeacherSettings]) -> dict[str, Engine]:
    """Return an engine for every teacher; InputError names the teacher whose settings are wrong."""
    engines = {}
    for name, teacher in teachers.items():
        where = f"generation.teachers.{name}"
        engines[name] = create_engine(teacher.engine, teacher.options, where)
        for needed in ("generate", "samples_held", "close", "version"):
            if not hasattr(engines[name], needed):
                raise InputError(f"parameter {where}: engine '{teacher.engine}' has no {needed}, see core/engine.py")
    return engines


def unnamed_engine(settings: EngineSettings, batch_rows: int, where: str = "engine") -> Engine:
    """Return an engine whose identity names neither the checkpoint's path nor its name at a server.

    It completes nothing: requests hold the checkpoint's digest, and this engine's identity says what else counts.
    """
    options = dict(settings.options)
    if settings.name == "ray":  # the options that name the model are those of the engine that the actors hold
        options["options"] = _without_names(options.get("options") or {})
    unnamed = settings.model_copy(update={"options": _without_names(options)})
    return create_completing(unnamed, "checkpoint", batch_rows, where)


def description_of(settings: EngineSettings, batch_rows: int, where: str = "engine") -> str:
    """Return the version and identity of the engine that samples a checkpoint, without the checkpoint's names."""
    engine = unnamed_engine(settings, batch_rows, where)
    try:
        return described(engine)
    finally:
        engine.close()


def _without_names(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name not in ("model", "checkpoint")}


def create_completing(settings: EngineSettings, checkpoint: str, batch_rows: int, where: str) -> Engine:
    """Return the engine that samples a checkpoint; parameter `where` holds its settings.

    `batch_rows` is for the engine transformers, where its options give none.
    """
    if "torch" in sys.modules:
        # Release GPU memory cached by trainers in this process, so that an engine in another process can use it.
        gc.collect()
        sys.modules["torch"].cuda.empty_cache()
    name, options = settings.name, dict(settings.options)
    # With Ray, the checkpoint goes to the engine that the actors hold.
    runs, inner = (options.get("engine"), dict(options.get("options") or {})) if name == "ray" else (name, options)
    if runs == "openai":
        # The server may know the model by another name; prompts are encoded by the checkpoint's tokenizer.
        inner = {"model": checkpoint, "endpoint": "completions", "checkpoint": checkpoint, **inner}
    else:
        inner["model"] = checkpoint
    if runs == "transformers":
        inner.setdefault("batch_rows", batch_rows)
    return create_engine(name, {**options, "options": inner} if name == "ray" else inner, where)
