"""`forkpipe strategies`: what it reads, writes and says."""

import json

import pytest
from click.testing import CliRunner

from forkpipe.commands.standalone import main

LONG = "We use Vieta's formulas: the sum of the roots is 5, the product 6, so $a^2 + b^2 = 25 - 12 = 13$."


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def run(*arguments):
    return CliRunner().invoke(main, ["strategies", *arguments])


def test_pairs_give_a_row_each_in_order(tmp_path):
    rows = [{"problem": "p?", "a": LONG, "b": LONG}, {"problem": "p?", "a": LONG, "b": "7 sq 15 mul 3", "label": "x"}]
    path = write(tmp_path / "pairs.jsonl", rows)
    said = run("--pairs", path)
    found = [json.loads(line) for line in said.stdout.splitlines()]
    assert [sorted(row) for row in found] == [["distance", "label"]] * 2
    assert found[0] == {"distance": 0.0, "label": "same"}
    assert 0 < found[1]["distance"] <= 1
    output = tmp_path / "out.jsonl"
    assert run("--pairs", path, "--output", str(output)).exit_code == 0
    assert output.read_text() == said.stdout
    strict = run("--pairs", path, "--threshold", "0").stdout.splitlines()
    assert [json.loads(line)["label"] for line in strict] == ["same", "different"]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"problem": "p", "a": "x"}, "row 2: field 'b' is missing, the row has: problem, a"),
        ({"problem": "p", "a": 3, "b": "x"}, "row 2: field 'a' is int, expected text"),
        ({"problem": " ", "a": "x", "b": "x"}, "row 2: field 'problem' is empty, expected text"),
    ],
)
def test_a_bad_row_is_named_and_nothing_is_left_behind(tmp_path, row, message):
    path = write(tmp_path / "pairs.jsonl", [{"problem": "p", "a": "x", "b": "y"}, row])
    said = run("--pairs", path, "--output", str(tmp_path / "out.jsonl"))
    assert said.exit_code == 1
    assert f"{path} {message}" in said.stderr
    assert [one.name for one in tmp_path.iterdir()] == ["pairs.jsonl"]


def test_clusters_are_shown_with_teachers_and_steps(tmp_path):
    rows = [{"problem": "Find the sum.", "trace": LONG, "teacher": name} for name in ("ann", "bob")]
    said = run(write(tmp_path / "traces.jsonl", rows))
    assert said.exit_code == 0
    for piece in ("strategy 0: 2 of 2", "ann x 1", "bob x 1", "vieta"):
        assert piece in " ".join(said.stdout.split())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["--output", "x.jsonl"], "--output goes with --pairs"), (["--threshold", "2"], "threshold is 2.0, expected")],
)
def test_options_that_do_not_go_together(tmp_path, arguments, message):
    path = write(tmp_path / "traces.jsonl", [{"problem": "p", "trace": "x"}])
    said = run(path, *arguments)
    assert said.exit_code == 1
    assert message in said.stderr
