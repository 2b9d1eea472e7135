"""From scored samples to the `metrics` and `comparison` tables: pass@k and cons@k by method and policy.

A policy is the way in which a method is used:

- mixed: all samples by tag pooled, every tag equally often (for a method with one plain tag simply its samples);
- best_tag: one tag for all problems, the most accurate on validation, judged on test;
- covering_tag: one tag for all problems, chosen without a sample: the one that training matched with traces of the most
  teachers (the paper's choice for single-shot use);
- own: the model writes its own tag;
- native: one sample under each of the N tags (cons@N and pass@N only);
- none: asked without any tag, as the base model is.

A value is the mean over problems. Its 95 % interval (`core.statistics.mean_interval`) says how much another choice of
problems would move the value, not how much another training seed would.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

import pyarrow as pa

from forkpipe.core.errors import InputError
from forkpipe.core.ids import derived_seed
from forkpipe.core.metrics import cons_at_k, native_cons, native_pass, pass_at_k
from forkpipe.core.rows import ComparisonRow, MetricRow, Split
from forkpipe.core.statistics import mean_interval
from forkpipe.core.subsets import NO_VOTES
from forkpipe.evaluation.samples import Pool, best_tags, load_pools, method_order, tag_count
from forkpipe.parameters.methods import BASE

Rows: TypeAlias = pa.Table | Sequence[Mapping[str, Any]]
"""A table, or its rows."""


@dataclass(frozen=True, slots=True)
class Measured:
    """A metric of one method on one split, problem by problem."""

    method: str
    split: Split
    protocol: str
    policy: str
    k: int
    values: Sequence[float] | None
    """One a problem, in the order of `problems`; None where the metric has no value."""
    problems: tuple[str, ...]
    n_samples: int
    note: str | None


Measure = tuple[str, str, int, list[float] | None, int]
"""Protocol (as pass@4), policy, k, one value a problem (None: there is no such value), samples a problem."""


def compute_metrics(
    scores: Sequence[pa.Table],
    *,
    ks: Sequence[int],
    seed: int,
    covering: Mapping[str, int] | None = None,
) -> list[MetricRow]:
    """Return the rows of the `metrics` table, without run_id, for one training seed (see `seeds` for several).

    pass@k is given for 1, for every k of `ks` and for N, wherever there are k samples a problem. N is the number of
    forking tags, also for methods with one plain tag; where no method has several tags it is the largest k of `ks`.
    `n_samples` counts samples a problem. Programs cannot vote: their cons@k is null, and `note` says so. It also says
    what else belongs beside a figure (see `core.subsets.Caveats`).

    Args:
        scores: tables of the schema `scores`, for any number of methods.
        ks: the k of pass@k, each at least 1.
        seed: of the draws of votes.
        covering: the covering tag of each method that has one, see `samples.covering_tag`.

    Raises:
        InputError: `ks` is empty or holds a number below 1, or samples are missing (see `samples.load_pools`).
    """
    return [metric_row(one, seed) for one in measure(scores, ks=ks, seed=seed, covering=covering)]


def measure(
    scores: Sequence[pa.Table], *, ks: Sequence[int], seed: int, covering: Mapping[str, int] | None = None
) -> list[Measured]:
    """Return the metrics of all methods, problem by problem; arguments and errors are those of `compute_metrics`."""
    if not ks or min(ks) < 1:
        raise InputError(f"evaluation ks: expected numbers of samples of at least 1, got {list(ks)}")
    pools = load_pools(scores)
    n = tag_count(pools) or max(ks)
    chosen = {"best_tag": best_tags(pools), "covering_tag": covering or {}}
    measured = []
    for pool in pools:
        for protocol, policy, k, values, n_samples in _measures(pool, sorted({1, n, *ks}), n, chosen, seed):
            note = "; ".join(filter(None, (pool.note, None if values else NO_VOTES))) or None
            measured.append(
                Measured(pool.method, pool.split, protocol, policy, k, values, pool.problems, n_samples, note)
            )
    return measured


def metric_row(measured: Measured, seed: int) -> MetricRow:
    """Return a metric as a row of `metrics`, with its mean over problems and the interval of that."""
    values = measured.values
    low, high = mean_interval(values) if values else (None, None)
    return {
        "method": measured.method,
        "split": measured.split,
        "protocol": measured.protocol,
        "policy": measured.policy,
        "k": measured.k,
        "value": sum(values) / len(values) if values else None,
        "low": low,
        "high": high,
        "n_problems": len(measured.problems),
        "n_samples": measured.n_samples,
        "seed": seed,
        "training_seed": None,
        "n_seeds": 1,
        "seed_low": None,
        "seed_high": None,
        "note": measured.note,
    }


def as_rows(table: Rows) -> list[dict[str, Any]]:
    """Return a table as a list of rows; rows are returned as they are."""
    return table.to_pylist() if isinstance(table, pa.Table) else [dict(row) for row in table]


def compare(
    metrics: Rows, budgets: Mapping[str, Mapping[str, int]], validation_samples: Mapping[str, int]
) -> list[ComparisonRow]:
    """Return the rows of the `comparison` table, without run_id: test, single-shot and with N samples.

    Args:
        budgets: tokens_trained and rollouts of each method, all stages of its training together.
        validation_samples: samples of each method on validation; they are what choosing its best tag has cost.

    Raises:
        InputError: there are no test rows, or a method has no budget or no number of validation samples.
    """
    rows = [row for row in as_rows(metrics) if row["split"] == "test" and row.get("training_seed") is None]
    if not rows:
        raise InputError("metrics hold no rows of the test split: there is nothing to compare")
    ks = {1} | {row["k"] for row in rows if row["protocol"].startswith("cons@")}
    for method in method_order(row["method"] for row in rows):
        for name in ("tokens_trained", "rollouts"):
            if name not in budgets.get(method, {}):
                raise InputError(f"budget of {method}: {name} is missing")
        if method not in validation_samples and any(r["policy"] == "best_tag" for r in rows if r["method"] == method):
            raise InputError(f"validation samples of {method} are missing, its best tag was chosen with them")
    dropped = ("split", "k", "training_seed")
    result = []
    for row in rows:
        if row["k"] in ks:
            spent = validation_samples[row["method"]] if row["policy"] == "best_tag" else 0
            costs = {name: budgets[row["method"]][name] for name in ("tokens_trained", "rollouts")}
            kept = {name: value for name, value in row.items() if name not in (*dropped, "run_id")}
            compared = {**kept, **costs, "validation_rollouts": spent, "pairs": None}
            result.append(cast(ComparisonRow, compared))
    return result


def headline(comparison: Rows) -> list[dict[str, Any]]:
    """Return one row a method: how it is used, and what that gives.

    A method trained with rollouts that writes its own tag is used so; otherwise one with several tags is used with
    its best; otherwise its samples are taken as they come. `cons_n` and `pass_n` are of the same policy, but for
    best_tag: N samples of a method with tags are one under each (native).

    Returns:
        Rows with method, policy, k (N; None without votes), pass_1, cons_n, pass_n (each also with _low, _high and
        _policy, all None where not measured; with several training seeds also _seeds, the interval over them),
        n_problems, n_samples, tokens_trained, rollouts, validation_rollouts, seed, n_seeds, notes (what has to be said
        beside the figures, a list).

    Raises:
        InputError: a method has no pass@1.
    """
    rows = as_rows(comparison)
    result = []
    for method in method_order(row["method"] for row in rows):
        mine = {(row["protocol"], row["policy"]): row for row in rows if row["method"] == method}
        trained_by_rl = any(row["rollouts"] > 0 for row in mine.values())
        wanted = ("own", "best_tag", "mixed") if trained_by_rl else ("best_tag", "mixed", "own", "none")
        policy = next((policy for policy in wanted if ("pass@1", policy) in mine), None)
        if policy is None:
            raise InputError(f"comparison holds no pass@1 of {method}")
        single = mine["pass@1", policy]
        k = next((int(protocol.removeprefix("cons@")) for protocol, _ in mine if protocol.startswith("cons@")), None)
        of_many = "native" if policy == "best_tag" else policy
        cons, some = mine.get((f"cons@{k}", of_many)), mine.get((f"pass@{k}", of_many))
        summary: dict[str, Any] = {"method": method, "policy": policy, "k": k}
        for name, row in (("pass_1", single), ("cons_n", cons), ("pass_n", some)):
            source = row or {}
            summary |= {name: source.get("value"), f"{name}_low": source.get("low"), f"{name}_high": source.get("high")}
            if source.get("seed_low") is not None:
                summary[f"{name}_seeds"] = (source["seed_low"], source["seed_high"])
            summary[f"{name}_policy"] = source.get("policy")
        kept = ("n_problems", "n_samples", "tokens_trained", "rollouts", "validation_rollouts", "seed")
        notes = [row.get("note") for row in (single, cons, some) if row]
        summary["notes"] = list(dict.fromkeys(part for note in notes if note for part in note.split("; ")))
        summary["n_seeds"] = single.get("n_seeds") or 1
        result.append(summary | {name: single[name] for name in kept})
    return result


def budget_warning(comparison: Rows) -> str | None:
    """Return a sentence that says which methods had unequal budgets and by how much, None where all were equal.

    Methods trained with rollouts are held against each other, and so are supervised ones. Validation samples spent
    on choosing a best tag count too, for a method without that choice did not get them. The base model, which is not
    trained, has no budget.
    """
    rows = [row for row in headline(comparison) if row["method"] != BASE]
    parts = []
    for kind, by_rl in (("supervised", False), ("reinforcement-learning", True)):
        group = [row for row in rows if (row["rollouts"] > 0) == by_rl]
        for name, noun in (("tokens_trained", "tokens trained"), ("rollouts", "rollouts")):
            values = {row["method"]: row[name] for row in group}
            if len(set(values.values())) > 1:
                listed = ", ".join(_held_against(method, n, min(values.values())) for method, n in values.items())
                parts.append(f"{noun} of the {kind} methods ({listed})")
    spent = [f"{row['method']} {row['validation_rollouts']:,}" for row in rows if row["validation_rollouts"]]
    if spent:
        parts.append(f"validation rollouts spent on choosing a best tag ({', '.join(spent)}, the others none)")
    return f"Budgets were not equal: {'; '.join(parts)}." if parts else None


def format_headline(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the headline as a plain-text table, in percent with 95 % intervals; those over seeds stand in braces."""
    k = next((row["k"] for row in rows if row["k"] is not None), "N")
    head = ["method", "policy", "pass@1", f"cons@{k}", f"pass@{k}", "tokens trained", "rollouts", "validation rollouts"]
    lines = [head]
    for row in rows:
        measured = [_percent(row, name) for name in ("pass_1", "cons_n", "pass_n")]
        counted = [f"{row[name]:,}" for name in ("tokens_trained", "rollouts", "validation_rollouts")]
        lines.append([row["method"], row["policy"], *measured, *counted])
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    lines.insert(1, ["-" * width for width in widths])
    aligned = [[cell.ljust(w) for cell, w in zip(line[:2], widths, strict=False)] for line in lines]
    for text, line in zip(aligned, lines, strict=True):
        text += [cell.rjust(w) for cell, w in zip(line[2:], widths[2:], strict=True)]
    for text, row in zip(aligned[2:], rows, strict=True):
        text.append("; ".join(row.get("notes", ())))
    if (n := max((row.get("n_seeds", 1) for row in rows), default=1)) > 1:
        aligned.append([f"Means over {n} training seeds; 95 % intervals over problems [Wilson] and over seeds {{t}}."])
    return "\n".join("  ".join(text).rstrip() for text in aligned)


def _measures(
    pool: Pool, ks: Sequence[int], n: int, chosen: Mapping[str, Mapping[str, int]], seed: int
) -> Iterator[Measure]:
    pooled = "mixed" if pool.policy == "by_tag" else pool.policy
    size, problems = pool.n_tags * pool.n_samples, range(len(pool.problems))
    for k in ks:
        if k <= size:
            values = [pass_at_k(len(cell), sum(right for _, right in cell), k) for cell in map(pool.pooled, problems)]
            yield f"pass@{k}", pooled, k, values, size
    if n <= size:
        yield f"cons@{n}", pooled, n, _cons_values(pool, n, seed) if pool.has_votes else None, size
    if pool.n_tags > 1:
        if pool.split == "test":
            for policy, tags in chosen.items():
                if pool.method in tags:
                    yield "pass@1", policy, 1, pool.accuracy(tags[pool.method]), pool.n_samples
        yield f"cons@{n}", "native", n, _native_cons_values(pool, seed) if pool.has_votes else None, size
        solved = [native_pass([[right for _, right in cell] for cell in cells]) for cells in pool.cells]
        yield f"pass@{n}", "native", n, solved, size


def _cons_values(pool: Pool, k: int, seed: int) -> list[float]:
    values = []
    for p, problem in enumerate(pool.problems):
        votes, correct = zip(*pool.pooled(p), strict=True)
        values.append(cons_at_k(votes, correct, k, seed=derived_seed("votes", seed, problem)))
    return values


def _native_cons_values(pool: Pool, seed: int) -> list[float]:
    values = []
    for p, problem in enumerate(pool.problems):
        votes = [[vote for vote, _ in cell] for cell in pool.cells[p]]
        correct = [[right for _, right in cell] for cell in pool.cells[p]]
        values.append(native_cons(votes, correct, seed=derived_seed("votes", seed, problem)))
    return values


def _held_against(method: str, number: int, least: int) -> str:
    times = f", {number / least:.2f} times the least" if least and number != least else ""
    return f"{method} {number:,}{times}"


def _percent(row: Mapping[str, Any], name: str) -> str:
    if row[name] is None:
        return "-"
    differs = "" if row[f"{name}_policy"] == row["policy"] else f"{row[f'{name}_policy']} "
    shown = f"{differs}{100 * row[name]:.1f} [{100 * row[f'{name}_low']:.1f}, {100 * row[f'{name}_high']:.1f}]"
    low, high = row.get(f"{name}_seeds", (None, None))
    return shown if low is None else f"{shown} {{{100 * low:.1f}, {100 * high:.1f}}}"
