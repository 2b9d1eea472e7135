"""`forkpipe verify` and what `import forkpipe` offers."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

import forkpipe
from forkpipe.cli import cli
from forkpipe.commands.standalone import main
from forkpipe.core.errors import InputError

ROWS = [
    {"id": 1, "gold": "1/2", "said": r"<think>\boxed{3}</think>\boxed{0.5}", "end": "stop"},
    {"id": 2, "gold": 7, "said": "The answer is 8.", "end": "stop"},
    {"id": 3, "gold": "7", "said": r"\boxed{7}", "end": "length"},
    {"id": 4, "gold": "7", "said": None, "end": "stop"},
    {"id": 5, "gold": r"\frac{1}{", "said": r"\boxed{7}", "end": "stop"},
    {"id": 6, "gold": "7 cm", "said": "I do not know", "end": "stop"},
]
EXPECTED = ["correct", "wrong", "truncated", "failed", "unparsed", "unparsed"]


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["verify", *map(str, arguments)])


COLUMNS = ("--gold", "gold", "--response", "said", "--finish-reason", "end")


def test_rows_come_back_in_order_with_verdicts_and_a_summary(tmp_path: Path) -> None:
    source, output = write(tmp_path / "in.jsonl", ROWS), tmp_path / "out.jsonl"
    done = run(source, *COLUMNS, "--output", output)
    assert done.exit_code == 0, done.output
    found = [json.loads(line) for line in output.read_text().splitlines()]
    assert [row["id"] for row in found] == [1, 2, 3, 4, 5, 6]
    assert [row["verdict"] for row in found] == EXPECTED
    assert found[0] == {
        **ROWS[0], "verdict": "correct", "extracted": "0.5", "extracted_from": "box", "rule": "number",
        "verifier_version": "4",
    }  # fmt: skip
    assert "correct            1    16.7%" in done.output
    assert "gold answers that cannot be read, not scored: 1 (rows 5)" in done.output


def test_parquet_to_parquet_keeps_types(tmp_path: Path) -> None:
    rows = [{**row, "gold": str(row["gold"])} for row in ROWS]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "in.parquet")
    done = run(tmp_path / "in.parquet", *COLUMNS, "--output", tmp_path / "out.parquet")
    assert done.exit_code == 0, done.output
    table = pq.read_table(tmp_path / "out.parquet")
    assert table.column("verdict").to_pylist() == EXPECTED
    assert table.schema.field("id").type == pa.int64()


def test_parquet_holds_columns_that_the_first_row_lacks_and_names_what_does_not_fit(tmp_path: Path) -> None:
    texts = [{**row, "gold": str(row["gold"])} for row in ROWS]
    rows = [texts[0], {**texts[1], "teacher": "a"}, *texts[2:]]
    source = write(tmp_path / "in.jsonl", rows)
    done = run(source, *COLUMNS, "--output", tmp_path / "out.parquet")
    assert done.exit_code == 0, done.output
    assert pq.read_table(tmp_path / "out.parquet").column("teacher").to_pylist()[:3] == [None, "a", None]
    for wrong in ({"gold": 1}, {"more": {}}):
        source = write(tmp_path / "in.jsonl", [*rows, {**rows[0], **wrong}])
        done = run(source, *COLUMNS, "--output", tmp_path / "other.parquet")
        assert done.exit_code == 1
        assert "rows differ in their types" in done.output or "holds" in done.output
        assert not (tmp_path / "other.parquet").exists()


def test_labels_show_agreement_and_name_the_rows_that_disagree(tmp_path: Path) -> None:
    """Rows 1 and 2 agree, 3 is a false positive, 4 a false negative; 5 has no gold answer, 6 no label."""
    rows = [
        ("1/2", "0.5", True),
        ("7", "8", 0),
        ("7", "7", False),
        ("7", "8", "true"),
        ("NaN", "7", True),
        ("7", "7", None),
    ]
    source = write(tmp_path / "in.jsonl", [{"gold": gold, "said": said, "right": right} for gold, said, right in rows])
    output = tmp_path / "out.jsonl"
    done = run(source, "--gold", "gold", "--response", "said", "--label", "right", "--bare", "--output", output)
    assert done.exit_code == 0, done.output
    assert "not scored: 1 (rows 5)" in done.output
    assert "agreement with the labels: 2 of 4 (50.0%)" in done.output
    assert "false positives (correct, labelled wrong): 1 (rows 3)" in done.output
    assert "false negatives (not correct, labelled correct): 1 (rows 4)" in done.output


def test_a_gold_answer_that_is_nan_is_said_and_not_scored(tmp_path: Path) -> None:
    pq.write_table(pa.table({"gold": [1.5, float("nan")], "said": ["1.5", "nan"]}), tmp_path / "in.parquet")
    done = run(tmp_path / "in.parquet", "--gold", "gold", "--response", "said", "--output", tmp_path / "out.jsonl")
    assert "not scored: 1 (rows 2)" in done.output
    verdicts = [json.loads(line)["verdict"] for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert verdicts == ["correct", "unparsed"]


def test_bare_answers_need_no_statement(tmp_path: Path) -> None:
    """As a response, the second is a sentence that states nothing."""
    rows = [{"gold": "1+i", "said": "1+i"}, {"gold": "x > 3", "said": "x is greater than 3, so x > 3"}]
    source, output = write(tmp_path / "in.jsonl", rows), tmp_path / "out.jsonl"
    columns = ("--gold", "gold", "--response", "said", "--output", output)
    found = []
    for more in ((), ("--bare",)):
        assert run(source, *columns, *more).exit_code == 0
        found.append([json.loads(line) for line in output.read_text().splitlines()])
    assert [[row["extracted"] for row in rows] for rows in found] == [["1+i", ""], [row["said"] for row in rows]]
    assert {row["extracted_from"] for row in found[1]} == {"whole"}


def test_kedro_has_the_command_too() -> None:
    assert "verify" in cli.commands


@pytest.mark.parametrize(
    ("rows", "arguments", "message"),
    [
        ([{"gold": "1"}], (), r"in.jsonl row 1: column 'said' is missing, the row has: gold"),
        ([{"gold": "1", "said": "x"}, {"gold": None, "said": "x"}], (), "row 2: column 'gold' is NoneType"),
        ([{"gold": "1", "said": 5}], (), "row 1: column 'said' is int, expected text"),
        ([{"gold": True, "said": "1"}], (), "row 1: column 'gold' is bool"),
        ([{"gold": "1", "said": "1", "rule": ""}], (), "column 'rule' is there already and would be overwritten"),
        ([], (), "in.jsonl has no rows"),
        (
            [{"gold": "1", "said": "1", "right": "yes"}],
            ("--label", "right"),
            "row 1: column 'right' is 'yes', expected",
        ),
        (ROWS, ("--label", "right"), "in.jsonl row 1: column 'right' is missing"),
        (ROWS, ("--type", "maths"), "answer type 'maths' is unknown, expected one of: integer, math"),
        (ROWS, ("--without", "unit"), "without names 'unit'"),
        (ROWS, ("--type", "text", "--timeout", "1"), "'timeout_seconds' is unknown, expected no options"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    tmp_path: Path, rows: list[dict[str, Any]], arguments: tuple[str, ...], message: str
) -> None:
    source, output = write(tmp_path / "in.jsonl", rows), tmp_path / "out.jsonl"
    done = run(source, "--gold", "gold", "--response", "said", "--output", output, *arguments)
    assert done.exit_code == 1
    assert message in done.output
    assert done.output.startswith("Error: ")
    assert done.output.count("\n") == 1
    assert not output.exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.jsonl"]


def test_outputs_that_cannot_be(tmp_path: Path) -> None:
    source = write(tmp_path / "in.jsonl", ROWS)
    assert "is the input too" in run(source, *COLUMNS, "--output", source).output
    assert "unknown format" in run(source, *COLUMNS, "--output", tmp_path / "out.csv").output
    assert "no such folder" in run(source, *COLUMNS, "--output", tmp_path / "no" / "out.jsonl").output
    assert "no such file" in run(tmp_path / "no.jsonl", *COLUMNS, "--output", tmp_path / "out.jsonl").output


def test_a_verifier_that_says_nothing_fails_the_command(tmp_path: Path) -> None:
    source = write(tmp_path / "in.jsonl", [{"gold": "1", "said": "I do not know"}] * 30)
    done = run(source, "--gold", "gold", "--response", "said", "--output", tmp_path / "o.jsonl", "--max-unscored", 0.2)
    assert done.exit_code == 1
    assert "30 of 30 verdicts say nothing about the answer (30 unparsed)" in done.output


def test_the_public_functions() -> None:
    assert forkpipe.verify(5, r"\boxed{5}").verdict == "correct"
    assert forkpipe.verify("5", r"\boxed{5}", truncated=True).verdict == "truncated"
    pairs = [("C", "Answer: C", False), ("C", "Answer: D", False), ("C", None)]
    found = forkpipe.verify_batch(pairs, answer_type="choice")
    assert [verdict.verdict for verdict in found] == ["correct", "wrong", "failed"]
    assert forkpipe.verify_batch([]) == []
    assert forkpipe.verify("100", r"\boxed{101}", answer_type="number", relative=0.02).verdict == "correct"
    assert {"verify", "verify_batch"} <= set(dir(forkpipe))


@pytest.mark.parametrize(
    ("pairs", "options", "message"),
    [
        ([("5", "5"), (None, "5")], {}, "pair 1: the gold answer is NoneType, expected text or a number"),
        ([("5", 5)], {}, "pair 0: the response is int, expected text or None"),
        ([("5", "5")], {"answer_type": "maths"}, "answer type 'maths' is unknown"),
        ([("5", "5")], {"workers": 0}, "workers is 0"),
    ],
)
def test_wrong_arguments(pairs: list[Any], options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        forkpipe.verify_batch(pairs, **options)


def test_there_is_no_other_name() -> None:
    with pytest.raises(AttributeError, match="no attribute 'verfy'"):
        forkpipe.verfy  # noqa: B018


def test_importing_stays_cheap() -> None:
    code = "import sys, forkpipe; print([m for m in ('sympy', 'kedro', 'pydantic', 'torch') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
