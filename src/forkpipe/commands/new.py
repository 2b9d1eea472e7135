"""`forkpipe new`: make a Kedro project that runs forkpipe's pipelines, with forkpipe's own configuration."""

import importlib.util
import re
import shutil
from pathlib import Path

import click

CONF = Path(__file__).parents[1] / "conf"
"""The repository's conf/: a link in a checkout, package data in an installed wheel."""

PYPROJECT = """\
[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"

[project]
name = "{package}"
version = "0.1.0"
dependencies = ["forkpipe=={forkpipe}"]

[tool.setuptools.packages.find]
where = ["src"]

[tool.kedro]
package_name = "{package}"
project_name = "{package}"
kedro_init_version = "{kedro}"
source_dir = "src"
"""

README = """\
# {package}

A [Kedro](https://kedro.org) project that runs the pipelines of forkpipe.

```
kedro run --env=smoke --pipelines=trace_generation   # a trial in seconds
kedro run                                            # the embedded default, minutes on a laptop
kedro plan                                           # what would run, and why
kedro registry list                                  # all pipelines
kedro viz run                                        # the lineage in a browser; needs kedro-viz
```

`conf/base` is the embedded default. A folder beside it is an environment, which names only what it changes:
`kedro run --env=NAME`. Credentials go to `conf/local`, which git ignores. Runs write to `data/ENVIRONMENT/seedN`.
Nodes and pipelines of your own go to `src/{package}` and are registered in `pipeline_registry.py`.
"""

FILES = {
    "pyproject.toml": PYPROJECT,
    "README.md": README,
    ".gitignore": "__pycache__/\n*.egg-info/\n.viz/\n/data/*\n!/data/01_raw/\n/conf/local/*\n!/conf/local/.gitkeep\n",
    ".telemetry": "consent: false\n",
    "conf/local/.gitkeep": "",
    "data/01_raw/.gitkeep": "",
    "src/{package}/__init__.py": '"""A project that runs the pipelines of forkpipe."""\n',
    "src/{package}/cli.py": '"""Commands for `kedro`: those of forkpipe."""\n\n'
    'from forkpipe.cli import cli\n\n__all__ = ["cli"]\n',
    "src/{package}/settings.py": '"""Settings of Kedro: those of forkpipe."""\n\n'
    "from forkpipe.settings import *  # noqa: F403\n",
    "src/{package}/pipeline_registry.py": '"""The pipelines by name: those of forkpipe, and your own."""\n\n'
    "from forkpipe import pipeline_registry\n\n\n"
    "def register_pipelines():\n"
    '    """Return all pipelines by name; add your own to the dict."""\n'
    "    return pipeline_registry.register_pipelines()\n",
}
"""Path -> content; both hold names in braces."""


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
def new(folder: Path) -> None:
    """Make a Kedro project in FOLDER, which runs the pipelines of forkpipe and holds its configuration."""
    import kedro

    import forkpipe

    package = re.sub(r"\W", "_", folder.resolve().name.lower())
    if not package.isidentifier():
        raise click.ClickException(f"{folder}: {package!r} cannot name a Python package, expected a letter first")
    installed = importlib.util.find_spec(package)
    if installed is not None and installed.origin is not None:  # without an origin it is a folder of that name
        raise click.ClickException(f"{folder}: a Python package {package!r} is installed, expected another name")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise click.ClickException(f"{folder} exists, expected a new or empty folder")
    shutil.copytree(CONF, folder / "conf", ignore=shutil.ignore_patterns("local"), dirs_exist_ok=True)
    names = {"package": package, "forkpipe": forkpipe.__version__, "kedro": kedro.__version__}
    for place, content in FILES.items():
        file = folder / place.format_map(names)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content.format_map(names))
    click.echo(f"Made {folder}. Try: cd {folder} && kedro run --env=smoke --pipelines=trace_generation")
