"""What tags came to stand for: mutual information of tags and strategies, in the matching and in what is generated.

During training the strategy of a matched trace is known from its teacher. For generated text it is not, so a small
labeler is trained on the trace sets and judged on problems that it has not seen; numbers are hidden from it, since a
strategy is in the words and not in the values. What it says of generations is only as good as its held-out accuracy.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from forkpipe.core.ids import content_hash
from forkpipe.core.statistics import chance_information_bits, mutual_information_bits, purity
from forkpipe.evaluation.samples import by_method, by_seed
from forkpipe.parameters.comparison import without_seed
from forkpipe.parameters.methods import TAGGED

TENTHS = 10
HELD_OUT = 5  # every fifth problem is kept from the labeler to judge it
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")

Labeler = Callable[[Sequence[str]], list[str]]


def tag_information(
    trace_sets: pa.Table,
    matchings: Mapping[str, pa.Table],
    generations: Mapping[str, pa.Table],
    labels: Mapping[str, str],
) -> dict[str, Any]:
    """Measure how far tags and strategies go together.

    Args:
        trace_sets: the `trace_sets` table, from which the labeler learns.
        matchings: the `matching` table of each method trained with tags.
        generations: the `generations` table of each method; test samples by tag are used.
        labels: the known strategy of each teacher; a teacher that is not there is its own label.

    Returns:
        JSON-able: `labels`, the labels in the order of every table's columns; `matching`, by method the association
        over each problem's last matching and `over_training`, the same for each tenth of the steps; `labeler`, its
        numbers and held-out accuracy (None where there was none, with the reason); `generations`, by method the
        association over test samples. An association holds counts (tags x labels), n, mutual_information_bits,
        chance_bits (what independent tags would show) and purity; a method with one plain tag has None for the
        three. `generations` is empty where there is no labeler and more than one label.
    """
    names = sorted(
        {labels.get(trace["teacher"], trace["teacher"]) for traces in _traces(trace_sets) for trace in traces}
        | {labels.get(t, t) for table in matchings.values() for t in table.column("teacher").unique().to_pylist()}
    )
    labeler, report = _train_labeler(trace_sets, labels)
    if labeler is None and len(names) == 1:
        labeler = lambda texts: names * len(texts)  # noqa: E731 - the only strategy there is
    return {
        "labels": names,
        "matching": {method: _of_matching(table, names, labels) for method, table in matchings.items()},
        "labeler": report,
        "generations": {
            method: _of_generations(table, names, labeler) for method, table in generations.items() if labeler
        },
    }


def information_over_seeds(
    trace_sets: pa.Table,
    matchings: pa.Table,
    generations: Mapping[str, pa.Table],
    labels: Mapping[str, str],
    seed: int,
) -> dict[str, Any]:
    """Return what the trainings of all seeds tell of tags: the result of the first seed, beside it figures of all.

    Tag 3 of one training and tag 3 of another stand for different things, so counts are never added. Where there are
    several seeds, each association also holds `seeds`: a list of mutual_information_bits, chance_bits, purity and n.

    Args:
        trace_sets, labels: see `tag_information`.
        matchings: the `matching` tables of all methods and seeds in one.
        generations: the `generations` tables by method, or by method and seed as in "ssft-seed1".
        seed: that of a table without a seed in its name.
    """
    written: dict[int, dict[str, pa.Table]] = {}
    for name, table in generations.items():
        method, further = without_seed(name)
        written.setdefault(seed if further is None else further, {})[method] = table
    parts, informations = by_seed(matchings), []
    for trained, tables in written.items():
        matching = by_method(parts.get(trained, parts.get(None, matchings.slice(0, 0))))
        matched = {method: table for method, table in matching.items() if method in TAGGED}
        informations.append(tag_information(trace_sets, matched, tables, labels))
    first, *others = informations
    if not others:
        return first
    kept = ("mutual_information_bits", "chance_bits", "purity", "n")
    with_seeds = {
        source: {
            method: association | {"seeds": [{name: of[source][method][name] for name in kept} for of in informations]}
            for method, association in first[source].items()
        }
        for source in ("matching", "generations")
    }
    return first | with_seeds


def _traces(trace_sets: pa.Table) -> list[list[dict[str, Any]]]:
    return trace_sets.column("traces").to_pylist()


def _association(pairs: Sequence[tuple[int, str]], names: Sequence[str], n_tags: int) -> dict[str, Any]:
    """Count (tag, label) pairs; tag -1, one plain tag, gives one row of counts and no information."""
    plain = n_tags == 0
    found = Counter((0 if plain else tag, label) for tag, label in pairs)
    counts = [[found[tag, label] for label in names] for tag in range(max(n_tags, 1))]
    measured = bool(pairs) and not plain
    return {
        "tags": [-1] if plain else list(range(n_tags)),
        "counts": counts,
        "n": len(pairs),
        "mutual_information_bits": mutual_information_bits(counts) if measured else None,
        "chance_bits": chance_information_bits(counts) if measured else None,
        "purity": purity(counts) if measured else None,
    }


def last_matchings(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the rows of a method's table `matching` that belong to the last matching of their problem."""
    last: dict[str, tuple[int, int]] = {}
    for row in rows:
        last[row["problem_id"]] = max(last.get(row["problem_id"], (-1, -1)), (row["visit"], row["step"]))
    return [row for row in rows if (row["visit"], row["step"]) == last[row["problem_id"]]]


def _of_matching(table: pa.Table, names: Sequence[str], labels: Mapping[str, str]) -> dict[str, Any]:
    """Associate tags and labels in a `matching` table, at its end and over training."""
    rows = table.select(["step", "visit", "problem_id", "teacher", "tag"]).to_pylist()
    n_tags = max((row["tag"] for row in rows), default=-1) + 1
    pairs = [(row["tag"], labels.get(row["teacher"], row["teacher"])) for row in last_matchings(rows)]
    steps = 1 + max((row["step"] for row in rows), default=0)
    by_tenth: dict[int, list[tuple[int, str]]] = defaultdict(list)
    for row in rows:
        by_tenth[row["step"] * TENTHS // steps].append((row["tag"], labels.get(row["teacher"], row["teacher"])))
    over_training = [
        {"tenth": tenth + 1, "last_step": -(-(tenth + 1) * steps // TENTHS) - 1}
        | {
            name: value
            for name, value in _association(by_tenth[tenth], names, n_tags).items()
            if name not in ("counts", "tags")
        }
        for tenth in sorted(by_tenth)
    ]
    return _association(pairs, names, n_tags) | {"over_training": over_training}


def _of_generations(table: pa.Table, names: Sequence[str], labeler: Labeler) -> dict[str, Any]:
    """Associate tags and predicted labels of the test samples by tag; samples without a text have no label."""
    rows = [
        row
        for row in table.select(["split", "policy", "tag", "text"]).to_pylist()
        if row["split"] == "test" and row["policy"] == "by_tag"
    ]
    told = [row for row in rows if row["text"].strip()]
    predicted = labeler([row["text"] for row in told]) if told else []
    n_tags = max((row["tag"] for row in rows), default=-1) + 1
    pairs = [(row["tag"], label) for row, label in zip(told, predicted, strict=True)]
    return _association(pairs, names, n_tags) | {"n_empty": len(rows) - len(told)}


def _train_labeler(trace_sets: pa.Table, labels: Mapping[str, str]) -> tuple[Labeler | None, dict[str, Any]]:
    """Train trace text -> label on four fifths of the problems and measure it on the rest."""
    problems = trace_sets.column("problem_id").to_pylist()
    order = sorted(set(problems), key=lambda problem: content_hash("labeler", problem))
    held_out = set(order[: -(-len(order) // HELD_OUT)]) if len(order) > 1 else set()
    told: dict[bool, list[tuple[str, str]]] = {True: [], False: []}
    for problem, traces in zip(problems, _traces(trace_sets), strict=True):
        for trace in traces:
            label = labels.get(trace["teacher"], trace["teacher"])
            told[problem in held_out].append((trace["text"], label))
    train, test = sorted(told[False]), told[True]  # sorted: the same labeler for any order of the problems
    report = {
        "n_train_traces": len(train),
        "n_held_out_traces": len(test),
        "n_held_out_problems": len(held_out),
        "held_out_accuracy": None,
        "reason": "",
    }
    if len({label for _, label in train}) < 2 or not test:
        reason = "the trace sets hold fewer than two strategies" if test else "there are too few problems to hold out"
        return None, report | {"reason": f"no labeler was trained: {reason}"}
    labeler = _fit([text for text, _ in train], [label for _, label in train])
    guessed = labeler([text for text, _ in test])
    right = [guess == label for guess, (_, label) in zip(guessed, test, strict=True)]
    return labeler, report | {"held_out_accuracy": float(np.mean(right))}


def _fit(texts: Sequence[str], names: Sequence[str]) -> Labeler:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    # The cap bounds memory on long natural-language traces; the demo's traces have a few hundred features.
    words = TfidfVectorizer(token_pattern=r"\S+", ngram_range=(1, 2), max_features=50_000)
    model = make_pipeline(words, LogisticRegression(max_iter=1000))
    model.fit([_without_numbers(text) for text in texts], list(names))
    return lambda given: [str(label) for label in model.predict([_without_numbers(text) for text in given])]


def _without_numbers(text: str) -> str:
    # An empty text has no words to build a vocabulary from, so it gets one that no trace holds.
    return _NUMBER.sub("#", text).strip() or "<empty>"
