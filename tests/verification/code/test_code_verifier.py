# ruff: noqa: E501
"""Programs are judged by their tests, and nothing that a program does fools or hurts who judges it."""

import json
import subprocess
import sys

import pytest
from grader_attacks import CRASHES, DATA, ENDS_THE_LOOP, FOOLS, USUAL

from forkpipe.core.errors import InputError
from forkpipe.core.records import Verdict
from forkpipe.parameters import VerificationSettings
from forkpipe.sandbox.base import Job, Limits, Run
from forkpipe.sandbox.local import LocalSandbox
from forkpipe.verification.base import Verifier
from forkpipe.verification.code.cases import ready
from forkpipe.verification.code.grading import Asked, grade
from forkpipe.verification.code.store import CaseStore
from forkpipe.verification.code.verifier import CodeVerifier
from forkpipe.verification.dispatch import ResponseRow
from forkpipe.verification.files import Columns, verify_file
from forkpipe.verification.limits import Unscored
from forkpipe.verification.row_verifier import RowVerifier

SQUARE = {"version": 1, "language": "python", "kind": "asserts", "entry": "f",
          "cases": [{"assert": "assert f(2) == 4"}, {"assert": "assert f(3) == 9"}]}  # fmt: skip
ADD = {"version": 1, "language": "python", "kind": "stdin",
       "cases": [{"input": "1 2\n", "output": "3\n"}, {"input": "5 6\n", "output": "11\n"}]}  # fmt: skip
RIGHT = "print(sum(map(int, input().split())))"


@pytest.fixture(scope="module")
def verifier():
    made = CodeVerifier(workers=2, cpu_seconds=1.0, memory_mb=512)
    try:
        made.verify([json.dumps(ADD)], ["```\n1\n```"], [False])
    except InputError as error:
        pytest.skip(str(error))
    yield made
    made.close()


def judge(verifier, tests, program):
    return verifier.verify([json.dumps(tests)], [f"``````python\n{program}\n``````"], [False])[0]


def test_it_is_a_verifier(verifier):
    assert isinstance(verifier, Verifier)


@pytest.mark.parametrize("name", FOOLS)
def test_what_fools_a_grader_in_one_interpreter_does_not_pass_here(verifier, name):
    """The first half proves the harm: the file of program and tests ends with success although f is wrong."""
    sandbox = LocalSandbox(1)
    usual = sandbox.run([Job((USUAL.format(program=FOOLS[name]),), limits=Limits(2.0))])[0]
    sandbox.close()
    assert usual.status == "exited"
    verdict = judge(verifier, SQUARE, FOOLS[name])
    assert verdict.verdict in ("wrong", "timeout")


@pytest.mark.parametrize(
    "test", ["assert all(map(lambda x: f(x) == x * x, [2, 3]))", "assert sum(map(f, [2, 3])) == 0"]
)
def test_a_program_cannot_end_the_loops_of_its_tests(verifier, test):
    exec(f"{ENDS_THE_LOOP}\n{test}", {})  # passes in one interpreter
    verdict = judge(verifier, {**SQUARE, "cases": [{"assert": test}]}, ENDS_THE_LOOP)
    assert (verdict.verdict, "StopIteration" in verdict.detail) == ("wrong", True)


@pytest.mark.parametrize("name", CRASHES)
def test_a_crash_takes_a_grader_in_one_interpreter_down_and_not_this_one(verifier, name):
    grader = (
        f"try:\n    exec({USUAL.format(program=CRASHES[name])!r})\nexcept BaseException:\n    pass\nprint('alive')\n"
    )
    sandbox = LocalSandbox(1)
    usual = sandbox.run([Job((grader,), limits=Limits(5.0))])[0]
    sandbox.close()
    assert (usual.status, b"alive" in usual.stdout) == ("signal", False)
    verdict = judge(verifier, SQUARE, CRASHES[name])
    assert (verdict.verdict, verdict.rule.split()[0]) == ("wrong", "signal")
    assert judge(verifier, SQUARE, "def f(x):\n    return x * x").verdict == "correct"


@pytest.mark.parametrize("name", DATA)
def test_what_comes_back_is_only_data(verifier, name):
    verdict = judge(verifier, SQUARE, DATA[name])
    assert verdict.verdict == "wrong"
    assert len(verdict.detail) < 4096
    assert verdict.detail.isprintable()


def test_verdicts_and_rules_have_their_names(verifier):
    programs = {
        RIGHT: ("correct", "lcb"),
        "print(4)": ("wrong", "lcb"),
        "raise KeyError": ("wrong", "error KeyError"),
        "x x": ("wrong", "error SyntaxError"),
        "x = bytearray(1 << 30)": ("wrong", "memory"),
        "import os\nos.fork()": ("wrong", "refused fork"),
        "import ctypes\nctypes.string_at(0)": ("wrong", "signal 11"),
        "while True:\n    pass": ("timeout", "cpu"),
        "print('x' * (20 << 20))": ("wrong", "output-limit"),
    }
    golds = [json.dumps(ADD)] * len(programs)
    verdicts = verifier.verify(golds, [f"```py\n{program}\n```" for program in programs], [False] * len(programs))
    assert [(verdict.verdict, verdict.rule) for verdict in verdicts] == list(programs.values())
    assert verdicts[0].extracted == RIGHT + "\n"
    assert verdicts[0].extracted_from == "fence"
    assert json.loads(verdicts[1].detail) | {"cpu_max": 0, "memory_max": 0} == {
        "passed": 0, "cases": 2, "input": "1 2\\n", "expected": "3\\n", "got": "4\\n", "cpu_max": 0, "memory_max": 0,
    }  # fmt: skip


def test_a_program_that_sleeps_is_tried_alone_and_then_timed_out():
    verifier = CodeVerifier(workers=2, cpu_seconds=1.0, wall_seconds=0.5)
    verdict = judge(verifier, ADD, "import time\ntime.sleep(60)")
    assert (verdict.verdict, verdict.rule) == ("timeout", "wall")
    verifier.close()


def test_all_cases_together_have_a_limit_too():
    tests = {**ADD, "cases": [{"input": "1 2\n", "output": "3\n"}] * 40}
    verifier = CodeVerifier(workers=1, cpu_seconds=2.0, total_seconds=0.3)
    slow = f"import time\nwhile time.process_time() < 0.2:\n    pass\n{RIGHT}"
    verdict = judge(verifier, tests, slow)
    assert (verdict.verdict, verdict.rule) == ("timeout", "total")
    verifier.close()


def test_sleep_in_each_case_counts_for_all_cases_together():
    tests = {**ADD, "cases": [{"input": "1 2\n", "output": "3\n"}] * 40}
    verifier = CodeVerifier(workers=1, cpu_seconds=2.0, total_seconds=2.0)
    verdict = judge(verifier, tests, f"import time\ntime.sleep(1.2)\n{RIGHT}")
    assert (verdict.verdict, verdict.rule) == ("timeout", "total")
    assert json.loads(verdict.detail)["passed"] < 10
    verifier.close()


def test_the_detail_of_an_exception_says_what_it_was(verifier):
    detail = json.loads(judge(verifier, ADD, "x = [1, 2]\n" * 50 + "print(x[5])").detail)
    assert detail["got"].endswith("IndexError: list index out of range")


def test_responses_without_a_program_and_cut_ones(verifier):
    gold = json.dumps(ADD)
    verdicts = verifier.verify(
        [gold, gold, "{}"], ["I do not know.", f"```\n{RIGHT}\n```", "```\n1\n```"], [False, True, False]
    )
    assert [verdict.verdict for verdict in verdicts] == ["unparsed", "truncated", "unparsed"]
    assert verdicts[2].rule == "gold-unparsed"


def test_the_same_program_runs_once(verifier, monkeypatch):
    gold = json.dumps({**ADD, "public": 2})
    jobs = []
    run = verifier._sandbox.run
    monkeypatch.setattr(verifier._sandbox, "run", lambda asked: jobs.extend(asked) or run(asked))
    response = f"```\n{RIGHT}  # once\n```"
    for _ in range(3):
        assert {one.verdict for one in verifier.verify([gold] * 5, [response] * 5, [False] * 5)} == {"correct"}
    assert len(jobs) == 2  # two cases


def test_a_broken_sandbox_is_no_programs_fault_and_stops_a_run():
    class Broken:
        name, workers = "broken", 1

        def run(self, jobs):
            return [Run("broken", "no worker")] * len(jobs)

    asked = [Asked(ready(json.dumps(ADD), Limits()), (RIGHT,))] * 30
    graded = grade(asked, Broken(), workers=1, total_seconds=60)
    assert {(one.verdict, one.rule) for one in graded} == {("failed", "sandbox: no worker")}
    with pytest.raises(InputError, match="30 failed"):
        check_scored([Verdict(one.verdict, rule=one.rule) for one in graded], [""] * 30, 0.5)


def test_a_policy_whose_programs_loop_does_not_stop_its_training():
    for rule in ("cpu", "wall", "total"):
        check_scored([Verdict("timeout", rule=rule)] * 30, [""] * 30, 0.5)
    with pytest.raises(InputError, match="30 timeout"):
        check_scored([Verdict("timeout", rule="worker-died")] * 30, [""] * 30, 0.5)


def test_functions_are_called_and_compared_outside(verifier):
    tests = {"version": 1, "language": "python", "kind": "function", "entry": "twoSum",
             "cases": [{"args": [[2, 7], 9], "output": [0, 1]}]}  # fmt: skip
    program = "class Solution:\n    def twoSum(self, nums: List[int], target: int):\n        print('noise')\n        return (0, 1)\n"
    assert judge(verifier, tests, program).verdict == "correct"
    assert judge(verifier, tests, "def twoSum(a, b):\n    return [0, 1.0]").verdict == "correct"
    exact = {**tests, "compare": {"rule": "exact"}}
    assert judge(verifier, exact, "def twoSum(a, b):\n    return [0, 1.0]").verdict == "wrong"
    assert judge(verifier, tests, "def other(a, b):\n    return [0, 1]").rule == "error NameError"
    generator = judge(verifier, tests, "def twoSum(a, b):\n    yield 0\n    yield 1")
    assert '"type": "generator"' in json.loads(generator.detail)["got"]


def test_a_prompt_goes_in_front_of_what_needs_it(verifier):
    tests = {"version": 1, "language": "python", "kind": "asserts", "entry": "g", "prompt":
             "from typing import List\n\ndef helper(x):\n    return x + 1\n\ndef g(x: List[int]) -> int:\n    '''Sum.'''\n",
             "cases": [{"assert": "assert g([1, 2]) == 4"}, {"assert": "for n in range(3):\n    assert g([n]) == helper(n)"}]}  # fmt: skip
    for program in ("    return helper(sum(x))\n", "def g(x: List[int]):\n    return helper(sum(x))\n"):
        assert judge(verifier, tests, program).verdict == "correct", program
    assert judge(verifier, tests, "    return sum(x)\n").verdict == "wrong"


def test_unprovable_gold_answers_are_refused_with_the_reason(verifier):
    bad = {
        "": "expected JSON text",
        json.dumps({**ADD, "language": "cpp"}): "language is 'cpp', only python is run",
        json.dumps({**ADD, "cases": []}): "cases is empty",
        json.dumps({**ADD, "cases": [{"input": "1"}]}): "cases.0: output: Field required",
        json.dumps({**SQUARE, "entry": None}): "entry is missing",
        json.dumps({**ADD, "interactive": True}): "interactive",
        json.dumps({**SQUARE, "cases": [{"assert": "assert f(Pair(1)) == 2"}]}): "needs 'Pair' of the program",
        json.dumps({**ADD, "cases": [], "tests_file": {"path": "a", "sha256": "0" * 64}}): "expected a folder",
        json.dumps({**ADD, "extra": 1}): "extra: Extra inputs are not permitted",
    }  # fmt: skip
    assert verifier.check_gold([json.dumps(ADD), *bad]) == [True] + [False] * len(bad)
    for gold, said in bad.items():
        assert said in verifier.why_not(gold)


def test_large_cases_lie_in_a_store(tmp_path):
    store = CaseStore(tmp_path)
    reference = store.add(ADD["cases"])
    assert store.add(ADD["cases"]) == reference
    tests = {**ADD, "cases": [], "tests_file": reference}
    verifier = CodeVerifier(workers=1, tests=str(tmp_path))
    assert judge(verifier, tests, RIGHT).verdict == "correct"
    verifier.close()
    with pytest.raises(InputError, match="holds no cases"):
        ready(json.dumps({**tests, "tests_file": store.add([])}), Limits(), store)
    cut = tmp_path / "copy" / reference["path"]
    cut.parent.mkdir(parents=True)
    cut.write_bytes((tmp_path / reference["path"]).read_bytes()[:-3])
    with pytest.raises(InputError, match="cannot be read as test cases"):
        CaseStore(tmp_path / "copy").load(**reference)
    other = {**reference, "path": "../outside"}
    with pytest.raises(InputError, match="lies outside"):
        store.load(**other)


def test_rewards_and_rows_take_programs(verifier):
    rows = [
        ResponseRow("code", json.dumps(ADD), f"```\n{program}\n```", "done", "stop") for program in (RIGHT, "print(1)")
    ]
    with RowVerifier(VerificationSettings(options={"code": {"workers": 1}}), reward=True) as rows_verifier:
        found = rows_verifier.verify(rows)
    assert [(row["verdict"], row["verifier"]) for row in found] == [("correct", "code"), ("wrong", "code")]


def test_files_of_programs_are_verified(tmp_path, verifier):
    rows = [{"tests": ADD, "text": f"```\n{RIGHT}\n```"}, {"tests": json.dumps(ADD), "text": "```\nprint(0)\n```"}]
    source, output = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    columns = Columns("tests", "text")
    summary = verify_file(str(source), str(output), columns=columns, verifier=verifier)
    assert dict(summary.counts) == {"correct": 1, "wrong": 1}
    assert json.loads(json.loads(output.read_text().splitlines()[1])["detail"])["got"] == "0\\n"
    source.write_text(json.dumps({**rows[0], "detail": "mine"}) + "\n")
    with pytest.raises(InputError, match="row 1: column 'detail' is there already"):
        verify_file(str(source), str(output), columns=columns, verifier=verifier)
    with pytest.raises(InputError, match="expected no --bare with programs"):
        verify_file(str(source), str(output), columns=columns._replace(bare=True), verifier=verifier)


def test_livecodebenchs_own_grader_is_emulated():
    """It does not wait for threads, and nothing comes on its file descriptor 0; both are right programs."""
    thread = "import threading, time\ndef main():\n    time.sleep(0.1)\n    print(sum(map(int, input().split())))\nthreading.Thread(target=main).start()"
    descriptor = "print(sum(map(int, open(0).read().split())))"
    programs = [RIGHT, thread, descriptor]
    found = {}
    for grader in ("forkpipe", "livecodebench"):
        verifier = CodeVerifier(workers=2, cpu_seconds=1.0, grader=grader)
        responses = [f"```\n{program}\n```" for program in programs]
        found[grader] = [one.verdict for one in verifier.verify([json.dumps(ADD)] * 3, responses, [False] * 3)]
        verifier.close()
    assert found == {"forkpipe": ["correct"] * 3, "livecodebench": ["correct", "wrong", "timeout"]}


def test_every_verdict_says_that_tests_were_public_only_or_that_another_grader_is_meant():
    golds = [json.dumps({**ADD, "partial": 1})] * 4
    responses = [f"```\n{RIGHT}\n```", "```\nprint(1)\n```", "nothing", f"```\n{RIGHT}\n```"]
    for grader in ("forkpipe", "livecodebench"):
        verifier = CodeVerifier(workers=1, grader=grader)
        verdicts = verifier.verify(golds, responses, [False, False, False, True])
        assert [one.verdict for one in verdicts] == ["correct", "wrong", "unparsed", "truncated"]
        said = [json.loads(one.detail) for one in verdicts]
        assert all(one["public_only"] is True for one in said)
        assert {one.get("grader", "forkpipe") for one in said} == {grader}
        assert "public_only" not in verifier.verify([json.dumps(ADD)], responses[:1], [False])[0].detail
        verifier.close()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"cpu_seconds": 0}, "cpu_seconds is 0"),
        ({"memory_mb": 1}, "memory_mb is 1, expected at least 64"),
        ({"backend": "docker"}, "backend 'docker' is unknown"),
        ({"grader": "x"}, "grader is 'x'"),
        ({"backend": "piston"}, "url is ''"),
    ],
)  # fmt: skip
def test_wrong_options_are_named(options, said):
    with pytest.raises(InputError, match=said):
        CodeVerifier(**options)


def test_the_sandbox_imports_nothing_of_the_package_but_its_errors():
    code = "import sys, forkpipe.sandbox.local, forkpipe.sandbox.probe\nprint([n for n in sys.modules if n.startswith('forkpipe')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    rooms = {name.split(".")[1] for name in json.loads(done.stdout.replace("'", '"')) if "." in name}
    assert rooms == {"sandbox", "core"}


def check_scored(verdicts, responses, limit) -> None:
    unscored = Unscored(limit)
    unscored.add(verdicts, responses)
    unscored.check()
