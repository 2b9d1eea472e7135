"""Which nodes a named pipeline runs."""

from kedro.io import DataCatalog, MemoryDataset
from kedro.pipeline import Node, Pipeline

from forkpipe.session import UpstreamRunner, nodes_needed

RAN = []


def note(name):
    def work(*inputs):
        RAN.append(name)
        return name

    return work


PIPELINE = Pipeline(
    [
        Node(note("a"), ["raw"], "a", name="a"),
        Node(note("b"), ["a"], "b", name="b"),
        Node(note("c"), ["b", "a"], "c", name="c"),
        Node(note("d"), ["c"], "d", name="d", tags="target"),
        Node(note("e"), ["d"], "e", name="e", tags="target"),
    ]
)


def needed(*there):
    targets = [node for node in PIPELINE.nodes if "target" in node.tags]
    return "".join(sorted(node.name for node in nodes_needed(PIPELINE, targets, there.__contains__)))


def test_what_is_missing_is_made_and_nothing_else():
    assert needed() == "abcde"
    assert needed("c") == "de"
    assert needed("b") == "acde"  # c is missing and reads a, which is missing too
    assert needed("a", "b") == "cde"
    assert needed("c", "d", "e") == "de"  # the target's own nodes run in any case
    assert needed("c", "raw") == "de"  # what lies above something that is there is not asked for


def test_the_runner_runs_them():
    RAN.clear()
    catalog = DataCatalog({"raw": MemoryDataset(1), "b": MemoryDataset("b"), "a": MemoryDataset("a")})
    UpstreamRunner(["target"]).run(PIPELINE, catalog)
    assert RAN == ["c", "d", "e"]
