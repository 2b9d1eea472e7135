"""Text files beside a module: word lists, tables and prompts, which are edited more easily as data than as code.

`kedro_provenance` counts a file that the code names, so the name is given where the file is read.
"""

from pathlib import Path


def data_text(module: str, name: str) -> str:
    """Return the text of the file `name` beside a module (its `__file__`), without the line break at its end."""
    return Path(module).with_name(name).read_text(encoding="utf-8").removesuffix("\n")


def data_lines(module: str, name: str) -> list[str]:
    """Return the lines of a data file, see `data_text`, without blank lines and comments ("# ")."""
    return [line for line in data_text(module, name).splitlines() if line.strip() and not line.startswith("# ")]
