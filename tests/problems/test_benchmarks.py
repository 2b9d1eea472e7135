"""Benchmarks: files of our own with the same columns; what differs from what is expected is refused."""

import functools
import hashlib
import http.server
import json
import random
import threading

import pytest
from pydantic import ValidationError
from scipy.stats import chisquare

from forkpipe.core.errors import InputError
from forkpipe.core.prompts import PROMPTS
from forkpipe.core.records import Problem
from forkpipe.parameters.benchmarks import BENCHMARKS, Benchmark, BenchmarksSettings
from forkpipe.problems.benchmark_rows import load_benchmarks
from forkpipe.problems.benchmarks import content_digest, load_benchmark, render

WRONG = [f"Incorrect Answer {number}" for number in (1, 2, 3)]


def write(path, rows):
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return path


def sums(n=30):
    return [{"id": number, "problem": f"What is {number} + 1?", "answer": float(number + 1)} for number in range(n)]


def questions(n, seed=0):
    """Rows with the columns of GPQA; the right option is "right N", so that it can be told from the others."""
    return [
        {
            "Record ID": f"rec{seed}-{number}",
            "Question": f"Question {number}?",
            "Correct Answer": f"right {number}",
            **{column: f"{column} {number}" for column in WRONG},
            "High-level domain": ["Physics", "Biology"][number % 2],
        }
        for number in range(n)
    ]


def benchmark(rows=30, answer_type="integer", **source):
    more = {key: source.pop(key) for key in ("subsets", "choice_seed", "version") if key in source}
    return Benchmark(name="own", answer_type=answer_type, rows=rows, sources=[source], **more)


def gpqa(n, **more):
    fields = {"id": "Record ID", "problem": "Question", "answer": "Correct Answer", "distractors": WRONG}
    return benchmark(n, "choice", fields=fields, subsets=["High-level domain"], **more)


def load(made, path, cache):
    return load_benchmark("own", files={"own": path}, benchmarks={"own": made}, cache=cache)


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def server(tmp_path):
    """Serve a folder by HTTP; the fixture is (folder, address)."""
    folder = tmp_path / "served"
    folder.mkdir()
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as serving:
        threading.Thread(target=serving.serve_forever, daemon=True).start()
        yield folder, f"http://127.0.0.1:{serving.server_port}"
        serving.shutdown()


def test_rows_become_problems_of_the_benchmarks_answer_type(tmp_path):
    path = write(tmp_path / "own.jsonl", sums())
    problems = load(benchmark(), path, tmp_path / "cache")
    assert problems[3] == Problem.create(
        "What is 3 + 1?",
        "4",
        answer_type="integer",
        source="own",
        source_id="3",
        split="test",
        metadata={"benchmark": "own"},
    )
    assert (problems.learnt, problems.origin) == (True, str(path))


def test_a_fault_is_told_of_the_source_whose_columns_the_file_has(tmp_path):
    rows = [{"problem": f"What is {n} + 1?", "answer": n + 1, "id": n} for n in range(30)]
    other = {"fields": {"problem": "question", "answer": "gold"}, "digest": "0" * 64}
    two = benchmark()
    two = two.model_copy(update={"sources": [two.sources[0].model_validate(other), *two.sources]})
    rows[7]["id"] = 3
    with pytest.raises(InputError, match="row 8: id '3' stands in row 4 already"):
        load(two, write(tmp_path / "own.jsonl", rows), tmp_path / "cache")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda rows: rows[:-1], "has 29 rows, expected 30"),
        (lambda rows: [*rows, rows[0] | {"id": 99}], "has 31 rows, expected 30"),
        (
            lambda rows: [rows[0] | {"problem": "What is 0 + 2?"}, *rows[1:]],
            "digest [0-9a-f]{64}, expected [0-9a-f]{64}",
        ),
        (lambda rows: [rows[0] | {"answer": 2}, *rows[1:]], "digest [0-9a-f]{64}, expected [0-9a-f]{64}"),
        (lambda rows: [rows[1], *rows[1:]], "row 2: id '1' stands in row 1 already"),
        (lambda rows: [{"id": 0, "problem": "?"}, *rows[1:]], "row 1: field 'answer' is missing"),
        (lambda rows: [rows[0] | {"answer": 1.5}, *rows[1:]], "row 1: field 'answer' is float"),
    ],
)
def test_a_file_that_differs_is_refused(tmp_path, change, said):
    path = write(tmp_path / "own.jsonl", sums())
    digest = load(benchmark(), path, tmp_path / "cache").digest
    assert load(benchmark(digest=digest), path, tmp_path / "cache").learnt is False
    write(path, change(sums()))
    with pytest.raises(InputError, match=said):
        load(benchmark(digest=digest), path, tmp_path / "cache")


def test_other_content_than_what_was_learnt_is_refused_until_the_version_is_raised(tmp_path, caplog):
    path, cache = write(tmp_path / "own.jsonl", sums()), tmp_path / "cache"
    first = load(benchmark(), path, cache)
    assert f"nobody knew the digest of its content; {first.digest} is learnt" in caplog.text
    write(path, [row | {"problem": row["problem"].lower()} for row in sums()])
    with pytest.raises(InputError, match=f"digest [0-9a-f]{{64}}, expected {first.digest}, which was learnt from"):
        load(benchmark(), path, cache)
    assert load(benchmark(version=2), path, cache).digest != first.digest


def test_a_cache_that_cannot_be_used_is_named(tmp_path, caplog):
    path, cache = write(tmp_path / "own.jsonl", sums()), tmp_path / "cache"
    cache.write_text("no folder")
    assert len(load(benchmark(), path, cache)) == 30
    assert "the digest cannot be kept" in caplog.text
    cache.unlink()
    load(benchmark(), path, cache)
    (cache / "learnt.json").write_text("{")
    with pytest.raises(InputError, match=r"learnt.json: not JSON: .*; delete it to learn"):
        load(benchmark(), path, cache)


def test_a_file_without_known_content_is_held_to_the_bytes_that_are_pinned(tmp_path):
    path = write(tmp_path / "own.jsonl", sums())
    pinned = benchmark(url="http://127.0.0.1:9/own.jsonl", sha256=sha256(path))
    assert len(load(pinned, path, tmp_path / "cache")) == 30
    expected = sha256(path)
    path.write_bytes(path.read_bytes() + b"\n")
    with pytest.raises(InputError, match=f"has SHA-256 {sha256(path)}, expected {expected}"):
        load(pinned, path, tmp_path / "cache")


def test_a_file_is_fetched_once_and_only_if_its_bytes_are_expected(tmp_path, server):
    folder, address = server
    path = write(folder / "own.jsonl", sums())
    made = benchmark(url=f"{address}/own.jsonl", sha256=sha256(path))
    first = load_benchmark("own", benchmarks={"own": made}, cache=tmp_path / "cache")
    path.write_text("moved")
    again = load_benchmark("own", benchmarks={"own": made}, cache=tmp_path / "cache")
    assert first == again
    with pytest.raises(InputError, match=f"SHA-256 {sha256(path)}, expected {made.source.sha256}"):
        load_benchmark("own", benchmarks={"own": made}, cache=tmp_path / "other")
    assert [file.name for file in (tmp_path / "other").iterdir()] == []
    path.unlink()
    with pytest.raises(InputError, match="cannot be fetched: HTTP Error 404"):
        load_benchmark("own", benchmarks={"own": made}, cache=tmp_path / "other")


def test_gold_letters_follow_from_id_and_seed_alone(tmp_path):
    rows = questions(40)
    cache = tmp_path / "cache"
    first = load(gpqa(40), write(tmp_path / "a.jsonl", rows), cache)
    random.Random(1).shuffle(rows)
    shuffled = load(gpqa(40), write(tmp_path / "b.jsonl", rows), cache)
    reworded = [row | {"Question": row["Question"].upper(), "Correct Answer": "x"} for row in rows]
    other_texts = load(gpqa(40, version=2), write(tmp_path / "c.jsonl", reworded), cache)
    letters = {problem.source_id: problem.answer for problem in first}
    assert {problem.source_id: problem.answer for problem in shuffled} == letters
    assert {problem.source_id: problem.answer for problem in other_texts} == letters
    assert first.digest == shuffled.digest
    assert sorted(first, key=lambda problem: problem.source_id) == sorted(
        shuffled, key=lambda problem: problem.source_id
    )
    reseeded = load(gpqa(40, choice_seed=1), tmp_path / "a.jsonl", cache)
    assert {problem.source_id: problem.answer for problem in reseeded} != letters
    assert reseeded.digest == first.digest


def test_the_letter_is_that_of_the_right_option(tmp_path):
    for number, problem in enumerate(load(gpqa(20), write(tmp_path / "a.jsonl", questions(20)), tmp_path / "cache")):
        choices = json.loads(problem.metadata)["choices"]
        assert sorted(choices) == sorted([f"right {number}", *(f"{column} {number}" for column in WRONG)])
        assert choices["ABCD".index(problem.answer)] == f"right {number}"
        assert problem.problem == "\n".join(
            [
                f"Question {number}?",
                "",
                *(f"{letter}) {choice}" for letter, choice in zip("ABCD", choices, strict=True)),
            ]
        )
        assert json.loads(problem.metadata)["High-level domain"] == ["Physics", "Biology"][number % 2]


def test_letters_are_uniform(tmp_path):
    """Chi-square over 2,000 made-up questions under three seeds; with fixed hashes the test cannot flicker."""
    path = write(tmp_path / "a.jsonl", questions(2000))
    for seed in range(3):
        letters = [problem.answer for problem in load(gpqa(2000, choice_seed=seed), path, tmp_path / "cache")]
        assert chisquare([letters.count(letter) for letter in "ABCD"]).pvalue > 0.01


def asked(answer_type, **metadata):
    return Problem.create("P", "1", answer_type=answer_type, source="s", source_id="1", metadata=metadata)


def test_prompts_are_those_of_their_projects():
    """Golden texts, written down from the projects' files named in prompts.toml."""
    boxed = "Please reason step by step, and put your final answer within \\boxed{}."
    assert render(asked("integer"), "lighteval") == (
        "Solve the following math problem efficiently and clearly.  The last line of your response should be of the "
        "following format: 'Therefore, the final answer is: $\\boxed{ANSWER}$. I hope it is correct' (without quotes) "
        "where ANSWER is just the final number or expression that solves the problem. Think step by step before "
        "answering.\n\nP"
    )
    assert render(asked("choice", choices=["a", "b", "c", "d"]), "lighteval") == (
        "Answer the following multiple choice question. The last line of your response should be of the following "
        "format: 'Answer: $LETTER' (without quotes) where LETTER is one of ABCD. Think step by step before "
        "answering.\n\nP"
    )
    assert render(asked("math"), "qwen") == f"P\n{boxed}"
    assert render(asked("math"), "boxed") == (
        "Solve the following math problem. Make sure to put the answer (and only answer) inside \\boxed{}.\n\nP"
    )
    assert render(asked("choice", choices=["a", "b", "c"]), "boxed").endswith(
        "put the final answer (should be a single letter A, B, or C) into a \\boxed{}."
    )
    assert "where LETTER is one of A,B,C. Think" in render(asked("choice", choices=["a", "b", "c"]), "inspect")
    assert all(prompt.source and prompt.licence for prompt in PROMPTS.values())


def test_prompts_of_programs_have_the_starter_code():
    assert "```python\ndef f(x):\n```\n\n" in render(asked("code", starter_code="def f(x):"), "lighteval")
    assert "```python\n# YOUR CODE HERE\n```\n\n" in render(asked("code"), "lighteval")
    with pytest.raises(InputError, match="'qwen' has no text for the answer type code, expected one of: lighteval"):
        render(asked("code"), "qwen")


def test_a_prompt_may_be_a_text_of_your_own():
    assert render(asked("math"), "{problem}\nAnswer in \\frac{a}{b}.") == "P\nAnswer in \\frac{a}{b}."
    with pytest.raises(InputError, match="prompt is 'lighteva': expected one of lighteval, qwen, boxed, inspect, or"):
        render(asked("math"), "lighteva")


def test_a_value_that_looks_like_a_place_is_not_filled_in_again():
    made = Problem.create(
        "{starter}", "1", answer_type="code", source="s", source_id="1", metadata={"starter_code": "x"}
    )
    assert "Question: {starter}\n" in render(made, "lighteval")


def test_every_benchmark_that_comes_with_forkpipe_is_pinned():
    assert list(BENCHMARKS) == ["aime24", "aime25", "amc23", "math500", "gpqa_diamond", "lcb_v5_paper"]
    for made in BENCHMARKS.values():
        assert made.source.sha256
        assert made.source.revision or made.source.url


def test_a_window_of_livecodebench_is_taken_and_counted(tmp_path):
    """One problem more than the window holds is outside of it by its date; private tests are missing in the last."""
    rows = [
        {
            "question_content": f"Add {n}.", "question_id": f"q{n}",
            "contest_date": "2024-08-01" if n else "2024-07-31", "platform": "atcoder",
            "difficulty": "easy", "starter_code": "", "metadata": "{}",
            "public_test_cases": '[{"input": "1", "output": "2"}]',
            "private_test_cases": "" if n == 279 else '[{"input": "2", "output": "3"}]',
        }
        for n in range(280)
    ]  # fmt: skip
    file = tmp_path / "lcb.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    source = {"file": str(file), "reader": "programs"}

    def of(**changes):
        entry = {"name": "lcb", "answer_type": "code", "rows": 279, "window": "lcb_v5_2408_2501", "sources": [source]}
        return {"lcb": Benchmark.model_validate({**entry, **changes})}

    with pytest.raises(InputError, match="row 280: field 'private_test_cases' is missing"):
        load_benchmark("lcb", benchmarks=of(), cache=tmp_path)
    problems = load_benchmark("lcb", benchmarks=of(sources=[{**source, "public_only": True}]), cache=tmp_path)
    assert len(problems) == 279
    assert [json.loads(one.answer).get("partial") for one in problems].count(1) == 1
    with pytest.raises(InputError, match="rows is 280, window lcb_v5_2408_2501 has 279"):
        load_benchmark("lcb", benchmarks=of(rows=280), cache=tmp_path)
    file.write_text("".join(json.dumps(row) + "\n" for row in rows[:-1]))
    with pytest.raises(InputError, match="has 278 rows, expected 279"):
        load_benchmark("lcb", benchmarks=of(), cache=tmp_path)


def test_settings_name_what_does_not_exist():
    own = {"answer_type": "integer", "rows": 1, "sources": [{"file": "own.jsonl"}]}
    settings = BenchmarksSettings.model_validate({"use": ["own", "aime24"], "define": {"own": own}})
    assert settings.known["own"].name == "own"
    with pytest.raises(ValueError, match="use names benchmark 'aime', expected one of: aime24, aime25"):
        BenchmarksSettings(use=["aime"])
    for wrong, said in (
        ({"hub": "a/b", "revision": "main", "file": "x"}, "should match pattern"),
        ({"hub": "a/b", "file": "x"}, "expected revision"),
        ({"url": "https://a/x.csv"}, "expected sha256"),
    ):
        with pytest.raises(ValueError, match=said):
            benchmark(**wrong)


def test_the_digest_counts_ids_texts_answers_and_options(tmp_path):
    from forkpipe.problems.benchmarks import Question

    def digest(*parts):
        return content_digest([Question(*parts, row={})])

    base = ("1", "P", "2", ("3",))
    others = [("2", "P", "2", ("3",)), ("1", "Q", "2", ("3",)), ("1", "P", "4", ("3",)), ("1", "P", "2", ("4",))]
    assert len({digest(*parts) for parts in (base, *others)}) == 5


def test_the_table_holds_what_is_asked(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = write(tmp_path / "own.jsonl", sums(2))
    entry = {"answer_type": "integer", "rows": 2, "sources": [{"file": str(path)}], "prompt": "boxed"}
    given = {"use": ["own"], "files": {"aime24": "nosuch.jsonl"}, "define": {"own": entry}}

    def prompts(**more):
        return [row["prompt"] for row in load_benchmarks(BenchmarksSettings.model_validate({**given, **more}))]

    assert prompts()[1].endswith("inside \\boxed{}.\n\nWhat is 1 + 1?")
    assert prompts(prompt="{problem} Say it.") == ["What is 0 + 1? Say it.", "What is 1 + 1? Say it."]
    assert prompts(use=[]) == []
    with pytest.raises(ValidationError, match="expected one of lighteval, qwen, boxed, inspect, or a text that holds"):
        prompts(prompt="boxd")
