"""The laboratory of docs/results: its file of results survives a kill and several writers; its pairs and statistics."""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "docs/results"))
from laboratory import CATALOG, POLICIES, SUPERVISED, pairs_of, parameters_of, settings_of
from studies import Results, difference, in_processes

from forkpipe.parameters import Schedule

ROOT = Path(__file__).parents[1]


def write(path, number):
    Results(path, ("number",)).add({"number": number, "text": "x" * 5000})


def test_a_line_that_a_kill_cut_off_is_run_again_and_replaced(tmp_path):
    path = tmp_path / "results.jsonl"
    Results(path, ("a", "b")).add({"a": 1, "b": "x", "value": 2.0})
    with path.open("a") as file:
        file.write('{"a": 2, "b": "y", "val')
    results = Results(path, ("a", "b"))
    assert results.has(1, "x")
    assert not results.has(2, "y")
    results.add({"a": 2, "b": "y", "value": 3.0})
    assert [json.loads(line)["value"] for line in path.read_text().splitlines()] == [2.0, 3.0]


def test_lines_of_two_processes_do_not_mix(tmp_path):
    path = tmp_path / "results.jsonl"
    in_processes(write, [(path, number) for number in range(12)], 2)
    assert sorted(row["number"] for row in Results(path, ("number",)).rows) == list(range(12))


def test_pairs():
    assert pairs_of(["3", "7:1", "10-12"]) == [(3, 3), (7, 1), (10, 10), (11, 11), (12, 12)]


def test_a_difference_takes_the_pairs_that_both_have():
    first, second = {(0, 0): 0.5, (1, 1): 0.7, (2, 2): 0.9}, {(1, 1): 0.6, (2, 2): 0.6, (3, 3): 0.1}
    # Gains .1 and .3: mean .2, sd .1414; bootstrap means are .1, .2 or .3; (1.96 + .8416)^2 (.1414 / .2)^2 = 3.9.
    assert difference(first, second, 0.2) == "+0.200 ± 0.141 | 2 of 2 | [+0.100, +0.300] | 4"
    assert difference({(0, 0): 0.5}, second, 0.2) is None


def test_every_variant_is_one_that_can_be_trained(monkeypatch):
    monkeypatch.chdir(ROOT)
    parameters = parameters_of("base", 0, samples=2)
    assert parameters.evaluation.samples_per_tag == 2
    for changes in SUPERVISED.values():
        settings_of(parameters, changes)
    for plan in POLICIES.values():
        assert plan["parent"] in SUPERVISED
        phases = (
            Schedule.model_validate(plan["phases"]) if "phases" in plan else getattr(parameters, plan["method"]).train
        )
        assert sum(phases.steps(parameters.rollouts).values()) >= parameters.rollouts.steps
    assert {name for names in CATALOG["studies"].values() for name in names} <= {*SUPERVISED, *POLICIES}
