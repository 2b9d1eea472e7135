"""The environment `programs`, from problems to verified trace sets, and the commands that take programs."""

import json
import subprocess
import sys

import pyarrow.parquet as pq
import pytest

from forkpipe.core.errors import InputError
from forkpipe.core.records import Request
from forkpipe.datasets.programs import ProgramsDataset
from forkpipe.demo.programs import SmallProgramsDataset
from forkpipe.demo.small_programs import STRATEGIES, ProgramTeacher, all_folds, gold_of_fold, problem_rows, reference
from forkpipe.sandbox.local import LocalSandbox
from forkpipe.verification.code.tests import read_tests
from test_end_to_end import Project


@pytest.fixture(scope="module")
def isolates():
    sandbox = LocalSandbox(1)
    try:
        sandbox.describe()
    except InputError as error:
        pytest.skip(str(error))
    sandbox.close()


def test_from_problems_to_verified_trace_sets(isolates, tmp_path):
    project = Project(tmp_path)
    command = ("run", "--env=programs", "--pipelines=trace_generation")
    project.kedro(*command)
    data = tmp_path / "data" / "programs" / "seed0"
    verdicts = pq.read_table(data / "03_primary/verdicts.parquet").to_pylist()
    traces = {row["trace_id"]: row for row in pq.read_table(data / "03_primary/traces.parquet").to_pylist()}
    assert {row["verdict"] for row in verdicts} == {"correct", "wrong"}
    assert {row["verifier"] for row in verdicts} == {"code"}
    sets = pq.read_table(data / "05_model_input/trace_sets.parquet").to_pylist()
    assert len(sets) > 40
    correct = {row["trace_id"] for row in verdicts if row["verdict"] == "correct"}
    for row in sets:
        assert len({trace["strategy"] for trace in row["traces"]}) == len(row["traces"]) >= 2
        assert all(trace["trace_id"] in correct for trace in row["traces"])
    assert 0 < len(correct) < len(traces)
    assert "nothing to run" in project.kedro(*command)


def test_every_strategy_writes_right_programs(isolates):
    """The teachers' programs, run here in the interpreter since they are ours, against the reference."""
    for strategy in STRATEGIES:
        teacher = ProgramTeacher(strategy=strategy)
        for number, row in enumerate(problem_rows()):
            request = Request.create(
                problem_id="p", problem=row["problem"], asked_of="t", revision="1", prompt="p", sample=number,
                sampling=_sampling(),
            )  # fmt: skip
            text = next(iter(teacher.generate([request]))).text
            names = {}
            exec(text.partition("```python\n")[2].removesuffix("```"), names)
            for case in json.loads(row["answer"])["cases"]:
                assert names["fold"](list(case["args"][0])) == case["output"], (strategy, row["problem"])


def _sampling():
    from forkpipe.core.records import Sampling

    return Sampling()


def test_the_reference_by_hand():
    """Of the even numbers of 1, 2, 4 the squares are 4 and 16: their sum is 20, 16 - (4 - 0) is 12."""
    by_name = {(fold.kept, fold.taken, fold.folded.split(",")[0]): fold for fold in all_folds()}
    assert reference(by_name["the even numbers", "their squares", "sum"], [1, 2, 4]) == 20
    assert reference(by_name["the even numbers", "their squares", "alternating difference"], [1, 2, 4]) == 12
    assert len(by_name) == len(SmallProgramsDataset().load()) == 100
    assert read_tests(json.dumps(gold_of_fold(all_folds()[0]))).entry == "fold"


@pytest.mark.parametrize(
    ("options", "said"),
    [({"strategy": "x"}, "strategy .x. is unknown"), ({"strategy": "loop", "error_rate": 2}, "error_rate is 2")],
)  # fmt: skip
def test_a_wrong_teacher_is_named(options, said):
    with pytest.raises(InputError, match=said):
        ProgramTeacher(**options)


def test_a_published_data_set_becomes_problems(tmp_path):
    rows = [
        {"text": "Return x.", "code": "def f(x):\n    return x", "task_id": n, "test_list": ["assert f(1) == 1"]}
        for n in (1, 2)
    ]
    file = tmp_path / "mbpp.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    loaded = ProgramsDataset(str(file)).load()
    assert [row["id"] for row in loaded] == ["1", "2"]
    assert read_tests(loaded[0]["answer"]).entry == "f"
    with pytest.raises(Exception, match="window 'lcb' is unknown"):
        ProgramsDataset(str(file), window="lcb").load()


def test_livecodebench_becomes_problems_as_it_is_asked(tmp_path, caplog):
    row = {
        "question_content": "Add.", "question_id": "q1", "contest_date": "2024-10-01", "starter_code": "class S: ...",
        "metadata": "{}", "public_test_cases": json.dumps([{"input": "1", "output": "2"}]),
    }  # fmt: skip
    file = tmp_path / "lcb.jsonl"
    file.write_text(json.dumps(row) + "\n")
    with caplog.at_level("WARNING", logger="forkpipe"):
        (plain,) = ProgramsDataset(str(file), public_only=True).load()
    assert "public tests only for 1 of 1 problems" in caplog.text
    assert plain["problem"] == "Add.\n\nStarter code:\n```python\nclass S: ...\n```"
    (asked,) = ProgramsDataset(str(file), public_only=True, prompt=True).load()
    assert asked["problem"].startswith("You will be given a question")
    assert "class S: ..." in asked["problem"]
    with pytest.raises(Exception, match="row 1: field 'private_test_cases' is missing"):
        ProgramsDataset(str(file)).load()


def _livecodebench(number, private):
    cases = [{"input": "3 4", "output": "7"}]
    return {
        "question_content": f"Add {number}.", "question_id": ["abc350_c", "q1", "q2"][number],
        "contest_date": "2024-10-01",
        "platform": "atcoder", "difficulty": ["easy", "hard", "hard"][number], "starter_code": "", "metadata": "{}",
        "public_test_cases": json.dumps([{"input": "1 2", "output": "3"}]),
        "private_test_cases": json.dumps(cases) if private else "",
    }  # fmt: skip


def test_the_command_line_gives_figures_of_livecodebench_by_subset(isolates, tmp_path):
    """abc350_c is among the errata; q2 has public tests only, which a constant passes."""
    problems, responses = tmp_path / "lcb.jsonl", tmp_path / "in.jsonl"
    problems.write_text("".join(json.dumps(_livecodebench(n, private=n < 2)) + "\n" for n in range(3)))
    right, constant = "print(sum(map(int, input().split())))", "print(3)"
    rows = [("abc350_c", constant), ("q1", right), ("q1", constant), ("q2", constant)]
    responses.write_text("".join(json.dumps({"question_id": i, "r": f"```\n{p}\n```"}) + "\n" for i, p in rows))
    command = [sys.executable, "-c", "from forkpipe.commands.standalone import main; main()", "verify", str(responses),
               f"--problems={problems}", "--response=r", f"--output={tmp_path / 'out.jsonl'}"]  # fmt: skip
    refused = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (refused.returncode, "row 3: field 'private_test_cases' is missing" in refused.stderr) == (1, True)
    said = subprocess.run([*command, "--public-only"], check=True, capture_output=True, text=True).stdout
    figures = {line.split("  ")[0]: line for line in said.splitlines()}
    expected = {  # q1 is right in half of its samples
        "all": ("50.00", "public tests only for 1 of 3 problems"), "errata=none": ("75.00", "for 1 of 2 problems"),
        "errata=wrong tests": ("0.00", "]"), "difficulty=easy": ("0.00", "]"), "difficulty=hard": ("75.00", "problems"),
        "platform=atcoder": ("50.00", "public tests only for 1 of 3 problems"),
    }  # fmt: skip
    for subset, (value, end) in expected.items():
        assert value in figures[subset].split()
        assert figures[subset].endswith(end)
    assert "cons@k: no vote over programs" in said
    windowed = subprocess.run(
        [*command, "--public-only", "--window=lcb_v5"], capture_output=True, text=True, check=False
    )
    assert "holds 3 problems, expected 880" in windowed.stderr
    responses.write_text(json.dumps({"question_id": "q9", "r": "x"}) + "\n")
    unknown = subprocess.run([*command, "--public-only"], capture_output=True, text=True, check=False)
    assert "in.jsonl row 1: column 'question_id' is 'q9'" in unknown.stderr


def test_a_benchmark_of_programs_is_measured_by_one_command(isolates, tmp_path, monkeypatch):
    """Samples made elsewhere, two a problem; a case of 1.5 MB lies in the folder of tests, and programs do not vote."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    problems = [_livecodebench(n, private=True) for n in range(3)]
    large = {"input": "1 2" + " " * 1_500_000, "output": "3"}
    problems[1]["private_test_cases"] = json.dumps([large, {"input": "3 4", "output": "7"}])
    (tmp_path / "lcb.jsonl").write_text("".join(json.dumps(row) + "\n" for row in problems))
    entry = {"answer_type": "code", "rows": 3, "subsets": ["difficulty", "errata"],
             "sources": [{"file": str(tmp_path / "lcb.jsonl"), "reader": "programs"}]}  # fmt: skip
    (tmp_path / "define.yml").write_text(json.dumps({"lcb": entry}))
    programs = {"abc350_c": ("print(3)", "print(3)"), "q1": ("print(sum(map(int, input().split())))", "print(3)"),
                "q2": ("print(sum(map(int, input().split())))",) * 2}  # fmt: skip
    samples = [{"id": name, "text": f"```\n{one}\n```"} for name, both in programs.items() for one in both]
    (tmp_path / "samples.jsonl").write_text("".join(json.dumps(sample) + "\n" for sample in samples))
    command = [sys.executable, "-c", "from forkpipe.commands.standalone import main; main()", "evaluate",
               f"--import={tmp_path / 'samples.jsonl'}", f"--define={tmp_path / 'define.yml'}", "--benchmarks=lcb:2",
               "--protocol=avg@2,pass@2,cons@2", "--subsets", f"--output={tmp_path / 'out'}", "--name=m"]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if line.startswith("m ")]
    (table,) = (tmp_path / "out").rglob("benchmark_metrics.parquet")
    rows = {(row["subset"], row["protocol"]): row for row in pq.read_table(table).to_pylist()}
    assert rows["all", "avg@2"]["value"] == pytest.approx(0.5)
    assert rows["all", "pass@2"]["value"] == pytest.approx(2 / 3)
    assert rows["errata=none", "avg@2"]["value"] == pytest.approx(0.75)
    assert rows["difficulty=easy", "avg@2"]["value"] == 0
    assert (rows["all", "cons@2"]["value"], rows["all", "cons@2"]["note"]) == (None, "no vote over programs")
    assert rows["all", "avg@2"]["note"] is None
    assert sum(line.endswith("no vote over programs") for line in lines) == 5  # all, two difficulties, two errata


def test_the_command_line_takes_programs_and_probes_this_machine(isolates, tmp_path):
    tests = {"version": 1, "language": "python", "kind": "stdin", "cases": [{"input": "2", "output": "4"}]}
    source = tmp_path / "in.jsonl"
    programs = ("print(2 * int(input()))", "print(1)", "while True:\n    pass")
    source.write_text("".join(json.dumps({"t": tests, "r": f"```\n{program}\n```"}) + "\n" for program in programs))
    command = [sys.executable, "-c", "from forkpipe.commands.standalone import main; main()"]
    arguments = ["verify", str(source), "--gold=t", "--response=r", f"--output={tmp_path / 'out.jsonl'}", "--type=code",
                 "--option=cpu_seconds=0.5"]  # fmt: skip
    subprocess.run([*command, *arguments], check=True, capture_output=True)
    written = [json.loads(line)["verdict"] for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert written == ["correct", "wrong", "timeout"]
    details = [json.loads(json.loads(line)["detail"]) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [detail["passed"] for detail in details] == [1, 0, 0]
    said = subprocess.run([*command, "sandbox"], check=True, capture_output=True, text=True).stdout
    assert "probes held" in said
    assert "seccomp" in said
