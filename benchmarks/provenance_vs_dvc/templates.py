"""The pipeline of the comparison, as text: the same functions in a Kedro project and in a DVC project.

raw -> clean -> features (window) -> train (lr, seed) -> evaluate (low, high) -> report, and clean -> stats. Helper code
is two imports away: stage -> shaping -> helpers.
"""

STAGES = ("clean", "features", "train", "evaluate", "report", "stats")

IMPORTS = {
    "clean": "import json\n",
    "features": "from tinyproj.shaping import windows\n",
    "train": "import random\n",
    "evaluate": "import importlib\n",
    "report": "",
    "stats": "from tinyproj.shaping import summary\n",
}

FUNCTIONS = {
    "clean": '''
@logged
def clean(raw: str) -> list:
    """Keep the rows that hold a number."""
    rows = [json.loads(line) for line in raw.splitlines() if line]
    return [row for row in rows if isinstance(row["x"], int | float)]
''',
    "features": '''
@logged
def features(rows: list, window: int) -> list:
    """Pair each value with what came before it."""
    return windows([row["x"] for row in rows], window)
''',
    "train": '''
@logged
def train(pairs: list, options: dict) -> dict:
    """Fit a line by gradient descent."""
    slope = random.Random(options["seed"]).random()
    for _ in range(50):
        slope -= options["lr"] * sum(a * (slope * a - b) for a, b in pairs) / len(pairs)
    break_if_asked("train")
    return {"slope": slope}
''',
    "evaluate": '''
@logged
def evaluate(pairs: list, model: dict, low: float, high: float) -> dict:
    """Say how far off the line is."""
    loss = importlib.import_module("tinyproj.losses").loss
    errors = [loss(model["slope"] * a, b) for a, b in pairs]
    return {"error": sum(errors) / len(errors), "below": sum(e < low for e in errors), "span": high - low}
''',
    "report": '''
@logged
def report(metrics: dict) -> dict:
    """Say it in words."""
    return {"text": f"error {metrics['error']:.6f}, {metrics['below']} below"}
''',
    "stats": '''
@logged
def stats(rows: list) -> dict:
    """Count, and take the mean."""
    return summary([row["x"] for row in rows])
''',
}

LOGGED = "from tinyproj.runlog import logged\n"
LOGGED_TRAIN = "from tinyproj.runlog import break_if_asked, logged\n"

MODULES = {
    "__init__.py": '"""The pipeline of the comparison."""\n',
    "shaping.py": '''"""What the stages import."""

from tinyproj import helpers


def windows(values: list, window: int) -> list:
    """Pair each value with the mean before it."""
    return [[helpers.mean(values[i - window : i]), values[i]] for i in range(window, len(values))]


def summary(values: list) -> dict:
    """Count, and take the largest."""
    return {"count": len(values), "largest": helpers.largest(values)}
''',
    "helpers.py": '''"""What shaping imports."""


def mean(values: list) -> float:
    """Take the mean."""
    return sum(values) / len(values)


def largest(values: list) -> float:
    """Take the largest."""
    return max(values)


def nobody_uses(value: float) -> float:
    """Do what nobody needs."""
    return value + 1
''',
    "losses.py": '''"""Reached by name only."""


def loss(guess: float, truth: float) -> float:
    """Square the distance."""
    return (guess - truth) ** 2
''',
    "runlog.py": '''"""One line for each function that starts, in a file that neither tool knows of."""

import functools
import os
import signal


def logged(function):
    """Write the function's name before it starts."""

    @functools.wraps(function)
    def started(*args):
        with open(os.environ["RUN_LOG"], "a") as file:
            file.write(function.__name__ + "\\n")
        return function(*args)

    return started


def break_if_asked(stage):
    """Fail, or be killed, if the comparison asks for it."""
    if os.environ.get("BREAK") == f"raise {stage}":
        raise RuntimeError("asked to fail")
    if os.environ.get("BREAK") == f"kill {stage}":
        os.kill(os.getpid(), signal.SIGKILL)
''',
}

KEDRO = {
    "pyproject.toml": """[tool.kedro]
package_name = "tinyproj"
project_name = "tinyproj"
kedro_init_version = "{kedro}"
source_dir = "src"
""",
    "conf/local/.gitkeep": "",
    "conf/base/parameters.yml": "PARAMETERS",
    "conf/base/catalog.yml": "raw: {type: text.TextDataset, filepath: data/raw.jsonl}\n"
    + "".join(
        f"{name}: {{type: json.JSONDataset, filepath: data/{name}.json}}\n"
        for name in ("rows", "pairs", "model", "metrics", "report", "summary")
    ),
    "src/tinyproj/settings.py": '''"""Settings."""

from tinyproj.session import Session

SESSION_CLASS = Session
''',
    "src/tinyproj/session.py": '''"""A session that runs what is stale."""

from pathlib import Path

from kedro_provenance.recipes import Declared
from kedro_provenance.runner import ProvenanceRunner
from kedro.framework.session import KedroSession

DECLARED = Declared(packages=("tinyproj",), exempt_modules=("tinyproj.runlog",), ignored_parameters=("*.workers",))


class Session(KedroSession):
    """Kedro's session with another runner."""

    def run(self, runner=None, **kwargs):
        """Run what is stale."""
        runner = ProvenanceRunner(DECLARED, None, sliced=False, project=Path(self._project_path))
        return super().run(runner=runner, **kwargs)
''',
    "src/tinyproj/pipeline_registry.py": '''"""The pipeline."""

from kedro.pipeline import node, pipeline

from tinyproj import nodes


def register_pipelines():
    """Return the one pipeline."""
    made = pipeline(
        [
            node(nodes.clean, "raw", "rows", name="clean"),
            node(nodes.features, ["rows", "params:window"], "pairs", name="features"),
            node(nodes.train, ["pairs", "params:train"], "model", name="train"),
            node(nodes.evaluate, ["pairs", "model", "params:low", "params:high"], "metrics", name="evaluate"),
            node(nodes.report, "metrics", "report", name="report"),
            node(nodes.stats, "rows", "summary", name="stats"),
        ]
    )
    return {"__default__": made}
''',
}

PARAMETERS = """window: 3
train:
  lr: 0.01
  seed: 1
  workers: 2
low: 0.05
high: 2.0
unused: 1
"""

OUTPUTS = {
    "clean": "rows",
    "features": "pairs",
    "train": "model",
    "evaluate": "metrics",
    "report": "report",
    "stats": "summary",
}

DVC = {
    ".gitignore": "/data/\n",
    "params.yaml": "PARAMETERS",
    "src/tinyproj/stages/__init__.py": "",
    # Reads inputs and parameters, writes the output: what Kedro does for its nodes.
    "src/tinyproj/stage.py": '''"""python -m tinyproj.stage NAME OUTPUT INPUT..., where @name is a parameter."""

import importlib
import json
import sys
from pathlib import Path

import yaml

name, output, *inputs = sys.argv[1:]
parameters = yaml.safe_load(Path("params.yaml").read_text())


def load(value):
    """Load an input or a parameter."""
    if value.startswith("@"):
        return parameters[value[1:]]
    text = Path(value).read_text()
    return text if value.endswith(".jsonl") else json.loads(text)


made = getattr(importlib.import_module(f"tinyproj.stages.{name}"), name)(*map(load, inputs))
Path(output).write_text(json.dumps(made))
''',
    "dvc.yaml": """stages:
  clean:
    cmd: python -m tinyproj.stage clean data/rows.json data/raw.jsonl
    deps: [src/tinyproj/stages/clean.py, data/raw.jsonl]
    outs: [data/rows.json]
  features:
    cmd: python -m tinyproj.stage features data/pairs.json data/rows.json @window
    deps: [src/tinyproj/stages/features.py, src/tinyproj/shaping.py, src/tinyproj/helpers.py, data/rows.json]
    params: [window]
    outs: [data/pairs.json]
  train:
    cmd: python -m tinyproj.stage train data/model.json data/pairs.json @train
    deps: [src/tinyproj/stages/train.py, data/pairs.json]
    params: [train.lr, train.seed]
    outs: [data/model.json]
  evaluate:
    cmd: python -m tinyproj.stage evaluate data/metrics.json data/pairs.json data/model.json @low @high
    deps: [src/tinyproj/stages/evaluate.py, src/tinyproj/losses.py, data/pairs.json, data/model.json]
    params: [low, high]
    outs: [data/metrics.json]
  report:
    cmd: python -m tinyproj.stage report data/report.json data/metrics.json
    deps: [src/tinyproj/stages/report.py, data/metrics.json]
    outs: [data/report.json]
  stats:
    cmd: python -m tinyproj.stage stats data/summary.json data/rows.json
    deps: [src/tinyproj/stages/stats.py, src/tinyproj/shaping.py, src/tinyproj/helpers.py, data/rows.json]
    outs: [data/summary.json]
""",
}
