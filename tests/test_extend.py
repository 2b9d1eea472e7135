"""The page "extend": its project is made as the page says, with its own files, and runs."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

PAGE = (Path(__file__).parents[1] / "docs/guide/extend.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
ENVIRONMENT = {**os.environ, "KEDRO_DISABLE_TELEMETRY": "1", "DO_NOT_TRACK": "1"}
NAMED = re.compile(r"# my_project/([\w./]+)\n(.*)", re.DOTALL)
FILES = dict(match.groups() for _, text in BLOCKS if (match := NAMED.fullmatch(text)))


class Project:
    """A project as `forkpipe new` makes it, with the files of the page."""

    def __init__(self, folder):
        self.folder = folder / "my_project"
        self.run("-c", "from forkpipe.commands.standalone import main; main()", "new", "my_project", cwd=folder)
        for name, text in FILES.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def run(self, *arguments, cwd=None):
        path = os.pathsep.join([*filter(None, [os.environ.get("PYTHONPATH")]), str(self.folder / "src")])
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=cwd or self.folder,
            env={**ENVIRONMENT, "PYTHONPATH": path},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def kedro(self, command, *arguments):
        return self.run("-m", "kedro", command, "--env=sql", "--pipelines=trace_generation", *arguments)

    def table(self, path):
        return pq.read_table(self.folder / "data/sql/seed0" / path).to_pylist()


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return Project(tmp_path_factory.mktemp("work"))


def test_the_page_has_the_files_that_it_speaks_of():
    assert sorted(FILES) == [
        "conf/sql/catalog.yml",
        "conf/sql/parameters.yml",
        "data/01_raw/questions.jsonl",
        "src/length_clusterer.py",
        "src/sql_verifier.py",
        "src/template_engine.py",
    ]


def test_the_project_of_the_page_makes_the_sets_that_it_promises(project):
    project.kedro("run")
    sets = project.table("05_model_input/trace_sets.parquet")
    assert [one["problem"] for one in sets] == ["List the name of all users", "List the price of all books"]
    assert [sorted(trace["teacher"] for trace in one["traces"]) for one in sets] == [["short", "verbose"]] * 2
    verdicts = project.table("03_primary/verdicts.parquet")
    assert sorted(row["verdict"] for row in verdicts) == ["correct"] * 4 + ["failed"] * 2
    assert {row["verifier"] for row in verdicts} == {"sql"}
    rejected = project.table("05_model_input/rejected.parquet")
    assert [row["detail"] for row in rejected if row["reason"] == "unreadable answer"] == [
        "source id 4: sql answer 'all of it'"
    ]


def test_the_identity_of_the_engine_decides_what_is_stale(project):
    project.kedro("run")
    assert "nothing to run" in project.kedro("plan", "--params=generation.teachers.verbose.options.log=b.txt")
    planned = project.kedro("plan", "--params=generation.teachers.verbose.options.style=short")
    assert "run   generate_traces: TemplateEngine 'template verbose' is no longer used" in planned


def test_the_calls_without_a_project_work(project):
    """The other blocks of Python are code that a user types."""
    typed = [text for language, text in BLOCKS if language == "python" and not NAMED.fullmatch(text)]
    assert typed
    for text in typed:
        project.run("-c", text)
    rows = project.folder / "rows.jsonl"
    rows.write_text('{"gold": "SELECT a FROM b", "response": "```sql\\nselect a from c\\n```"}\n')
    main = "from forkpipe.commands.standalone import main; main()"
    columns = ("--gold=gold", "--response=response", "--output=verdicts.jsonl")
    printed = project.run("-c", main, "verify", str(rows), *columns, "--type=sql_verifier:SQLVerifier")
    assert re.search(r"wrong +1", printed)
