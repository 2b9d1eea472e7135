"""What several training seeds say together: means, intervals over seeds, and how often a method beats its baseline.

All methods are trained on the same trace sets with each seed, and evaluated on the same problems. So methods are
compared seed by seed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import zip_longest
from typing import cast

import pyarrow as pa

from forkpipe.core.errors import InputError
from forkpipe.core.rows import ComparisonRow, MetricRow, PairsWon
from forkpipe.core.statistics import t_interval
from forkpipe.evaluation.metrics import Measured, Rows, as_rows, headline, measure, metric_row
from forkpipe.evaluation.samples import by_seed, covering_tags
from forkpipe.parameters.methods import BASE, COMPARED


def metrics_over_seeds(scores: pa.Table, matchings: pa.Table, *, ks: Sequence[int], seed: int) -> list[MetricRow]:
    """Return the rows of the `metrics` table, without run_id: over all seeds, and where there are several, of each.

    The value over all seeds is the mean over seeds. `low` and `high` are the interval over problems, of the values of
    each problem averaged over seeds; `seed_low` and `seed_high` are the t interval over seeds. Best tags and covering
    tags are chosen for each seed, because tags of different trainings stand for different things.

    Args:
        scores, matchings: the tables of all methods and seeds in one.
        ks, seed: see `metrics.compute_metrics`.

    Raises:
        InputError: as `metrics.compute_metrics`, or the seeds have different methods, problems or numbers of samples.
    """
    covering = {trained: covering_tags(table) for trained, table in by_seed(matchings).items()}
    measured = {
        trained: measure([table], ks=ks, seed=seed, covering=covering.get(trained))
        for trained, table in by_seed(scores).items()
    }
    first, *others = measured
    for other in others:
        _check_alike(first, measured[first], other, measured[other])
    rows = [_over_seeds(parts, seed) for parts in zip(*measured.values(), strict=True)]
    if others:
        rows += [
            metric_row(one, seed) | {"training_seed": trained} for trained in measured for one in measured[trained]
        ]
    return rows


def with_pairs(comparison: Sequence[ComparisonRow], metrics: Rows) -> list[ComparisonRow]:
    """Return the rows of `comparison` with `pairs`: with how many seeds a method was above a baseline, below or equal.

    The baselines are those of `methods.toml` (`versus`) and the base model. A row is held against the baseline's row of
    the same protocol, under the policy with which the headline reports it. `pairs` is null where there is one seed.

    Args:
        metrics: the table of all seeds, as `metrics_over_seeds` makes it.
    """
    by_place: dict[tuple[str, str, str], dict[int, float]] = {}
    for row in as_rows(metrics):
        if row["split"] == "test" and row.get("training_seed") is not None and row["value"] is not None:
            place = (row["method"], row["protocol"], row["policy"])
            by_place.setdefault(place, {})[row["training_seed"]] = row["value"]
    if not by_place:
        return list(comparison)
    used = {row["method"]: row for row in headline([*map(dict, comparison)])}
    rows = []
    for one in comparison:
        row = dict(one)
        mine = by_place.get((row["method"], row["protocol"], row["policy"]), {})
        pairs: list[PairsWon] = []
        for baseline in _baselines(row["method"]):
            part = {"pass@1": "policy"}.get(row["protocol"], f"{row['protocol'].partition('@')[0]}_n_policy")
            theirs = by_place.get((baseline, row["protocol"], used.get(baseline, {}).get(part) or ""), {})
            if mine.keys() & theirs.keys():
                pairs.append(_won(baseline, mine, theirs))
        rows.append(cast(ComparisonRow, {**row, "pairs": pairs}))
    return rows


def _baselines(method: str) -> list[str]:
    known = COMPARED.get(method)
    if known is None or method == BASE:
        return []
    return [*known.versus, BASE]


def _won(baseline: str, mine: Mapping[int, float], theirs: Mapping[int, float]) -> PairsWon:
    both = [(mine[seed], theirs[seed]) for seed in mine if seed in theirs]
    return {
        "versus": baseline,
        "won": sum(a > b for a, b in both),
        "lost": sum(a < b for a, b in both),
        "tied": sum(a == b for a, b in both),
    }


def _check_alike(first: int | None, expected: Sequence[Measured], other: int | None, given: Sequence[Measured]) -> None:
    """Raise InputError if two seeds were not measured in the same way, since a mean over seeds would then mix them."""
    places = [
        [(one.method, one.split, one.protocol, one.policy, one.problems, one.n_samples) for one in measured]
        for measured in (expected, given)
    ]
    for a, b in zip_longest(*places):
        if a != b:
            place = ", ".join((a or b)[:4])
            raise InputError(
                f"scores of {place}: seeds {first} and {other} differ in problems or samples, expected the same of both"
            )


def _over_seeds(parts: Sequence[Measured], seed: int) -> MetricRow:
    """Return the row of one measure over all seeds."""
    values = [part.values for part in parts if part.values is not None]
    if len(values) < len(parts):
        return metric_row(parts[0], seed) | {"n_seeds": len(parts)}
    averaged = [sum(of_problem) / len(parts) for of_problem in zip(*values, strict=True)]
    row = metric_row(replace(parts[0], values=averaged), seed) | {"n_seeds": len(parts)}
    if len(parts) == 1:
        return row
    low, high = t_interval([sum(each) / len(each) for each in values])
    return row | {"seed_low": max(0.0, low), "seed_high": min(1.0, high)}
