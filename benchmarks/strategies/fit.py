"""Weights and threshold of `strategies.distance`, and what they are worth on problems that they were not fitted to.

    python benchmarks/strategies/fit.py tuning.jsonl test.jsonl

A logistic regression of "different" on the measures, every pair alike: the sampling weights would let a few pairs
decide. Ten folds of problems, ten times. Procedural pairs of short solutions stand beside them in every fit, with
`SHARE` of their weight, and in no figure. Prints the AUC of every measure alone; of the held-out probabilities AUC, F1
where the threshold is the best of the other folds, F1 by threshold and calibration; and the weights of the whole.
"""

import argparse
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scorecard import EMBEDDINGS, best_threshold, labelled
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score, roc_auc_score
from sklearn.preprocessing import StandardScaler
from tuning_families import pairs as procedural_pairs

from forkpipe.strategies.clusterer import THRESHOLD
from forkpipe.strategies.distance import BIAS, WEIGHTS, Components, apartness, components, traits_of
from forkpipe.strategies.trace_steps import given_by, sentences_of, steps_of

FOLDS, REPEATS = 10, 10
SHARE = 0.1
PROBLEMS = 20
"""Of each procedural family."""

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Fit = tuple[StandardScaler, LogisticRegression]


def main() -> None:
    """Print the fit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pairs", nargs="+")
    parser.add_argument("--share", type=float, default=SHARE, help="weight of all procedural pairs, 0 to 1")
    parser.add_argument("--embeddings", action="store_true", help="with those of MiniLM as two measures more")
    options = parser.parse_args()
    rows = labelled(options.pairs)
    found = [measured(row) for row in rows]
    measures = np.array(found)
    drawn = list(procedural_pairs(PROBLEMS))
    short = np.array([measured(row) for row in drawn])
    short_different = np.array([row["label"] == "different" for row in drawn])
    names = [*Components._fields]
    if options.embeddings:
        names += EMBEDDINGS
        measures = np.column_stack([measures, *(measure(rows) for measure in EMBEDDINGS.values())])
        short = np.column_stack([short, *(measure(drawn) for measure in EMBEDDINGS.values())])
    given = short, short_different, options.share
    factor = np.array([apartness(one) for one in found])
    different = np.array([row["label"] == "different" for row in rows])
    weights = np.array([float(row["weight"]) for row in rows])
    problems = np.unique([row["problem"] for row in rows], return_inverse=True)[1]
    for name, column in zip(names, measures.T, strict=True):
        area = roc_auc_score(different, column)
        print(f"{name:<16} AUC {max(area, 1 - area):.3f}{'' if area > 0.5 else ', the less the more different'}")
    held_out, scores = np.zeros(len(rows)), []
    for repeat in range(REPEATS):
        fold = np.random.default_rng(repeat).permutation(problems.max() + 1)[problems] % FOLDS
        once, decided = np.zeros(len(rows)), np.zeros(len(rows), dtype=bool)
        for one in range(FOLDS):
            rest = fold != one
            once[~rest] = probability(fitted(measures[rest], different[rest], *given), measures[~rest], factor[~rest])
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
    scaler, model = fitted(measures, different, *given)
    scaled = model.coef_[0] / scaler.scale_
    print("weights", dict(zip(names, scaled.round(2).tolist(), strict=True)))
    print("bias", round(float(model.intercept_[0] - scaled @ scaler.mean_), 2))
    print("as shipped", dict(zip(Components._fields, WEIGHTS, strict=True)), BIAS)


def measured(row: dict[str, Any]) -> Components:
    """Return the measures of a pair."""
    given = given_by(row["problem"])
    traits = []
    for text in (row["a"], row["b"]):
        sentences = sentences_of(text, given)
        traits.append(traits_of(sentences, steps_of(row["problem"], text, given, sentences), given))
    return components(*traits)


def fitted(measures: Floats, different: Bools, short: Floats, short_different: Bools, share: float) -> Fit:
    """Return a regularised fit."""
    scaler = StandardScaler().fit(measures)
    weights = np.concatenate([np.ones(len(measures)), np.full(len(short), share * len(measures) / len(short))])
    model = LogisticRegression(C=0.3).fit(
        scaler.transform(np.concatenate([measures, short])), np.concatenate([different, short_different]), weights
    )
    return scaler, model


def probability(fit: Fit, measures: Floats, factor: Floats) -> Floats:
    """Return what `distance` would with the weights of a fit."""
    scaler, model = fit
    odds = factor * np.exp(model.decision_function(scaler.transform(measures)))
    return odds / (1 + odds)


if __name__ == "__main__":
    main()
