"""Types that the groups of parameters are made of."""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from forkpipe.core.prompts import PLACEHOLDER

Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]
Weight = Annotated[float, Field(ge=0)]
Wanted = bool | Literal["auto"]
"""auto: where the machine supports it."""


def _holds_problem(template: str) -> str:
    if PLACEHOLDER not in template:
        raise ValueError(f"expected a text that holds {PLACEHOLDER}")
    return template


Template = Annotated[str, AfterValidator(_holds_problem)]


TEXT, MAPPING = "<text>", "<mapping>"
"""Tags of the two forms of a value that is a text or a mapping, see `form`; no part of a parameter's name."""


def form(value: Any) -> str:
    """Say which form a value has, so that pydantic's error is about that form."""
    return MAPPING if isinstance(value, Mapping | BaseModel) else TEXT


class Settings(BaseModel):
    """A group of parameters: unknown names are refused, values cannot be changed."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


class EngineSettings(Settings):
    """An engine that completes what a checkpoint is asked; it is given the checkpoint's folder as `model`."""

    name: str = "transformers"
    """A registered name, or "package.module:Class"."""
    options: dict[str, Any] = {}
    """Further arguments of the engine's class."""


class AsksEngine(Settings):
    """Parameters that name an engine: `engine: NAME` and `options:` beside it.

    `engine: {name: NAME, options: ...}`, the form of earlier versions, is read too. Recipes of artifacts hold the
    fields of these classes, so each class keeps the fields that it had.
    """

    @model_validator(mode="before")
    @classmethod
    def _read_both_forms(cls, given: Any) -> Any:
        engine = given.get("engine") if isinstance(given, Mapping) else None
        if isinstance(engine, EngineSettings):
            engine = engine.model_dump()
        if engine is None and not (isinstance(given, Mapping) and "options" in given):
            return given
        parts = dict(engine) if isinstance(engine, Mapping) else {"name": engine} if engine is not None else {}
        if "options" in given:
            if "options" in parts:
                raise ValueError("options are in engine and beside it, expected them beside it alone")
            parts["options"] = given["options"]
        rest = {name: value for name, value in given.items() if name not in ("engine", "options")}
        if cls.model_fields["engine"].annotation is EngineSettings:
            return {**rest, "engine": parts}
        if unknown := sorted(parts.keys() - {"name", "options"}):
            raise ValueError(f"engine.{unknown[0]} does not exist, expected name and options")
        return {**rest, **({"engine": parts.pop("name")} if "name" in parts else {}), **parts}


def problem_of(error: ValidationError, where: str = "", depth: int | None = None) -> str:
    """Return one line on the first problem that pydantic has found: the name, the value, what is expected.

    Args:
        where: name of the group of parameters.
        depth: how much of the path to the value to name, None for all.
    """
    first = error.errors()[0]
    parts = [str(part) for part in first["loc"] if part not in (TEXT, MAPPING)]
    name = ".".join([where] * bool(where) + parts[:depth])
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 and depth is None else ""
    if first["type"] == "extra_forbidden":
        similar = get_close_matches(str(first["loc"][-1]), _all_names(Settings), n=1)
        return f"{name} does not exist{', did you mean ' + similar[0] + '?' if similar else ''}{more}"
    if first["type"] == "missing":
        return f"{name} is missing{more}"
    message = first["msg"].removeprefix("Value error, ")
    if not name:
        return f"{message}{more}"
    return f"{name} is {first['input']!r}: {message[0].lower() + message[1:]}{more}"


def _all_names(kind: type[Settings]) -> list[str]:
    return [*kind.model_fields, *(name for group in kind.__subclasses__() for name in _all_names(group))]
