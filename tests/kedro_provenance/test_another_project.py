"""kedro_provenance in a Kedro project that has nothing to do with forkpipe, set up as its documentation says."""

import json
import os
import subprocess
import sys
import textwrap

import kedro_provenance

FILES = {
    "pyproject.toml": """
        [tool.kedro]
        package_name = "my_project"
        project_name = "my_project"
        kedro_init_version = "1.7.0"
        source_dir = "src"
        """,
    "conf/base/catalog.yml": """
        raw: {type: pandas.CSVDataset, filepath: data/raw.csv}
        total: {type: my_project.total.TotalDataset, filepath: data/total.json}
        doubled: {type: json.JSONDataset, filepath: data/doubled.json}
        """,
    "conf/base/parameters.yml": "scale: {factor: 2, n_workers: 1}",
    "conf/local/.keep": "",
    "conf/logging.yml": "{version: 1, disable_existing_loggers: false}",
    "data/raw.csv": "x\n1\n2\n",
    "src/my_project/__init__.py": "",
    "src/my_project/total.py": """
        from kedro_datasets.json import JSONDataset

        class TotalDataset(JSONDataset):
            def unfinished(self):
                return "the total is above 4" if self.load()["x"] > 4 else ""
        """,
    "src/my_project/settings.py": """
        from my_project.session import ProvenanceSession
        SESSION_CLASS = ProvenanceSession
        """,
    "src/my_project/cli.py": """
        import click
        from kedro_provenance.commands import accept, plan, run

        @click.group(name="my_project")
        def cli(): pass

        for command in (accept, plan, run):
            cli.add_command(command)
        """,
    "src/my_project/pipeline_registry.py": """
        from kedro.pipeline import Node, Pipeline

        def total(raw):
            return {"x": int(raw["x"].sum())}

        def double(total, scale):
            return {"x": scale["factor"] * total["x"]}

        def register_pipelines():
            nodes = [Node(total, "raw", "total", name="total"),
                     Node(double, ["total", "params:scale"], "doubled", name="double")]
            return {"__default__": Pipeline(nodes)}
        """,
}


def session_of_the_documentation():
    text = kedro_provenance.__doc__
    return textwrap.dedent(text[text.index("    # my_project/session.py") : text.index("    # my_project/cli.py")])


def test_another_project_recomputes_only_what_changed(tmp_path):
    for name, text in {**FILES, "src/my_project/session.py": session_of_the_documentation()}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(textwrap.dedent(text).lstrip())

    def kedro(*arguments, code=0):
        environment = {**os.environ, "KEDRO_DISABLE_TELEMETRY": "1"}
        command = [sys.executable, "-m", "kedro", *arguments]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stderr
        return done.stdout

    assert "run   total: total is not there" in kedro("plan")
    kedro("run")
    assert json.loads((tmp_path / "data/doubled.json").read_text()) == {"x": 6}
    assert kedro("plan", "--params=scale.n_workers=9") == "nothing to run: all 2 nodes are fresh\n"
    assert (
        kedro("plan", "--params=scale.factor=3") == "run   double: parameter scale.factor 2 -> 3\nfresh 1 other nodes\n"
    )
    (tmp_path / "data/raw.csv").write_text("x\n2\n1\n")  # another file with the same sum
    assert "run   total: input raw changed" in kedro("run")
    assert kedro("accept", "double") == "nothing to accept: no output that exists is stale\n"

    (tmp_path / "data/raw.csv").write_text("x\n2\n3\n")
    kedro("run")  # what is unfinished is made again until it is not, or until it is accepted as it is
    again = "run   total: the total is above 4\n"
    assert kedro("plan").startswith(again)
    (tmp_path / "data/total.json").unlink()
    assert kedro("plan").startswith(again)  # the record knows
    assert kedro("accept", "total", code=1) == (
        "not accepted total: total is not there. `kedro run --nodes=total` makes it, "
        "`kedro run --force=total` with all that it needs\n"
    )
    assert kedro("accept") == "nothing to accept: no output that exists is stale\n"
    assert kedro("run", "--nodes=total").startswith("run   total: forced; total is not there")
    assert kedro("run").startswith(again)
    assert kedro("accept", "total").count("the total is above 4") == 1
    assert kedro("plan") == "nothing to run: all 2 nodes are fresh\n"
