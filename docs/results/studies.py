"""What the studies share: their options, and a file of results to which every finished training adds a line."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

Row = dict[str, Any]


def options(description: str | None) -> argparse.ArgumentParser:
    """Return the options that every study has."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, help="JSONL; a training that is in it is not run again")
    parser.add_argument("--environments", nargs="+", default=["base"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--print", action="store_true", help="print what there is, train nothing")
    return parser


class Results:
    """The lines of a file of results, each named by some of its fields."""

    def __init__(self, path: Path, names: Sequence[str]) -> None:
        self.path = path
        self.names = names
        self.rows: list[Row] = list(map(json.loads, path.read_text().splitlines())) if path.exists() else []

    def has(self, *values: object) -> bool:
        """Tell whether there is a line with these values of the naming fields."""
        return json.dumps(values) in {json.dumps([row[name] for name in self.names]) for row in self.rows}

    def add(self, row: Row, shown: Sequence[str]) -> None:
        """Write a line, and print some of it."""
        self.rows.append(row)
        with self.path.open("a") as file:
            file.write(json.dumps(row) + "\n")
        print({name: row[name] for name in (*self.names, *shown)}, flush=True)
