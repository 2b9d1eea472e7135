"""Take the texts out of pairs whose traces come from a source that states no licence; labels and ids stay.

python benchmarks/strategies/pairs/strip.py TEXT PAIRS [PAIRS ...] --traces FILE [FILE ...]

A trace is of that source if the `source` of its row in the trace files holds TEXT. `a` and `b` give way to `a_id` and
`b_id`: data set, problem, teacher, sample. Who has the trace files finds the texts by them.
"""

import argparse
from pathlib import Path

from draw import Row, letters, read, write


def identity(row: Row, dataset: str) -> str:
    """Return what finds a trace in the trace files."""
    return f"{dataset}: {row['problem_id']}, {row['teacher']}, sample {row['sample']}"


def stripped(pair: Row, ids: dict[tuple[str, str], str]) -> Row:
    """Return the pair, without texts if one of them is among those named by problem and text."""
    if "a" not in pair:
        return pair
    named = [ids.get((letters(pair["problem"]), pair[side])) for side in ("a", "b")]
    if not any(named):
        return pair
    if not all(named):
        raise ValueError(f"{pair['problem_id']}: only one trace of the pair is of that source")
    kept = {"a": ("a_id", named[0]), "b": ("b_id", named[1])}
    return dict(kept.get(name, (name, value)) for name, value in pair.items())


def main() -> None:
    """Rewrite the files of pairs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", help="what the source of a trace to leave out holds")
    parser.add_argument("pairs", type=Path, nargs="+")
    parser.add_argument("--traces", type=Path, nargs="+", required=True)
    options = parser.parse_args()
    ids = {
        (letters(row["problem"]), row["trace"]): identity(row, file.name.split(".")[0])
        for file in options.traces
        for row in read(file)
        if options.source in row["source"]
    }
    for path in options.pairs:
        pairs = list(read(path))
        left = [stripped(pair, ids) for pair in pairs]
        write(path, left)
        changed = sum(before != after for before, after in zip(pairs, left, strict=True))
        print(f"{path.name}: {changed} of {len(pairs)} pairs lost their texts")


if __name__ == "__main__":
    main()
