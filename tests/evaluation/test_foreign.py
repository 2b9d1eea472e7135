"""Generations made elsewhere: each format as its program writes it, tags included, matched with the right problem."""

import json
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from measured_models import choices, definitions, sums, write_rows

from forkpipe.commands.standalone import main
from forkpipe.core.errors import InputError
from forkpipe.evaluation.foreign_formats import read_foreign

PROMPT = "Solve the problem.\n\n{}\n\nBox the answer."
PROBLEMS = [row["problem"] for row in sums(4)]
GOLD = [int(row["answer"]) for row in sums(4)]


def texts(right):
    """Return samples of each problem: `right` of three are correct."""
    return [[f"It is \\boxed{{{gold if number < right else 0}}}." for number in range(3)] for gold in GOLD]


def inspect_samples(right, tag=None):
    return [
        {
            "id": f"s{place}",
            "epoch": epoch + 1,
            "input": [{"role": "user", "content": PROMPT.format(problem)}],
            "target": str(GOLD[place]),
            "metadata": {} if tag is None else {"tag": tag},
            "output": {
                "choices": [
                    {
                        "message": {
                            "role": "assistant",
                            "content": [{"type": "reasoning", "reasoning": "I add."}, {"type": "text", "text": text}],
                        },
                        "stop_reason": "stop",
                    }
                ],
                "usage": {"output_tokens": 7},
            },
        }
        for place, problem in enumerate(PROBLEMS)
        for epoch, text in enumerate(texts(right)[place])
    ]


def write_inspect(path, right=2, model="openai-api/f/m@tag:2"):
    with zipfile.ZipFile(path, "w") as log:
        log.writestr("header.json", json.dumps({"version": 2, "eval": {"model": model}}))
        for sample in inspect_samples(right):
            log.writestr(f"samples/{sample['id']}_epoch_{sample['epoch']}.json", json.dumps(sample))
    return path


def write_inspect_json(path, right=2):
    log = {"version": 2, "eval": {"model": "openai/m"}, "samples": inspect_samples(right, tag=2)}
    path.write_text(json.dumps(log))
    return path


def write_lm_eval(path, right=2):
    """A row for each filter, as lm-eval writes them, with the same responses."""
    rows = [
        {
            "doc_id": place,
            "doc": {"prompt": "", "tag": 2},
            "target": str(GOLD[place]),
            "arguments": {"gen_args_0": {"arg_0": PROMPT.format(problem), "arg_1": {"until": []}}},
            "resps": [texts(right)[place]],
            "filtered_resps": ["x"],
            "filter": filtered,
        }
        for filtered in ("strict", "flexible")
        for place, problem in enumerate(PROBLEMS)
    ]
    return write_rows(path, rows)


def write_lighteval(path, right=2):
    rows = [
        {
            "doc": {"query": PROMPT.format(problem), "choices": [str(GOLD[place])], "specific": {"tag": 2}},
            "model_response": {"text": texts(right)[place], "output_tokens": [[1, 2], [3], [4]], "reasonings": []},
            "metric": {"avg@3": 0.0},
        }
        for place, problem in enumerate(PROBLEMS)
    ]
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def write_older_lighteval(path, right=2):
    rows = [
        {
            "full_prompt": PROMPT.format(problem),
            "predictions": repr([f"<think2>{text}" for text in texts(right)[place]]),
            "cont_tokens": repr([[1], [2], [3]]),
            "specifics": "{}",
        }
        for place, problem in enumerate(PROBLEMS)
    ]
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def write_jsonl(path, right=2):
    rows = [
        {"question": problem, "generation": text, "tag": "<think2>"}
        for place, problem in enumerate(PROBLEMS)
        for text in texts(right)[place]
    ]
    return write_rows(path, rows)


WRITERS = {
    "a.eval": ("inspect", write_inspect),
    "a.json": ("inspect", write_inspect_json),
    "samples.jsonl": ("lm-eval", write_lm_eval),
    "details.parquet": ("lighteval", write_lighteval),
    "older.parquet": ("lighteval", write_older_lighteval),
    "own.jsonl": ("jsonl", write_jsonl),
}


@pytest.fixture
def evaluate(tmp_path, monkeypatch):
    """A function that scores a file on the benchmark "sums" and returns what the command says and its metrics."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    defined = definitions(tmp_path)

    def call(path, form, *more, fails=False, benchmarks="sums"):
        given = ["--define", defined, "--benchmarks", benchmarks, "--output", tmp_path / "out"]
        arguments = map(str, ["evaluate", "--import", path, "--format", form, *given, *more])
        result = CliRunner().invoke(main, list(arguments))
        assert result.exit_code == fails, result.output + repr(result.exception)
        if fails:
            return result.output, None
        rows = pq.read_table(tmp_path / "out/benchmark_metrics.parquet").to_pylist()
        return result.output, {(row["policy"], row["protocol"]): row for row in rows if row["subset"] == "all"}

    return call


@pytest.mark.parametrize("name", WRITERS)
def test_samples_of_every_format_are_scored_under_their_tag(evaluate, tmp_path, name):
    """Two of three samples are correct, so the vote is; all are of tag 2."""
    form, write = WRITERS[name]
    more = ["--field", "text=generation"] if form == "jsonl" else []
    path = write(tmp_path / name)
    before = path.read_bytes()
    _, rows = evaluate(path, form, "--policy", "tag:2", "--protocol", "avg@3,cons@3,pass@2", *more)
    assert rows["tag:2", "avg@3"]["value"] == pytest.approx(2 / 3)
    assert rows["tag:2", "cons@3"]["value"] == rows["tag:2", "pass@2"]["value"] == 1.0
    assert path.read_bytes() == before


def test_samples_under_every_tag_are_voted_over_tags(evaluate, tmp_path):
    """Tags 1 and 2 are right, tag 3 is wrong: a vote of one each is right, a sample under tag 3 never."""
    rows = [
        {"problem": problem, "text": f"<|im_start|><think{tag}>\n\\boxed{{{GOLD[place] if tag < 3 else 0}}}"}
        for place, problem in enumerate(PROBLEMS)
        for tag in (1, 2, 3)
    ]
    path = write_rows(tmp_path / "a.jsonl", rows)
    for policy, protocol, value in (("spread", "cons@3", 1.0), ("spread", "avg@3", 2 / 3), ("tag:3", "avg@1", 0.0)):
        _, found = evaluate(path, "jsonl", "--policy", policy, "--protocol", protocol)
        assert found[policy, protocol]["value"] == pytest.approx(value)
    texts_kept = pq.read_table(tmp_path / "out/benchmark_generations.parquet").column("text").to_pylist()
    assert not any("think" in text for text in texts_kept)


def test_the_tags_that_a_model_picked_are_one_kind(evaluate, tmp_path):
    rows = [
        {"problem": problem, "text": text, "tag": 1 + number % 2}
        for place, problem in enumerate(PROBLEMS)
        for number, text in enumerate(texts(1)[place])
    ]
    _, found = evaluate(write_rows(tmp_path / "a.jsonl", rows), "jsonl", "--policy", "own", "--protocol", "avg@3")
    assert found["own", "avg@3"]["value"] == pytest.approx(1 / 3)
    table = pq.read_table(tmp_path / "out/benchmark_generations.parquet").to_pylist()
    assert [row["own_tag"] for row in table[:3]] == [0, 1, 0]


def test_a_missing_sample_is_refused_and_lowers_nothing(evaluate, tmp_path):
    rows = [{"problem": problem, "text": text} for place, problem in enumerate(PROBLEMS) for text in texts(3)[place]]
    path = write_rows(tmp_path / "a.jsonl", rows[:-1])
    message, _ = evaluate(path, "jsonl", "--protocol", "avg@3", benchmarks="sums:3", fails=True)
    assert "has 2 of 3 samples under none, sample 2 is missing" in message
    # Without a number, as many as every problem has.
    output, found = evaluate(path, "jsonl")
    assert "every problem has 2 samples or more" in output or found["none", "avg@2"]["value"] == 1.0


def test_options_in_another_order_match_no_problem(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    defined = definitions(tmp_path, n_choices=4)
    rows = [{"id": row["id"], "problem": row["problem"] + "\n\nA) right\nB) wrong", "text": "A"} for row in choices(4)]
    path = write_rows(tmp_path / "a.jsonl", rows)
    arguments = [
        "evaluate",
        "--import",
        path,
        "--define",
        defined,
        "--benchmarks",
        "letters:1",
        "--output",
        tmp_path / "o",
    ]
    result = CliRunner().invoke(main, list(map(str, arguments)))
    assert result.exit_code == 1
    assert "none of 4 samples answers a problem of the benchmarks" in result.output


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"problem": "p"}], "row 1: field 'text' is missing, the row has: problem"),
        ([{"problem": "p", "text": 3}], "row 1: field 'text' is int, expected text"),
        ([{"problem": "p", "text": "a", "tag": "x"}], "row 1: tag is 'x', expected a number from 1"),
        ([{"problem": "p", "text": "<think2>a", "tag": 1}], "tag is 0 and the text begins with '<think2>'"),
        (
            [{"problem": "p", "text": "a", "finish_reason": "error"}],
            "the sample failed, expected one that was answered",
        ),
        ([{"problem": "p", "text": "a", "finish_reason": "?"}], "finish reason is '?', expected one of: stop"),
        ([], "holds no generations"),
    ],
)
def test_a_row_that_cannot_be_read_is_named(tmp_path, rows, message):
    with pytest.raises(InputError) as caught:
        list(read_foreign(str(write_rows(tmp_path / "a.jsonl", rows)), "jsonl"))
    assert message in str(caught.value)


@pytest.mark.parametrize("form", ["lm-eval", "lighteval", "inspect"])
def test_a_file_of_another_format_is_refused(tmp_path, form):
    path = write_rows(tmp_path / "a.jsonl", [{"problem": "p", "text": "a"}])
    with pytest.raises(InputError, match=r"expected a row of|cannot be read as a log of Inspect"):
        list(read_foreign(str(path), form))
    assert Path(path).exists()
