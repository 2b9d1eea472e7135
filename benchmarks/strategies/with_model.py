r"""What a model that names steps or judges close pairs brings, on labelled pairs.

    python benchmarks/strategies/with_model.py late.jsonl --settings strategies.yml

The file of settings is the block `strategies` of the parameters, with `summaries`, `judge` or both; with a `cache` in
it a run goes on where it was killed. Prints AUC, F1 of "different" and kappa without the model and with it, and for a
judge how many pairs were put before it, on how many it said the same in both orders, and how many of those are as
labelled.
"""

import argparse
import time
from collections import Counter

import numpy as np
import yaml
from scorecard import labelled
from sklearn.metrics import cohen_kappa_score, f1_score, roc_auc_score

from forkpipe.generation.clustering import strategy_models
from forkpipe.parameters import StrategySettings
from forkpipe.strategies.clusterer import StepClusterer
from forkpipe.strategies.grouping import CHUNK, cluster_all, judged
from forkpipe.strategies.pair_judge import judge


def main() -> None:
    """Ask, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pairs", nargs="+", help="rows with problem, a, b, label")
    parser.add_argument("--settings", required=True, help="YAML: the block `strategies` of the parameters")
    parser.add_argument("--limit", type=int, help="only so many pairs, the first")
    options = parser.parse_args()
    rows = labelled(options.pairs)[: options.limit]
    different = np.array([row["label"] == "different" for row in rows])
    with open(options.settings, encoding="utf-8") as file:
        settings = StrategySettings.model_validate(yaml.safe_load(file))
    clusterer = StepClusterer(**settings.options)
    threshold = clusterer.threshold
    groups = [(row["problem"], [row["a"], row["b"]]) for row in rows]
    print(f"{len(rows)} pairs, {different.sum()} different")

    def distances(**models: object) -> np.ndarray:
        found = []
        for at, measured in enumerate(cluster_all(clusterer, groups, **models), 1):
            found.append(float(measured.distances[0, 1]))
            if at % CHUNK == 0:
                print(f"{at} of {len(groups)} pairs, {time.process_time():.0f} s of CPU", flush=True)
        return np.array(found)

    with strategy_models(settings) as (summaries, judging):
        alone = distances()
        show("without", different, alone, threshold)
        if judging:
            close = np.flatnonzero(np.abs(alone - threshold) <= judging.margin)
            said = judge(judging.asker, [(rows[at]["problem"], rows[at]["a"], rows[at]["b"]) for at in close])
            verdicts = Counter((verdict, rows[at]["label"]) for at, verdict in zip(close, said, strict=True))
            right = sum(count for (verdict, label), count in verdicts.items() if verdict == label)
            clear = sum(count for (verdict, _), count in verdicts.items() if verdict)
            print(f"judged {len(close)} pairs, {clear} alike in both orders, {right} as labelled: {dict(verdicts)}")
            moved = alone.copy()
            moved[close] = [judged(alone[at], verdict, threshold) for at, verdict in zip(close, said, strict=True)]
            show("judged", different, moved, threshold)
        if summaries:
            show("summarised", different, distances(summaries=summaries), threshold)


def show(name: str, different: np.ndarray, distances: np.ndarray, threshold: float) -> None:
    """Print the figures of one way."""
    called = distances > threshold
    print(
        f"{name:<10} AUC {roc_auc_score(different, distances):.3f}  F1 {f1_score(different, called):.3f}  "
        f"kappa {cohen_kappa_score(different, called):.3f}",
        flush=True,
    )


if __name__ == "__main__":
    main()
