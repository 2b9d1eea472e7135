"""Weights of the measures of `strategies.distance`, and what they are worth on problems that they were not fitted to.

    python benchmarks/strategies/fit.py tuning.jsonl

A logistic regression of "different" on the measures, pairs weighted by the square root of their sampling weights: the
full weights would let a few pairs decide. Ten folds of problems, repeated; prints AUC and the best F1 of the held-out
scores, the weights of the whole, and how the distance as shipped does.
"""

import argparse

import numpy as np
from scorecard import best_threshold, labelled
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from forkpipe.strategies.distance import WEIGHTS, Components, components, traits_of
from forkpipe.strategies.steps import given_by, steps_of

FOLDS, REPEATS = 10, 5


def main() -> None:
    """Print the fit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pairs")
    rows = labelled([parser.parse_args().pairs])
    measures = np.array([measured(row) for row in rows])
    different = np.array([row["label"] == "different" for row in rows])
    weights = np.array([float(row["weight"]) for row in rows])
    problems = np.unique([row["problem"] for row in rows], return_inverse=True)[1]
    for name, column in zip(Components._fields, measures.T, strict=True):
        show(name, different, column, weights)
    held_out = np.zeros(len(rows))
    for repeat in range(REPEATS):
        fold = np.random.default_rng(repeat).permutation(problems.max() + 1)[problems] % FOLDS
        for one in range(FOLDS):
            rest = fold != one
            model = fitted(measures[rest], different[rest], weights[rest])
            held_out[~rest] += model.decision_function(measures[~rest]) / REPEATS
    show("held out", different, held_out, weights)
    show("as shipped", different, measures @ np.array(WEIGHTS), weights)
    model = fitted(measures, different, weights)
    found = model[1].coef_[0] / model[0].scale_
    print("weights", dict(zip(Components._fields, found.round(2).tolist(), strict=True)))


def measured(row: dict) -> Components:
    """Return the measures of a pair."""
    given = given_by(row["problem"])
    a, b = (traits_of(steps_of(row["problem"], row[side], given), given) for side in ("a", "b"))
    return components(a, b)


def fitted(measures: np.ndarray, different: np.ndarray, weights: np.ndarray) -> LogisticRegression:
    """Return a regularised fit."""
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.3))
    return model.fit(measures, different, logisticregression__sample_weight=np.sqrt(weights))


def show(name: str, different: np.ndarray, score: np.ndarray, weights: np.ndarray) -> None:
    """Print AUC and the best F1 with hindsight, as drawn and weighted."""
    cells = []
    for kind, used in (("as drawn", np.ones_like(weights)), ("weighted", weights)):
        best = f1_score(different, score > best_threshold(different, score, used), sample_weight=used)
        cells.append(f"{kind} AUC {roc_auc_score(different, score, sample_weight=used):.3f}, best F1 {best:.3f}")
    print(f"{name:<12} {'; '.join(cells)}")


if __name__ == "__main__":
    main()
