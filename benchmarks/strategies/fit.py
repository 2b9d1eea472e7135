"""Weights and threshold of `strategies.distance`, and what they are worth on problems that they were not fitted to.

    python benchmarks/strategies/fit.py tuning.jsonl test.jsonl

A logistic regression of "different" on the measures, every pair alike: the sampling weights would let a few pairs
decide. Ten folds of problems, ten times. Prints the AUC of every measure alone; of the held-out probabilities AUC, F1
where the threshold is the best of the other folds, F1 by threshold and calibration; and the weights of the whole.
"""

import argparse

import numpy as np
from numpy.typing import NDArray
from scorecard import best_threshold, labelled
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from forkpipe.strategies.clusterer import THRESHOLD
from forkpipe.strategies.distance import BIAS, WEIGHTS, Components, apartness, components, traits_of
from forkpipe.strategies.steps import given_by, steps_of

FOLDS, REPEATS = 10, 10

Floats = NDArray[np.float64]


def main() -> None:
    """Print the fit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pairs", nargs="+")
    rows = labelled(parser.parse_args().pairs)
    found = [measured(row) for row in rows]
    measures = np.array(found)
    factor = np.array([apartness(one) for one in found])
    different = np.array([row["label"] == "different" for row in rows])
    weights = np.array([float(row["weight"]) for row in rows])
    problems = np.unique([row["problem"] for row in rows], return_inverse=True)[1]
    for name, column in zip(Components._fields, measures.T, strict=True):
        area = roc_auc_score(different, column)
        print(f"{name:<16} AUC {max(area, 1 - area):.3f}{'' if area > 0.5 else ', the less the more different'}")
    held_out, scores = np.zeros(len(rows)), []
    for repeat in range(REPEATS):
        fold = np.random.default_rng(repeat).permutation(problems.max() + 1)[problems] % FOLDS
        once, decided = np.zeros(len(rows)), np.zeros(len(rows), dtype=bool)
        for one in range(FOLDS):
            rest = fold != one
            once[~rest] = probability(fitted(measures[rest], different[rest]), measures[~rest], factor[~rest])
        for one in range(FOLDS):
            rest = fold != one
            decided[~rest] = once[~rest] > best_threshold(different[rest], once[rest], np.ones(rest.sum()))
        scores.append(f1_score(different, decided))
        held_out += once / REPEATS
    print(
        f"held out: AUC {roc_auc_score(different, held_out):.3f}, weighted "
        f"{roc_auc_score(different, held_out, sample_weight=weights):.3f}; F1 with the threshold of other folds "
        f"{np.mean(scores):.3f} ({min(scores):.3f} to {max(scores):.3f} over {REPEATS} divisions)"
    )
    for threshold in sorted({*np.arange(0.2, 0.6, 0.05).round(2), THRESHOLD}):
        print(f"  threshold {threshold:.2f}: F1 {f1_score(different, held_out > threshold):.3f}")
    for low, high in ((0, 0.1), (0.1, 0.2), (0.2, 0.35), (0.35, 0.5), (0.5, 0.7), (0.7, 1)):
        within = (low <= held_out) & (held_out < high)
        print(f"  held-out probability {low} to {high}: {different[within].mean():.2f} of {within.sum()} different")
    model = fitted(measures, different)
    scaled = model[1].coef_[0] / model[0].scale_
    print("weights", dict(zip(Components._fields, scaled.round(2).tolist(), strict=True)))
    print("bias", round(float(model[1].intercept_[0] - scaled @ model[0].mean_), 2))
    print("as shipped", dict(zip(Components._fields, WEIGHTS, strict=True)), BIAS)


def measured(row: dict) -> Components:
    """Return the measures of a pair."""
    given = given_by(row["problem"])
    a, b = (traits_of(steps_of(row["problem"], row[side], given), given) for side in ("a", "b"))
    return components(a, b)


def fitted(measures: Floats, different: NDArray[np.bool_]) -> LogisticRegression:
    """Return a regularised fit."""
    return make_pipeline(StandardScaler(), LogisticRegression(C=0.3)).fit(measures, different)


def probability(model: LogisticRegression, measures: Floats, factor: Floats) -> Floats:
    """Return what `distance` would with the weights of a fit."""
    odds = factor * np.exp(model.decision_function(measures))
    return odds / (1 + odds)


if __name__ == "__main__":
    main()
