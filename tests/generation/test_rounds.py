"""Asking in rounds: real teachers, a real store, verdicts and strategies; killed, resumed, limited."""

import os
import signal

import pyarrow as pa
import pytest

from forkpipe.core.errors import InputError
from forkpipe.core.records import Problem
from forkpipe.demo.modular_powers import Power, render
from forkpipe.demo.procedural import ProceduralEngine
from forkpipe.engines.registry import create_engines
from forkpipe.generation import generating
from forkpipe.generation.requests import plan_requests
from forkpipe.parameters import GenerationSettings, ParallelSettings, StrategySettings, VerificationSettings
from forkpipe.pipelines.implementations import teachers_of
from forkpipe.stores.results import ResultStore
from forkpipe.stores.trace_store import TraceStore
from forkpipe.strategies.clusterer import StepClusterer
from forkpipe.strategies.linkage import far_apart, link

PROBLEMS = [
    Problem.create(render(it), str(pow(*it)), answer_type="integer", source="demo", source_id=str(it.b))
    for it in (Power(a, b, 17) for a in (3, 5, 6, 7) for b in (20, 41, 77))
]
TABLE = pa.Table.from_pylist([{**problem.to_row(), "split": "train"} for problem in PROBLEMS])
STRATEGIES = ("square_multiply", "peasant", "cycle", "fermat")


def settings(**changes):
    teachers = {
        name: {
            "engine": "procedural",
            "options": {"strategy": name, "error_rate": 0.5},
            "samples": 3,
            "sampling": {"max_tokens": 28},
            "price": {"output": 1 + number},
        }
        for number, name in enumerate(STRATEGIES)
    }
    return GenerationSettings.model_validate(
        {"teachers": teachers, "target": {"correct": 2, "distinct": 2}, "early_stop": None, **changes}
    )


def generate(path, given=None):
    """Run the node; return (rows of traces without their run, totals, rows of rejected)."""
    store = TraceStore(path)
    batches, totals, rejected = generating.generate_traces(
        TABLE,
        given or settings(),
        VerificationSettings(),
        StrategySettings(),
        ParallelSettings(workers=1),
        store=store,
        verdicts=ResultStore(path.with_name(f"{path.name} verdicts")),
        clusters=ResultStore(path.with_name(f"{path.name} clusters")),
    )
    rows = [row for batch in batches for row in batch.to_pylist()]
    return [{**row, "run_id": "", "seconds": 0.0} for row in rows], totals, rejected


def asked(totals):
    return sum(counted["asked"] for counted in totals.values())


def enough(rows):
    """Return the problems with two distinct correct texts of two strategies, as the clusterer sees them."""
    clusterer, reached = StepClusterer(), set()
    for problem in PROBLEMS:
        answer = f"\\boxed{{ {problem.answer} }}"
        mine = [row for row in rows if row["problem_id"] == problem.problem_id and row["finish_reason"] == "stop"]
        texts = list(dict.fromkeys(row["text"] for row in mine if answer in row["text"]))
        if len(texts) < 2:
            continue
        distances = clusterer.distances(problem.problem, texts)
        clusters = link(texts, distances, clusterer.threshold)
        if len(far_apart(distances, clusters.representatives, clusterer.threshold)) >= 2:
            reached.add(problem.problem_id)
    return reached


def test_problems_get_what_the_target_says_and_the_plan_is_the_same_again(tmp_path):
    rows, totals, rejected = generate(tmp_path / "store")
    assert {row["id"] for row in rejected} == {problem.problem_id for problem in PROBLEMS} - enough(rows)
    assert enough(rows)
    assert {row["stage"] for row in rejected} <= {"generation"}
    assert asked(totals) == len(rows) < 12 * 12
    again, totals_again, rejected_again = generate(tmp_path / "store")
    assert (again, rejected_again) == (rows, rejected)
    assert asked(totals_again) == 0
    # The requests are among those that the same teachers have without a target, and no other.
    given = settings(target=None)
    plans = [plan_requests(PROBLEMS, name, given.asked[name], it) for name, it in create_engines(given.asked).items()]
    assert {row["request_id"] for row in rows} < {request.request_id for plan in plans for request in plan}


def test_a_killed_run_goes_on_with_the_same_plan(tmp_path, monkeypatch):
    undisturbed, totals, rejected = generate(tmp_path / "undisturbed")
    whole = ProceduralEngine.generate
    sizes = []
    for most in (3, 30, 15):  # answers until a process is killed: in the first round, in a later one, and again
        pid = os.fork()
        if pid == 0:
            answered = 0

            def dying(self, requests, most=most):
                nonlocal answered
                for completion in whole(self, requests):
                    if answered == most:
                        os.kill(os.getpid(), signal.SIGKILL)
                    answered += 1
                    yield completion

            monkeypatch.setattr(ProceduralEngine, "generate", dying)
            try:
                generate(tmp_path / "store")
            finally:
                os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) in (-signal.SIGKILL, 1)
        with (store := TraceStore(tmp_path / "store")):
            sizes.append(len(store.index()))
    assert sizes[0] == 3
    assert sizes == sorted(sizes)
    rows, left, rejected_here = generate(tmp_path / "store")
    assert (rows, rejected_here) == (undisturbed, rejected)
    assert asked(left) == asked(totals) - sizes[-1]
    with (store := TraceStore(tmp_path / "store")):
        assert len(store.index()) == len(rows)  # nothing was asked that the plan does not hold


def test_a_limit_ends_the_plan_and_says_which_problems_lack_traces(tmp_path):
    whole, _, _ = generate(tmp_path / "whole")
    with pytest.raises(InputError, match=r"generation\.limits\.tokens is 400, .* requests are not asked"):
        generate(tmp_path / "store", settings(limits={"tokens": 400}))
    rows, totals, rejected = generate(tmp_path / "other", settings(limits={"tokens": 400, "partial": True}))
    assert 0 < len(rows) < len(whole)
    assert {row["id"] for row in rejected} == {problem.problem_id for problem in PROBLEMS} - enough(rows)
    assert any("the run ended: generation.limits.tokens is 400" in row["detail"] for row in rejected)
    # With more to spend the same plan goes on.
    rows, _, _ = generate(tmp_path / "store")
    assert rows == whole
    assert totals.keys() == set(STRATEGIES)


def test_what_judges_counts_for_the_recipe_only_with_a_target():
    def described(given, **strategies):
        parameters = {
            "params:generation": given,
            "params:verification": VerificationSettings(),
            "params:strategies": StrategySettings(**strategies),
        }
        return [getattr(it, "identity", it.__name__ if isinstance(it, type) else "") for it in teachers_of(parameters)]

    other = {"options": {"threshold": 0.2}}
    assert described(settings(target=None)) == described(settings(target=None), **other)
    assert described(settings()) != described(settings(), **other)
