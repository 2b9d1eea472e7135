"""`forkpipe new`: make a Kedro project that runs forkpipe's pipelines, with forkpipe's own configuration."""

import importlib.util
import re
import shutil
import tomllib
from pathlib import Path

import click

from forkpipe.core.data_files import data_text

CONF = Path(__file__).parents[1] / "conf"
"""The repository's conf/: a link in a checkout, package data in an installed wheel."""

FILES: dict[str, str] = tomllib.loads(data_text(__file__, "project.toml"))
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
