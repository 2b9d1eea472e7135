# ruff: noqa: E501
"""Rows of published data sets become tests, and nothing of them is unpickled."""

import base64
import json
import pickle
import zlib

import pytest

from forkpipe.core.errors import InputError
from forkpipe.verification.code.livecodebench import ERRATA, WINDOWS, in_window, prompt_of
from forkpipe.verification.code.problems import SUBSETS, read_problems
from forkpipe.verification.code.readers import gold_text, private_tests, read_program
from forkpipe.verification.code.store import LARGE, CaseStore
from forkpipe.verification.code.tests import read_tests


def _packed(value) -> str:
    return base64.b64encode(zlib.compress(pickle.dumps(value))).decode()


LCB = {
    "question_content": "Add.", "question_id": "abc1_a", "contest_date": "2024-10-01T00:00:00", "platform": "atcoder",
    "difficulty": "easy", "starter_code": "", "metadata": "{}",
    "public_test_cases": json.dumps([{"input": "1 2", "output": "3", "testtype": "stdin"}]),
    "private_test_cases": _packed(json.dumps([{"input": "3 4", "output": "7", "testtype": "stdin"}])),
}  # fmt: skip


@pytest.mark.parametrize("protocol", range(6))
def test_private_tests_are_read_from_their_pickle(protocol):
    tests = [{"input": "ü" * 300, "output": "1"}]
    packed = base64.b64encode(zlib.compress(pickle.dumps(json.dumps(tests), protocol))).decode()
    assert private_tests(packed, "here") == tests


class _Evil:
    def __reduce__(self):
        return exec, ("raise SystemExit('a pickle ran')",)


@pytest.mark.parametrize(
    ("packed", "said"),
    [
        (_packed(_Evil()), "holds more than a text"),
        (_packed(["a"]), "holds more than a text"),
        (_packed(3), "holds more than a text"),
        (_packed("no json"), "cannot be read"),
        ("!!!", "cannot be read"),
        (_packed("[]")[:-8], "cannot be read"),
        (base64.b64encode(b"x").decode(), "cannot be read"),
    ],
)  # fmt: skip
def test_other_pickles_are_refused_and_nothing_of_them_runs(packed, said):
    with pytest.raises(InputError, match=f"file row 1: field 'private_test_cases' .*{said}|{said}"):
        read_program({**LCB, "private_test_cases": packed}, "file row 1")


def test_rows_of_livecodebench():
    program = read_program(LCB, "row 1")
    assert program.tests["cases"] == [{"input": "1 2", "output": "3"}, {"input": "3 4", "output": "7"}]
    assert program.tests["public"] == 1
    function = {
        **LCB, "metadata": json.dumps({"func_name": "add"}), "private_test_cases": "[]",
        "public_test_cases": json.dumps([{"input": "[1, 2]\n3", "output": "[6]", "testtype": "functional"}]),
    }  # fmt: skip
    tests = read_program(function, "row 1").tests
    assert (tests["entry"], tests["cases"]) == ("add", [{"args": [[1, 2], 3], "output": [6]}])


def test_missing_private_tests_are_refused_or_marked():
    public = {**LCB, "private_test_cases": ""}
    with pytest.raises(
        InputError, match="row 1: field 'private_test_cases' is missing, expected the private tests, or"
    ):
        read_program(public, "row 1")
    assert read_program(public, "row 1", public_only=True).tests["partial"] == 1


@pytest.mark.parametrize(
    ("row", "kind", "cases"),
    [
        ({"question": "q", "problem_id": 1, "input_output": json.dumps({"inputs": ["1\n"], "outputs": ["2\n"]})},
         "stdin", [{"input": "1\n", "output": "2\n"}]),
        ({"question": "q", "input_output": json.dumps({"fn_name": "f", "inputs": [[1, [2]]], "outputs": [[3]]})},
         "function", [{"args": [1, [2]], "output": [3], "also": [3]}]),
        ({"prompt": [{"role": "user", "content": "q"}],
          "reward_model": {"ground_truth": json.dumps({"inputs": [["a", "b"]], "outputs": ["c"]})}},
         "stdin", [{"input": "a\nb", "output": "c"}]),
        ({"description": "q", "name": "n", "public_tests": {"input": ["1"], "output": ["2"]},
          "private_tests": {"input": ["3"], "output": ["4"]}},
         "stdin", [{"input": "1", "output": "2"}, {"input": "3", "output": "4"}]),
        ({"text": "q", "code": "def f(x):\n    return x", "task_id": 1, "test_list": ["assert f(1) == 1"], "test_setup_code": ""},
         "asserts", [{"assert": "assert f(1) == 1"}]),
        ({"prompt": "def f(x):\n    'q'\n", "entry_point": "f", "task_id": "HumanEval/0",
          "test": "def check(candidate):\n    assert candidate(1) == 1\n"},
         "asserts", [{"assert": "assert candidate(1) == 1"}]),
    ],
)  # fmt: skip
def test_rows_of_other_data_sets(row, kind, cases):
    program = read_program(row, "row 1")
    assert (program.tests["kind"], program.tests["cases"]) == (kind, cases)
    assert read_tests(json.dumps(program.tests)).kind == kind


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"a": 1}, "no data set of programs has the columns a"),
        ({"question": "q", "input_output": "{"}, "row 1: field 'input_output' cannot be read"),
        ({"question": "q", "input_output": json.dumps({"inputs": ["1"], "outputs": []})}, "1 inputs and 0 outputs"),
        ({"entry_point": "f"}, "row 1: field 'test' is missing"),
    ],
)  # fmt: skip
def test_wrong_rows_are_named(row, said):
    with pytest.raises(InputError, match=said):
        read_program(row, "row 1")


def test_large_tests_go_to_the_store(tmp_path):
    tests = {"version": 1, "language": "python", "kind": "stdin", "cases": [{"input": "x" * LARGE, "output": "y"}]}
    text = gold_text(tests, CaseStore(tmp_path))
    assert len(text) < 1000
    reference = json.loads(text)["tests_file"]
    assert CaseStore(tmp_path).load(**reference) == tests["cases"]


def test_windows_hold_the_number_of_problems_that_they_must():
    window = WINDOWS["lcb_v5_paper"]
    rows = [{"contest_date": "2024-10-01", "id": str(n)} for n in range(window.problems)]
    others = [{"contest_date": "2024-08-01T00:00:00", "id": "x"}]
    assert len(in_window(rows + others, "lcb_v5_paper", "file")) == 167
    with pytest.raises(InputError, match=r"file: window lcb_v5_paper .* holds 166 problems, expected 167"):
        in_window(rows[1:], "lcb_v5_paper", "file")
    with pytest.raises(InputError, match="window 'v9' is unknown, expected one of: lcb_v5"):
        in_window(rows, "v9", "file")
    assert {name: one.problems for name, one in WINDOWS.items()} == {
        "lcb_v5": 880, "lcb_v5_paper": 167, "lcb_v5_2408_2501": 279, "lcb_v5_2407_2412": 315,
    }  # fmt: skip
    assert len(ERRATA) == 12
    assert set(ERRATA.values()) == {"several outputs are right", "interactive", "wrong tests"}


@pytest.mark.parametrize(("name", "window"), WINDOWS.items())
def test_every_window_refuses_another_number_of_problems(name, window):
    rows = [{"contest_date": window.last, "id": str(n)} for n in range(window.problems - 1)]
    for more in (0, 2):
        with pytest.raises(InputError, match=f"window {name} .* holds {window.problems - 1 + more} problems, expected"):
            in_window(rows + rows[:1] * more, name, "file")
    assert len(in_window(rows + rows[:1], name, "file")) == window.problems


def test_rows_of_livecodebench_name_their_subsets():
    metadata = read_program(LCB, "row 1").metadata
    assert {name: metadata[name] for name in SUBSETS} == {"difficulty": "easy", "platform": "atcoder", "errata": "none"}
    assert read_program({**LCB, "question_id": "abc350_c"}, "row 1").metadata["errata"] == "wrong tests"
    assert not metadata["public_only"]
    assert read_program({**LCB, "private_test_cases": ""}, "row 1", public_only=True).metadata["public_only"]


def test_problems_are_read_with_and_without_errata(tmp_path):
    file = tmp_path / "lcb.jsonl"
    file.write_text("".join(json.dumps({**LCB, "question_id": name}) + "\n" for name in ("abc1_a", "abc350_c")))
    assert [row["id"] for row in read_problems(str(file))] == ["abc1_a", "abc350_c"]
    assert [row["id"] for row in read_problems(str(file), errata=False)] == ["abc1_a"]
    with pytest.raises(InputError, match=r"lcb_v5_paper .* holds 2 problems, expected 167"):
        read_problems(str(file), window="lcb_v5_paper", errata=False)


def test_braces_of_a_problem_stay_in_its_prompt():
    assert "{x} {starter}" in prompt_of("{x} {starter}", "class Solution: pass")
