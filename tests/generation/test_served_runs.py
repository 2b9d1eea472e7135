"""Whole runs of trace generation whose teachers are servers that fail: what is asked again, and what ends a run."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "tests/engines"))

from fault_server import FaultServer  # noqa: E402


class Project:
    """A copy of the project whose teachers are servers, by name, with further options each."""

    def __init__(self, folder, **teachers):
        self.folder = folder
        left_out = shutil.ignore_patterns("__pycache__", "*.egg-info", "local")
        for name in ("conf", "src"):
            shutil.copytree(ROOT / name, folder / name, ignore=left_out)
        shutil.copy(ROOT / "pyproject.toml", folder)
        environment = folder / "conf" / "served"
        environment.mkdir()
        shutil.copy(ROOT / "conf" / "smoke" / "catalog.yml", environment)
        lines = ["verification: {max_unscored: 1.0}", "generation:", f"  use: [{', '.join(teachers)}]", "  teachers:"]
        for name, (server, options) in teachers.items():
            lines += [f"    {name}:", "      engine: openai", "      options:"]
            lines += [
                f"        {key}: {value}" for key, value in {"model": "m", "base_url": server.url, **options}.items()
            ]
        (environment / "parameters.yml").write_text("\n".join(lines) + "\n")

    def kedro(self, command, *arguments, fails=False):
        done = subprocess.run(
            [sys.executable, "-m", "kedro", command, "--env=served", "--pipelines=trace_generation", *arguments],
            cwd=self.folder, capture_output=True, text=True, check=False,
            env={**os.environ, "PYTHONPATH": str(self.folder / "src"), "KEDRO_DISABLE_TELEMETRY": "1"},
        )  # fmt: skip
        output = done.stdout + done.stderr
        assert (done.returncode != 0) == fails, output
        return output

    def table(self, path):
        return pq.read_table(self.folder / "data/served/seed0" / path).to_pylist()


def boxed(reply, body):
    reply["choices"][0]["message"] = {"role": "assistant", "content": f"I say \\boxed{{{body['seed'] % 17}}}"}


def long(body):
    return "9 ^ " in body["messages"][-1]["content"]


def test_what_failed_is_asked_again_by_the_next_run_and_what_was_refused_is_not(tmp_path):
    def fault(number, body):
        return "400" if long(body) else "500" if number % 5 == 0 and not well else None

    well = False
    with FaultServer(fault=fault, reply=boxed) as server:
        project = Project(tmp_path, served=(server, {"attempts": 1}))
        output = project.kedro("run")
        requests, failed, refused = server.served, server.faults["500"], server.faults["400"]
        assert failed > 5
        output = re.sub(r"\s+", " ", output)  # logging wraps lines
        assert f"the next run asks {failed} failed requests again" in output
        assert re.search(r"answered, \d+ failed, .* last error: (server error|refused): .*told to fail", output)
        assert refused > 1
        reason = f"run   generate_traces: teacher served: {failed} requests failed (server error)"
        assert reason in project.kedro("plan")
        well = True
        project.kedro("run")
        assert server.served == requests + failed
        assert "nothing to run" in project.kedro("plan")
    traces = project.table("03_primary/traces.parquet")
    errors = [row["error"] for row in traces if row["status"] == "failed"]
    assert len(traces) == requests
    assert len(errors) == refused
    assert all(error.startswith("refused: ") for error in errors)
    rejected = [row["detail"] for row in project.table("05_model_input/rejected.parquet")]
    assert sum(detail.startswith("refused: ") for detail in rejected) == refused


def test_a_key_that_is_refused_in_mid_run_ends_its_teacher_alone(tmp_path):
    poor = FaultServer(fault=lambda number, body: "402" if number >= 10 and not paid else None, reply=boxed)
    paid = False
    with poor, FaultServer(reply=boxed) as other:
        few = {"concurrency": 2}
        project = Project(tmp_path, poor=(poor, few), other=(other, few))
        output = re.sub(r"\s+", " ", project.kedro("run", fails=True))
        refusal = f"server {poor.url} refuses all requests: refused: "
        assert f"teacher poor ends with an error: {refusal}" in output
        assert f"Error: {refusal}" in output  # the last line
        served = poor.served
        assert served <= 12
        asked = other.served
        paid = True
        project.kedro("run")
        assert other.served == asked  # it had finished
        assert poor.served == asked + poor.faults["402"]
    assert {row["status"] for row in project.table("03_primary/traces.parquet")} == {"done"}
