"""A run with several sources and a benchmark of its own, through the real command line."""

import json

import pyarrow.parquet as pq

from test_end_to_end import ENVIRONMENT, Project

CATALOG = """
raw_long:
  type: forkpipe.datasets.records.RecordsDataset
  filepath: data/01_raw/long.jsonl
"""
PARAMETERS = """
problems:
  sources:
    short:
      file: data/01_raw/short.jsonl
      fields: {problem: question, answer: {field: answer, read: hash}}
      use: rl
    long:
      dataset: raw_long
      fields: {answer: {field: solution, read: boxed}}
      use: {train: 0.5, validation: 0.25, test: 0.25}
benchmarks:
  use: [sums]
  files: {sums: data/01_raw/sums.jsonl}
  define:
    sums: {answer_type: integer, rows: 2, sources: [{}]}
"""


def write(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_sources_have_roles_and_benchmarks_are_kept_out(tmp_path, monkeypatch):
    monkeypatch.setitem(ENVIRONMENT, "XDG_CACHE_HOME", str(tmp_path / "cache"))
    project = Project(tmp_path)
    (tmp_path / "conf/many").mkdir()
    (tmp_path / "conf/many/catalog.yml").write_text(CATALOG)
    (tmp_path / "conf/many/parameters.yml").write_text(PARAMETERS)
    raw = tmp_path / "data/01_raw"
    write(
        raw / "short.jsonl",
        [{"question": f"How much is {n} plus five?", "answer": f"It is\n#### {n + 5}"} for n in range(5)],
    )
    names = ["apple", "brick", "cloud", "drum", "eagle", "fence", "grape", "house", "iron", "jewel"]
    solved = [
        {"problem": f"The {one} costs {len(one)} coins. What is it?", "solution": f"\\boxed{{{len(one)}}}"}
        for one in names
    ]
    benchmark = [{"id": 0, "problem": "How much is 0 plus five?", "answer": 5}, {"id": 1, "problem": "?!", "answer": 1}]
    write(raw / "long.jsonl", solved)
    write(raw / "sums.jsonl", benchmark)
    command = ("run", "--env=many", "--pipelines=problems", "--params=decontamination.near=null")

    said = project.kedro(*command)
    data = tmp_path / "data/many/seed0/02_intermediate"
    rows = pq.read_table(data / "problems.parquet").to_pylist()
    assert [row["answer"] for row in rows if row["source"] == "short"] == ["6", "7", "8", "9"]
    assert {row["split"] for row in rows if row["source"] == "short"} == {"rl"}
    assert {row["split"] for row in rows if row["source"] == "long"} <= {"train", "validation", "test"}
    (overlap,) = [row for row in pq.read_table(data / "overlaps.parquet").to_pylist() if row["action"] == "rejected"]
    assert (overlap["set"], overlap["other_id"]) == ("sums", "0")
    assert "nobody knew the digest of its content" in said
    assert "Replacing dataset" not in said
    assert "nothing to run" in project.kedro(*command)

    write(raw / "long.jsonl", [*solved, {"problem": "New?", "solution": "\\boxed{1}"}])
    said = project.kedro("plan", *command[1:])
    assert "run   normalise_problems: " in said
    assert "sources.long" in said
    assert "run   load_benchmarks" not in said

    write(raw / "sums.jsonl", [benchmark[0] | {"problem": "How much is 0 plus Five?"}, benchmark[1]])
    said = project.kedro(*command, fails=True)
    assert "benchmark sums: the content of data/01_raw/sums.jsonl has digest" in said
