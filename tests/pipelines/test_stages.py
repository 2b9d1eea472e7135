"""Nodes in boxes: what is a name, what is an input, what is a store."""

import inspect

import pytest
from kedro.io import DataCatalog, MemoryDataset
from kedro.pipeline import Pipeline
from kedro.runner import SequentialRunner

from forkpipe.hooks import ProjectHooks
from forkpipe.parameters import Comparison
from forkpipe.parameters.benchmarks import BenchmarksSettings
from forkpipe.parameters.methods import COMPARED, METHODS, POLICY, SUPERVISED, TAGGED, lineage
from forkpipe.pipeline_registry import register_pipelines
from forkpipe.pipelines.nodes import concatenate_methods
from forkpipe.pipelines.stages import StageNode
from forkpipe.report.figures.registry import FIGURES
from forkpipe.wiring import wired_for

with wired_for(Comparison(benchmarks=BenchmarksSettings(use=["aime24"]))):
    NODES = register_pipelines()["__default__"].nodes


def add(left, right, *, store):
    store.append(left + right)
    return left + right


def node():
    return StageNode(add, {"right": "b", "left": "a"}, "sum", stores={"store": "kept"}, name="m.add", box="outer.inner")


def test_the_box_is_no_part_of_the_name_and_a_store_is_no_input():
    assert (node().name, node().namespace, node().inputs) == ("m.add", "outer.inner", ["a", "b"])
    assert Pipeline([node()]).inputs() == {"a", "b"}


def test_a_copy_is_the_same_but_for_its_changes():
    copied = Pipeline([node()], tags="late").nodes[0]
    assert (copied.name, copied.inputs, copied.stores, copied.tags) == ("m.add", ["a", "b"], ("kept",), {"late"})
    renamed = Pipeline([node()], inputs={"a": "c"}).nodes[0]
    assert renamed.inputs == ["c", "b"]
    assert node().inputs == ["a", "b"]


def test_hooks_hand_a_node_its_stores():
    from kedro.framework.hooks import _create_hook_manager

    kept = []
    hooks = _create_hook_manager()
    hooks.register(type("Stores", (), {"before_node_run": ProjectHooks.before_node_run})())
    catalog = DataCatalog({name: MemoryDataset(value) for name, value in {"a": 1, "b": 2}.items()})
    catalog["kept"] = MemoryDataset(kept, copy_mode="assign")
    made = SequentialRunner().run(Pipeline([node()]), catalog, hooks)
    assert made["sum"].load() == 3
    assert kept == [3]


@pytest.mark.parametrize("node", NODES, ids=lambda node: node.name)
def test_kedro_finds_the_type_of_every_parameter(node):
    """It takes the n-th input for the n-th argument, so arguments of stores come after those of parameters."""
    by_position = dict(zip(node.inputs, inspect.signature(node.func).parameters, strict=False))
    parameters = {argument: name for argument, name in node._inputs.items() if name.startswith("params:")}
    assert {by_position[name]: name for name in parameters.values()} == parameters


def test_a_method_is_trained_sampled_and_scored_in_boxes_of_its_name():
    boxes = {node.name: node.namespace for node in NODES}
    for method in COMPARED:
        assert boxes.get(f"{method}.train") == (f"training.{method}" if method in METHODS else None)
        assert boxes[f"{method}.generate"] == boxes[f"{method}.score"] == f"evaluation.{method}"


def test_entries_of_methods_agree_with_one_another():
    assert len({method.colour for method in COMPARED.values()}) == len(COMPARED)
    assert sorted([*SUPERVISED, *POLICY]) == sorted(METHODS)  # each is the one or the other
    for name, method in METHODS.items():
        assert all((baseline in POLICY) == (name in POLICY) for baseline in method.versus)
        assert lineage(name)[0] in SUPERVISED
        assert (name in TAGGED) == (SUPERVISED[lineage(name)[0]] != "single")


def test_every_figure_is_drawn_saved_and_reported():
    by_name = {node.name: node for node in NODES}
    saved = {f"figure_{name}" for name in FIGURES}
    assert set(by_name["make_figures"].outputs) == saved
    assert saved <= set(by_name["make_report"].inputs)
    assert {name for figure in FIGURES.values() for name in figure.inputs} == set(by_name["make_figures"].inputs)


def test_tables_of_methods_come_together_by_kind():
    import pyarrow as pa

    a, b, c = (pa.table({"method": [name]}) for name in "abc")
    made = concatenate_methods(scores__a=a, rewards__c=c, scores__b=b)
    assert {kind: table["method"].to_pylist() for kind, table in made.items()} == {
        "scores": ["a", "b"],
        "rewards": ["c"],
    }
