"""`forkpipe evaluate` against a recording server: what is asked, what is kept, what comes out."""

import sys
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml
from click.testing import CliRunner
from huggingface_hub import EvalResultEntry
from huggingface_hub._eval_results import parse_eval_result_entries
from measured_models import BEFORE, GOLDEN, boxed, definitions, hashes, plain_model

from forkpipe.commands.standalone import main
from forkpipe.models.checkpoint import Checkpoint

sys.path.append(str(Path(__file__).parents[1] / "engines"))
from fault_server import FaultServer


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A plain model's folder, which no test may change."""
    folder = plain_model(tmp_path_factory.mktemp("model") / "m")
    before = hashes(folder)
    yield folder
    assert hashes(folder) == before


@pytest.fixture(scope="module")
def tokenizer(model):
    return Checkpoint(str(model)).tokenizer


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def defined(tmp_path):
    return definitions(tmp_path)


def evaluate(*arguments, fails=False):
    result = CliRunner().invoke(main, ["evaluate", *map(str, arguments)])
    if not fails:
        assert result.exit_code == 0, result.output + repr(result.exception)
    else:
        assert result.exit_code == 1, result.output
    return result.output


def table(output, name):
    return pq.read_table(output / f"{name}.parquet").to_pylist()


def metrics(output):
    return {
        (row["benchmark"], row["subset"], row["policy"], row["protocol"]): row
        for row in table(output, "benchmark_metrics")
    }


def test_the_tag_stands_behind_the_golden_prompt_and_equal_requests_are_sent_once(model, tokenizer, defined, tmp_path):
    """spread with cons@6 needs one sample under each tag, tag:2 with avg@3 three under it, of which one is the same."""
    with FaultServer(model="served", reply=boxed(lambda body: 7)) as server:
        output = evaluate(
            model, "--tags", "text:6", "--base-url", server.url, "--served-name", "served", "--define", defined,
            "--benchmarks", "sums:6,fractions:6", "--policy", "tag:2,spread", "--protocol", "cons@6,avg@3",
            "--output", tmp_path / "out",
        )  # fmt: skip
        bodies = server.requests
    tags = [tokenizer(f"<|im_start|><think{i}>\n", add_special_tokens=False)["input_ids"] for i in range(1, 7)]
    asked = Counter(next(i for i, tag in enumerate(tags) if body["prompt"][-len(tag) :] == tag) for body in bodies)
    # Six problems: 6 under tag 2 (cons@6 of tag:2), and of spread one each under the others.
    assert asked == {0: 6, 1: 36, 2: 6, 3: 6, 4: 6, 5: 6}
    prompts = {tokenizer.decode(body["prompt"][: -len(tags[0])]) for body in bodies}
    assert GOLDEN in prompts
    assert len(prompts) == 6
    assert all(body["logit_bias"] == {str(tags[0][0]): -100.0} for body in bodies)
    assert len({body["seed"] for body in bodies}) == len(bodies)
    assert "sums (4 x 6)" in output
    rows = metrics(tmp_path / "out")
    assert rows["sums", "all", "tag:2", "avg@3"]["value"] == 0.25  # 3 + 4 is 7
    assert rows["sums", "level=2", "tag:2", "avg@3"]["value"] == 0.5
    assert rows["sums", "level=1", "spread", "cons@6"]["value"] == 0.0


def test_a_plain_model_is_asked_without_any_tag(model, tokenizer, defined, tmp_path):
    with FaultServer(model="served", reply=boxed(lambda body: "0.5")) as server:
        evaluate(
            model, "--base-url", server.url, "--served-name", "served", "--define", defined,
            "--benchmarks", "sums:2,fractions:2", "--prompt", "qwen", "--output", tmp_path / "out",
        )  # fmt: skip
        bodies = server.requests
    asked = "What is 3 + 4?\nPlease reason step by step, and put your final answer within \\boxed{}."
    golden = f"{BEFORE}<|im_start|>user\n{asked}<|im_end|>\n<|im_start|>assistant\n"
    assert Counter(tokenizer.decode(body["prompt"]) for body in bodies)[golden] == 2
    assert not any("logit_bias" in body or "allowed_token_ids" in body for body in bodies)
    assert len(bodies) == 12
    rows = metrics(tmp_path / "out")
    assert rows["fractions", "all", "none", "avg@2"]["value"] == 0.5
    assert {row["tag"] for row in table(tmp_path / "out", "benchmark_generations")} == {-1}


def test_more_samples_ask_for_the_difference_and_other_changes_for_nothing(model, defined, tmp_path):
    def run(server, *more, samples=4, protocol="avg@4"):
        before = len(server.requests)
        arguments = ["--define", defined, "--benchmarks", f"sums:{samples}", "--protocol", protocol]
        evaluate(
            model, "--tags", "text:2", "--policy", "spread,own", "--base-url", server.url,
            "--served-name", server.model, *arguments, "--output", tmp_path / "out", *more,
        )  # fmt: skip
        return len(server.requests) - before

    def answer(reply, body):
        boxed(lambda body: body["seed"] % 3)(reply, body)
        if "allowed_token_ids" in body:
            chosen = body["allowed_token_ids"][body["seed"] % 2]
            reply["choices"][0] |= {"token_ids": [chosen], "finish_reason": "length"}

    with FaultServer(model="served", reply=answer) as server, FaultServer(model="other", reply=answer) as second:
        # Each sample of policy own takes two requests: one draws the tag.
        assert run(server) == 4 * 4 + 2 * 4 * 4
        first = table(tmp_path / "out", "benchmark_generations")
        assert run(server, "--option", "concurrency=2") == 0
        assert run(second) == 0
        assert run(second, protocol="cons@2,pass@4,cons@2x2,avg@1") == 0
        assert run(second, samples=8, protocol="avg@8") == 4 * 4 + 2 * 4 * 4
        assert run(second, "--base-url", server.url, samples=8, protocol="avg@8") == 0
    again = table(tmp_path / "out", "benchmark_generations")
    assert [row for row in again if row["sample"] < (2 if row["asked"] == "forced" else 4)] == first
    assert {row["own_tag"] for row in again if row["asked"] == "own"} == {0, 1}


def test_the_tables_follow_from_the_samples(model, defined, tmp_path):
    """1/2, 0.5 and \\frac12 are one vote: two of three samples agree on it, and outvote 3."""
    answers = iter(["1/2", "3", "0.5", "\\frac{4}{6}", "0.3", "0.2"])
    held = {}

    def answer(body):
        if body["seed"] not in held:
            held[body["seed"]] = next(answers)
        return held[body["seed"]]

    with FaultServer(model="served", reply=boxed(answer)) as server:
        evaluate(
            model, "--base-url", server.url, "--served-name", "served", "--define", defined,
            "--option", "concurrency=1", "--benchmarks", "fractions:3", "--protocol", "avg@3,cons@3,pass@2",
            "--output", tmp_path / "out",
        )  # fmt: skip
    rows = metrics(tmp_path / "out")
    first = {row["sample"]: row for row in table(tmp_path / "out", "benchmark_scores")[:3]}
    assert sorted(row["extracted"] for row in first.values()) == ["0.5", "1/2", "3"]
    assert len({row["vote"] for row in first.values()}) == 2
    assert rows["fractions", "all", "none", "avg@3"]["value"] == pytest.approx((2 / 3 + 1 / 3) / 2)
    # The second problem's three votes are all different: a third of the vote is right.
    assert rows["fractions", "all", "none", "cons@3"]["value"] == pytest.approx((1 + 1 / 3) / 2)
    assert rows["fractions", "all", "none", "pass@2"]["value"] == pytest.approx((1 + 2 / 3) / 2)


def test_the_letter_a_is_right_in_a_quarter_of_the_questions(model, tmp_path):
    """n = 400 questions: 25 % within 3 standard deviations; asked and scored again, the letters are the same."""
    defined = definitions(tmp_path, n_choices=400)
    with FaultServer(model="served", reply=boxed(lambda body: "A")) as server:
        for _ in range(2):
            evaluate(
                model, "--base-url", server.url, "--served-name", "served", "--define", defined,
                "--benchmarks", "letters:2", "--output", tmp_path / "out",
            )  # fmt: skip
        assert len({body["seed"] for body in server.requests}) == len(server.requests) == 800
    row = metrics(tmp_path / "out")["letters", "all", "none", "avg@2"]
    assert abs(row["value"] - 0.25) < 3 * (0.25 * 0.75 / 400) ** 0.5
    scores = table(tmp_path / "out", "benchmark_scores")
    by_problem = Counter(row["problem_id"] for row in scores if row["verdict"] == "correct")
    assert set(by_problem.values()) == {2}


def test_engine_transformers_measures_a_folder(model, defined, tmp_path):
    output = evaluate(
        model, "--engine", "transformers", "--tags", "text:2", "--max-tokens", 4, "--define", defined,
        "--benchmarks", "fractions:2", "--policy", "none,spread", "--protocol", "avg@2", "--output", tmp_path / "out",
    )  # fmt: skip
    rows = table(tmp_path / "out", "benchmark_generations")
    assert Counter((row["asked"], row["tag"]) for row in rows) == {("none", -1): 4, ("forced", 0): 2, ("forced", 1): 2}
    assert all(0 <= row["tokens"] <= 4 for row in rows)
    assert "fractions (2 x 2)" in output


def test_results_for_the_hub_are_read_by_the_hubs_library(model, tmp_path):
    """Only a benchmark with a data set on the hub has such a file."""
    from measured_models import sums, write_rows

    path = write_rows(tmp_path / "own.jsonl", sums(4))
    source = {"hub": "me/sums", "revision": "a" * 40, "file": "sums.jsonl"}
    entry = {"answer_type": "integer", "rows": 4, "sources": [source]}
    (tmp_path / "b.yml").write_text(yaml.safe_dump({"sums": entry}))
    with FaultServer(model="served", reply=boxed(lambda body: 7)) as server:
        evaluate(
            model, "--base-url", server.url, "--served-name", "served", "--define", tmp_path / "b.yml",
            "--file", f"sums={path}", "--benchmarks", "sums:1", "--output", tmp_path / "out",
        )  # fmt: skip
    (entry,) = parse_eval_result_entries(yaml.safe_load((tmp_path / "out/.eval_results/sums.yaml").read_text()))
    assert isinstance(entry, EvalResultEntry)
    assert (entry.dataset_id, entry.task_id, entry.value, entry.dataset_revision) == ("me/sums", "sums", 25.0, None)
    assert "avg@1 in percent, policy none" in entry.notes


def test_two_models_are_compared_problem_by_problem(model, defined, tmp_path):
    for answer, more in ((7, []), (5, ["--against", tmp_path / "out7"])):
        with FaultServer(model="served", reply=boxed(lambda body, answer=answer: answer)) as server:
            output = evaluate(
                model, "--base-url", server.url, "--served-name", "served", "--define", defined, "--name", f"m{answer}",
                "--benchmarks", "sums:2", "--output", tmp_path / f"out{answer}", *more,
            )  # fmt: skip
    line = next(line for line in output.splitlines() if line.startswith("m5 none"))
    assert line.split()[:7] == ["m5", "none", "m7", "none", "sums", "avg@2", "+0.00"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--policy", "spread"], "policy 'spread': the model has no forking tags, expected policy none"),
        (["--policy", "tag:3", "--tags", "text:2"], "policy 'tag:3': the model has 2 tags, expected more"),
        (["--policy", "router", "--tags", "text:2"], "has no router, expected policy own"),
        (["--policy", "best"], "--policy is 'best', expected one of: none, tag:1"),
        (["--protocol", "maj@4"], "--protocol is 'maj@4', expected one of: avg@n"),
        (["--tags", "text:x"], "tags is 'text:x', expected none or STYLE:N"),
        (["--served-name", "x"], "--served-name is given without --base-url"),
        (["--file", "sums"], "--file is 'sums', expected NAME=VALUE"),
        (["--file", "aime24=x"], "a file is given for benchmark 'aime24', which is not measured"),
        (["--prompt", "gpt"], "prompt is 'gpt': expected one of lighteval"),
        (["--engine", "vlm"], "engine 'vlm' is unknown"),
        (["--benchmarks", "gsm9k:1"], "benchmark 'gsm9k' is unknown, expected one of:"),
    ],
)
def test_what_is_wrong_is_said_in_one_line_before_anything_is_asked(model, defined, tmp_path, arguments, message):
    given = ["--define", defined, "--benchmarks", "sums:2", "--output", tmp_path / "out", *arguments]
    output = evaluate(model, *given, fails=True)
    assert message in output
    assert len(output.strip().splitlines()) == 1
    assert not (tmp_path / "out" / "completions.jsonl").exists()


def test_nothing_is_written_into_a_model_or_over_other_files(model, defined, tmp_path):
    given = ["--define", defined, "--benchmarks", "sums:2"]
    assert "which is never written to" in evaluate(model, *given, "--output", model / "results", fails=True)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/notes.txt").write_text("keep")
    assert "holds other files" in evaluate(model, *given, "--output", tmp_path / "mine", fails=True)
    (tmp_path / "empty").mkdir()
    assert "has no config.json" in evaluate(tmp_path / "empty", *given, fails=True)
    assert "no such folder, and no name on the hub" in evaluate("no such/folder/at all", *given, fails=True)
