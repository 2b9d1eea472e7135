"""Values that depend on what is run: `when_scratch`, `when_pretrained` and so on, top-level sections of the parameters.

What fits a model of 160,000 weights trained from scratch ruins a pretrained one, and what suits teachers that are
programs leaves few sets of the traces of models. So `conf/base/parameters_defaults.yml` says such values once for each
case. The sections that apply are put beneath all other parameters: an environment, or `--params`, changes single values
as ever.
"""

from collections.abc import Callable, Mapping
from typing import Any

from forkpipe.core.errors import InputError
from forkpipe.parameters.training import SCRATCH

PREFIX = "when_"


def resolve(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters with the sections that apply beneath them, and without those sections.

    >>> raw = {"when_scratch": {"cpu_threads": 1}, "when_pretrained": {"cpu_threads": None}}
    >>> resolve({**raw, "model": {"source": "Qwen/Qwen3-0.6B"}})
    {'cpu_threads': None, 'model': {'source': 'Qwen/Qwen3-0.6B'}}

    Raises:
        InputError: a section `when_...` is not one of `CONDITIONS`, or is no mapping.
    """
    sections = {name.removeprefix(PREFIX): value for name, value in raw.items() if str(name).startswith(PREFIX)}
    for name, section in sections.items():
        if name not in CONDITIONS:
            expected = ", ".join(PREFIX + known for known in CONDITIONS)
            raise InputError(f"parameter {PREFIX}{name} does not exist, expected one of: {expected}")
        if not isinstance(section, Mapping):
            raise InputError(f"parameter {PREFIX}{name} is {section!r}, expected parameters with their values")
    given = {name: value for name, value in raw.items() if not str(name).startswith(PREFIX)}
    values: dict[str, Any] = {}
    for name, applies in CONDITIONS.items():
        if name in sections and applies(_over(values, given)):
            values = _over(values, sections[name])
    return _over(values, given)


def _over(lower: Mapping[str, Any], upper: Mapping[str, Any]) -> dict[str, Any]:
    """Return a mapping with the values of both; where both have one, mappings are merged and else the upper counts."""
    merged = dict(lower)
    for name, value in upper.items():
        below = merged.get(name)
        both = isinstance(value, Mapping) and isinstance(below, Mapping)
        merged[name] = _over(below, value) if both else value  # type: ignore[arg-type]
    return merged


def _part(raw: Any, *names: str) -> Any:
    """Return the value at a path, None where there is none: the values are not checked yet."""
    for name in names:
        raw = raw.get(name) if isinstance(raw, Mapping) else None
    return raw


def _from_scratch(raw: Mapping[str, Any]) -> bool:
    return _part(raw, "model", "source") in (None, SCRATCH)


def _has_adapters(raw: Mapping[str, Any]) -> bool:
    return not _from_scratch(raw) and _part(raw, "supervised", "lora") is not None


def _asked(raw: Mapping[str, Any]) -> list[Any]:
    teachers, use = _part(raw, "generation", "teachers"), _part(raw, "generation", "use")
    if not isinstance(teachers, Mapping):
        return []
    return [teachers.get(name) for name in (use if isinstance(use, list) and use else teachers)]


def _is_program(teacher: Any) -> bool:
    """Whether a teacher is a program of the embedded default, on this machine or on the actors of Ray."""
    return "procedural" in (_part(teacher, "engine"), _part(teacher, "options", "engine"))


def _programs(raw: Mapping[str, Any]) -> bool:
    asked = _asked(raw)
    return bool(asked) and all(map(_is_program, asked))


CONDITIONS: dict[str, Callable[[Mapping[str, Any]], bool]] = {
    "scratch": _from_scratch,
    "pretrained": lambda raw: not _from_scratch(raw),
    "adapters": _has_adapters,
    "programs": _programs,
    "one_teacher": lambda raw: len(_asked(raw)) == 1 and not _programs(raw),
}
"""Name of a section, without `when_`, and when it applies; of two that apply, the later one counts."""
