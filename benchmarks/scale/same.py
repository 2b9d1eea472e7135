"""Whether two runs made the same tables: the rows of each, whatever their order, run ids and seconds apart.

    python benchmarks/scale/same.py ONE/data/scale/seed0 OTHER/data/scale/seed0

Lists within a row keep their order. Of `distances_to_earlier`, which names traces by their places, each distance is
compared with the two traces that it belongs to.
"""

import json
import sys
from collections import Counter, defaultdict
from pathlib import Path

from forkpipe.core.ids import content_hash
from forkpipe.stores.tables import open_table

APART = ("run_id", "seconds", "matching_seconds")


def rows_of(path: Path) -> Counter[str]:
    """Return how often each row is in a table, by a hash of the row."""
    counts: Counter[str] = Counter()
    earlier: dict[str, list[str]] = defaultdict(list)
    with open_table(str(path)) as file:
        for batch in file.iter_batches(256):
            for row in batch.to_pylist():
                kept = {name: value for name, value in row.items() if name not in APART}
                if "distances_to_earlier" in kept:
                    before = earlier[kept["problem_id"]]
                    pairs = zip(before, kept["distances_to_earlier"] or [], strict=False)
                    kept["distances_to_earlier"] = sorted(pairs)
                    before.append(kept["trace_id"])
                counts[content_hash(json.dumps(kept, sort_keys=True))] += 1
    return counts


def main() -> int:
    """Compare all tables of two folders; print a line for each."""
    first, second = map(Path, sys.argv[1:3])
    names = sorted({path.relative_to(root) for root in (first, second) for path in root.glob("0[2-5]*/*.parquet")})
    different = 0
    for name in names:
        if not ((first / name).exists() and (second / name).exists()):
            print(f"{name}: only in one")
            different += 1
            continue
        a, b = rows_of(first / name), rows_of(second / name)
        different += a != b
        print(f"{name}: {a.total()} rows, " + ("the same" if a == b else f"{(a - b).total()} differ"))
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
