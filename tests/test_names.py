"""Names that stand in strings, which no import checks: each is of something that exists."""

import importlib
import importlib.util
from fnmatch import fnmatchcase
from functools import cache
from importlib.metadata import version
from typing import get_args, get_origin

import pytest
from pydantic import BaseModel

import forkpipe
import forkpipe.strategies
from forkpipe import preflight
from forkpipe.core.plugins import find_class
from forkpipe.engines.registry import ENGINES
from forkpipe.parameters import Parameters
from forkpipe.parameters.comparison import comparison_of
from forkpipe.parameters.methods import COMPARED
from forkpipe.parameters.policy import Phase
from forkpipe.pipeline_registry import register_pipelines
from forkpipe.session import DECLARED
from forkpipe.strategies.registry import CLUSTERERS
from forkpipe.verification.registry import VERIFIERS
from forkpipe.wiring import wired_for


def parameter_names(kind, name):
    """Yield the dotted names that the types of parameters allow, "NAME" for the keys of a dict."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        for field, info in kind.model_fields.items():
            yield from parameter_names(info.annotation, f"{name}.{field}" if name else field)
    elif get_origin(kind) is dict:
        yield from parameter_names(get_args(kind)[1], f"{name}.NAME")
    else:
        yield name
        for part in get_args(kind):
            yield from parameter_names(part, name)


@cache
def nodes():
    with wired_for(comparison_of({"benchmarks": {"measure": {"methods": [*COMPARED]}}})):
        return {node.name: node for pipeline in register_pipelines().values() for node in pipeline.nodes}


def test_declared_modules_and_packages_exist():
    for module in DECLARED.exempt_modules:
        importlib.import_module(module)
    assert all(version(package) for package in DECLARED.versions_of)


@pytest.mark.parametrize("pattern", DECLARED.ignored_parameters)
def test_an_ignored_parameter_exists(pattern):
    node, _, pattern = pattern.removeprefix("!").rpartition(":")
    inputs = [f"params:{name}" for name in Parameters.model_fields]
    if node:
        inputs = [given for name, of in nodes().items() if fnmatchcase(name, node) for given in of.inputs]
    read = [name.removeprefix("params:") for name in inputs if name.startswith("params:")]
    known = [name for name in parameter_names(Parameters, "") if any(f"{name}.".startswith(f"{r}.") for r in read)]
    assert any(fnmatchcase(name, pattern) or fnmatchcase(pattern, name.replace("NAME", "*")) for name in known)


def test_the_nodes_that_preflight_checks_exist():
    assert preflight.CHECKS.keys() | preflight.SPLITS_NEEDED.keys() <= nodes().keys()


@pytest.mark.parametrize("package", [forkpipe, forkpipe.strategies])
def test_what_a_package_offers_lazily_exists(package):
    assert package._OFFERED
    for name, module in package._OFFERED.items():
        # A module of the same name would hide it, once it is imported.
        assert getattr(package, name) is getattr(importlib.import_module(f"{package.__name__}.{module}"), name)


@pytest.mark.parametrize(
    ("known", "name"), [(known, name) for known in (ENGINES, VERIFIERS, CLUSTERERS) for name in known]
)
def test_every_registered_class_exists(known, name, monkeypatch):
    # The modules load without the packages of their extras, which their classes import when they need them.
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda wanted: find(wanted) or object())
    assert isinstance(find_class("class", known, name, "here"), type)


@pytest.mark.parametrize("phase", get_args(get_args(Phase)[0]))
def test_the_function_that_runs_a_phase_exists(phase):
    module, name = phase.runner.split(":")
    assert callable(getattr(importlib.import_module(module), name))
