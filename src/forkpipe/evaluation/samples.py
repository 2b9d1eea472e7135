"""The scored samples of an evaluation, checked to be complete and arranged by problem and tag.

A missing sample biases every estimate that is taken over what happens to be there, so it stops the evaluation with
an error that names it.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa

from forkpipe.core.errors import InputError
from forkpipe.core.rows import MatchingRow, Split
from forkpipe.core.subsets import WITHOUT_VOTES, Caveats
from forkpipe.parameters.methods import COMPARED, MATCHED, METHODS, lineage

PLAIN_TAG = -1
CORRECT = "correct"
_COLUMNS = ("method", "problem_id", "split", "policy", "tag", "sample", "verdict", "extracted")

_Key = tuple[str, Split, str]
"""Method, split, policy."""
Sample = tuple[str | None, bool]
"""The vote (None where it abstains) and whether it is correct."""


@dataclass(frozen=True, slots=True)
class Pool:
    """The samples of one method on one split under one policy.

    `cells[p][t]` holds the `n_samples` samples of problem `problems[p]` under tag t; a method with one plain tag,
    and the policies "own", whose tag is the model's choice, and "none" have one cell a problem.
    """

    method: str
    split: Split
    policy: str
    problems: tuple[str, ...]
    n_tags: int
    n_samples: int
    cells: tuple[tuple[tuple[Sample, ...], ...], ...]
    note: str = ""
    """What has to be said beside every figure, see `core.subsets.Caveats`."""
    has_votes: bool = True
    """Whether answers can vote; programs cannot."""

    def pooled(self, problem: int) -> tuple[Sample, ...]:
        """Return the samples of a problem under all tags: every tag equally often."""
        return tuple(sample for cell in self.cells[problem] for sample in cell)

    def accuracy(self, tag: int | None = None) -> list[float]:
        """Return the pass@1 of each problem: over all its samples, or over those under one tag (its index)."""
        cells = [self.pooled(p) if tag is None else self.cells[p][tag] for p in range(len(self.problems))]
        return [sum(right for _, right in cell) / len(cell) for cell in cells]


def method_order(methods: Iterable[str]) -> list[str]:
    """Return the methods without repetition in the order of `COMPARED`, then others by name."""
    known = {method: index for index, method in enumerate(COMPARED)}
    return sorted(set(methods), key=lambda method: (known.get(method, len(COMPARED)), method))


def by_method(table: pa.Table) -> dict[str, pa.Table]:
    """Return the rows of each method, in the order in which methods first stand in the table."""
    import pyarrow.compute as pc  # slow to import, so only where it is used

    return {
        method: table.filter(pc.field("method") == method) for method in table.column("method").unique().to_pylist()
    }


def by_seed(table: pa.Table) -> dict[int | None, pa.Table]:
    """Return the rows of each training seed, in the order in which seeds first stand in the table.

    None is the key where no seed is named, as in tables of earlier versions.
    """
    import pyarrow.compute as pc  # slow to import, so only where it is used

    if "training_seed" not in table.column_names:
        return {None: table}
    seeds = table.column("training_seed").unique().to_pylist() or [None]
    column = pc.field("training_seed")
    return {seed: table.filter(column.is_null() if seed is None else column == seed) for seed in seeds}


def first_seed(table: pa.Table) -> pa.Table:
    """Return the rows over all training seeds, of a table that has such rows, or else those of the first seed."""
    parts = by_seed(table)
    return parts[None] if None in parts else next(iter(parts.values()))


def verdict_counts(scores: pa.Table, *by: str) -> dict[tuple[Any, ...], Counter[str]]:
    """Return how many test samples got each verdict, by the values of these columns.

    >>> table = pa.table({"method": ["sft", "sft"], "split": ["test", "test"], "verdict": ["wrong", "wrong"]})
    >>> verdict_counts(table, "method")
    {('sft',): Counter({'wrong': 2})}
    """
    import pyarrow.compute as pc  # slow to import, so only where it is used

    counts: dict[tuple[Any, ...], Counter[str]] = defaultdict(Counter)
    grouped = scores.filter(pc.field("split") == "test").group_by([*by, "verdict"]).aggregate([([], "count_all")])
    for row in grouped.to_pylist():
        counts[tuple(row[name] for name in by)][row["verdict"]] = row["count_all"]
    return dict(counts)


def load_pools(scores: Sequence[pa.Table]) -> list[Pool]:
    """Arrange the rows of `scores` tables in pools, ordered by method, split and policy.

    A vote is the extracted answer where the verdict is correct or wrong; all correct answers of a problem are one
    vote, since 7 and 7.0 agree. Any other verdict abstains.

    Raises:
        InputError: there are no rows, a sample is missing or given twice, a method lacks a problem that others have,
            a method mixes a plain tag with numbered ones, or methods have different numbers of tags.
    """
    found: dict[_Key, dict[str, dict[int, dict[int, Sample]]]] = {}
    caveats: dict[_Key, Caveats] = defaultdict(Caveats)
    without_votes: set[_Key] = set()
    for table in scores:
        for key, problem, verifier, detail in _judgements(table):
            caveats[key].add(problem, detail)
            if verifier in WITHOUT_VOTES:
                without_votes.add(key)
        columns = table.select(list(_COLUMNS)).to_pydict()
        for method, problem, split, policy, tag, sample, verdict, extracted in zip(
            *(columns[name] for name in _COLUMNS), strict=True
        ):
            cells = found.setdefault((method, split, policy), {}).setdefault(problem, {})
            cell = cells.setdefault(tag if policy == "by_tag" else PLAIN_TAG, {})
            if sample in cell:
                where = f"{method}, {split}, {policy}"
                raise InputError(f"scores of {where}: problem {problem} has sample {sample} under tag {tag} twice")
            cell[sample] = _sample(verdict, extracted)
    if not found:
        raise InputError("scores hold no rows: there is nothing to evaluate")
    n_tags = _count_tags(found)
    _check_problems(found)
    methods = method_order(method for method, _, _ in found)
    splits = sorted({split for _, split, _ in found}, reverse=True)  # validation before test
    keys = sorted(found, key=lambda key: (methods.index(key[0]), splits.index(key[1]), key[2]))
    pools = [_pool(key, found[key], n_tags[key[0]] if key[2] == "by_tag" else 0) for key in keys]
    return [
        replace(pool, note=str(caveats[key]), has_votes=key not in without_votes)
        for key, pool in zip(keys, pools, strict=True)
    ]


def _judgements(table: pa.Table) -> Iterator[tuple[_Key, str, str, str | None]]:
    """Yield (key, problem, verifier, detail) of each sample; tables of an earlier version have no details."""
    names = ("method", "split", "policy", "problem_id", "verifier", "detail")
    columns = [table.column(name).to_pylist() if name in table.column_names else [None] * len(table) for name in names]
    for method, split, policy, problem, verifier, detail in zip(*columns, strict=True):
        yield (method, split, policy), problem, verifier, detail


def tag_count(pools: Sequence[Pool]) -> int:
    """Return the number N of forking tags, the same for every method that has several; 0 where none has."""
    return max((pool.n_tags for pool in pools if pool.n_tags > 1), default=0)


def best_tags(pools: Sequence[Pool]) -> dict[str, int]:
    """Return, for each method with several tags, the one most accurate on validation (the lowest of equals).

    InputError if such a method has no validation samples.
    """
    chosen: dict[str, int] = {}
    for method in method_order(pool.method for pool in pools if pool.n_tags > 1):
        validation = [p for p in pools if p.method == method and p.policy == "by_tag" and p.split == "validation"]
        if not validation:
            raise InputError(f"scores of {method}: validation samples by tag are missing, they choose its best tag")
        (pool,) = validation
        right = [sum(sample[1] for cells in pool.cells for sample in cells[tag]) for tag in range(pool.n_tags)]
        chosen[method] = right.index(max(right))
    return chosen


def covering_tag(matching: pa.Table) -> int:
    """Return the tag that each problem's last matching gave to traces of the most teachers, as the paper chooses.

    Of equals the one with more traces is taken, then the lowest.
    """
    last: dict[tuple[str, str], MatchingRow] = {}
    for row in matching.select(["problem_id", "trace_id", "teacher", "tag", "visit"]).to_pylist():
        key = (row["problem_id"], row["trace_id"])
        if key not in last or row["visit"] > last[key]["visit"]:
            last[key] = row
    traces = Counter(row["tag"] for row in last.values())
    teachers = Counter(tag for tag, _ in {(row["tag"], row["teacher"]) for row in last.values()})
    return min(traces, key=lambda tag: (-teachers[tag], -traces[tag], tag))


def covering_tags(matchings: pa.Table) -> dict[str, int]:
    """Return the covering tag of each method of `MATCHED`, and of those that were trained from one.

    Args:
        matchings: the `matching` tables of all methods in one.
    """
    tags = {method: covering_tag(table) for method, table in by_method(matchings).items() if method in MATCHED}
    return {method: tags[stage] for method in METHODS for stage in lineage(method) if stage in tags}


def _sample(verdict: str, extracted: str) -> Sample:
    if verdict == CORRECT:
        return CORRECT, True
    # The mark keeps a wrong answer that reads "correct" apart from the vote of all correct answers.
    return (f"wrong: {extracted}", False) if verdict == "wrong" else (None, False)


def _count_tags(found: Mapping[_Key, Mapping[str, Mapping[int, object]]]) -> dict[str, int]:
    """Return the number of tags of each method, 0 for one plain tag."""
    tags: dict[str, set[int]] = defaultdict(set)
    for (method, _, policy), problems in found.items():
        if policy == "by_tag":
            tags[method].update(tag for cells in problems.values() for tag in cells)
    for method, seen in tags.items():
        if min(seen) < 0 and seen != {PLAIN_TAG}:
            raise InputError(f"scores of {method}: tags {sorted(seen)} mix one plain tag (-1) with numbered ones")
    counts = {method: max(seen) + 1 for method, seen in tags.items()}
    if len({count for count in counts.values() if count > 1}) > 1:
        named = ", ".join(f"{method} {counts[method]}" for method in method_order(counts))
        raise InputError(f"scores hold methods with different numbers of tags, which cannot be compared: {named}")
    return counts


def _check_problems(found: Mapping[_Key, Mapping[str, object]]) -> None:
    """Refuse a method that lacks a problem which another one has on the same split."""
    methods = method_order(method for method, _, _ in found)
    for split in sorted({split for _, split, _ in found}):
        pools = {key: set(problems) for key, problems in found.items() if key[1] == split}
        expected = set().union(*pools.values())
        for method in methods:
            mine = {key: problems for key, problems in pools.items() if key[0] == method}
            for (_, _, policy), problems in sorted(mine.items()) or [((method, split, "any policy"), set[str]())]:
                if missing := sorted(expected - problems):
                    raise InputError(
                        f"scores of {method}, {split}, {policy}: problem {missing[0]} is missing, "
                        f"{len(problems)} of {len(expected)} problems are there"
                    )


def _pool(key: _Key, problems: Mapping[str, Mapping[int, Mapping[int, Sample]]], n_tags: int) -> Pool:
    """Make a pool; n_tags 0 stands for one plain tag, or for a policy that forces none."""
    method, split, policy = key
    n_samples = 1 + max(sample for cells in problems.values() for cell in cells.values() for sample in cell)
    tags = range(n_tags) if n_tags else (PLAIN_TAG,)
    rows = []
    for problem in sorted(problems):
        for tag in tags:
            cell = problems[problem].get(tag, {})
            if set(cell) != set(range(n_samples)):
                where = f" under tag {tag}" if n_tags else ""
                missing = min(set(range(n_samples)) ^ set(cell))
                raise InputError(
                    f"scores of {method}, {split}, {policy}: problem {problem} has {len(cell)} of {n_samples} "
                    f"samples{where}, sample {missing} is missing"
                )
        rows.append(tuple(tuple(problems[problem][tag][s] for s in range(n_samples)) for tag in tags))
    return Pool(method, split, policy, tuple(sorted(problems)), len(tags), n_samples, tuple(rows))
