"""Print the results of several seeds as Markdown: mean and standard deviation, and paired differences.

    python docs/results/summarise.py base tight

reads data/{environment}/seed*/08_reporting, as written by `kedro run --env=ENVIRONMENT --params=seed=N`.
"""

import json
import statistics
import sys
from pathlib import Path

import pyarrow.parquet as pq

from forkpipe.evaluation.metrics import headline
from forkpipe.parameters.methods import METHODS

PAIRS = [("gfpo", "grpo"), ("ssft", "sft"), ("ssft_random", "sft")]
MEASURES = ("pass_1", "cons_n", "pass_n")


def spread(values: list[float], digits: int = 3) -> str:
    """Return mean and standard deviation over seeds."""
    deviation = f" ± {statistics.stdev(values):.{digits}f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.{digits}f}{deviation}"


def value(rows: list[dict], method: str, protocol: str, policy: str) -> float:
    """Return one value of a comparison."""
    return next(
        row["value"] for row in rows if (row["method"], row["protocol"], row["policy"]) == (method, protocol, policy)
    )


def summarise(environment: str) -> None:
    """Print the tables of one environment."""
    folders = sorted(Path("data", environment).glob("seed*/08_reporting"))
    comparisons = [pq.read_table(folder / "comparison.parquet").to_pylist() for folder in folders]
    tags = [json.loads((folder / "tag_information.json").read_text()) for folder in folders]
    seeds = ", ".join(folder.parent.name.removeprefix("seed") for folder in folders)
    print(f"\n### `{environment}`, seeds {seeds}\n")
    print("| method | policy | pass@1 | cons@6 | pass@6 | pass@1, mean over tags |\n|---|---|---|---|---|---|")
    heads = [{row["method"]: row for row in headline(rows)} for rows in comparisons]
    for method in METHODS:
        cells = [spread([head[method][measure] for head in heads]) for measure in MEASURES]
        mixed = spread([value(rows, method, "pass@1", "mixed") for rows in comparisons])
        print(f"| {method} | {heads[0][method]['policy']} | {' | '.join(cells)} | {mixed} |")
    print("\n| difference in pass@1, paired by seed | mean ± sd | seeds above 0 |\n|---|---|---|")
    for first, second in PAIRS:
        values = [head[first]["pass_1"] - head[second]["pass_1"] for head in heads]
        print(f"| {first} - {second} | {spread(values)} | {sum(v > 0 for v in values)} of {len(values)} |")
    values = [head["gfpo"]["pass_1"] - head["ssft"]["pass_1"] for head in heads]
    print(f"| gfpo - best tag of ssft | {spread(values)} | {sum(v > 0 for v in values)} of {len(values)} |")
    print("\n| tags and strategies | mutual information, bits | purity |\n|---|---|---|")
    for method in ("ssft_random", "ssft"):
        found = [one["matching"][method] for one in tags]
        information = spread([one["mutual_information_bits"] for one in found])
        print(f"| {method}, matching | {information} | {spread([one['purity'] for one in found])} |")


if __name__ == "__main__":
    for name in sys.argv[1:]:
        summarise(name)
