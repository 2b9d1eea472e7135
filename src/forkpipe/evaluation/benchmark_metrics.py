"""From scored samples to the metrics of benchmarks: subject x benchmark x subset x policy x protocol.

The grammar of policies and protocols is in `core.protocols`. A policy never chooses a tag by the samples it is judged
on: whoever wants the best tag finds it on another benchmark and asks for `tag:i` here.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean
from typing import NamedTuple

import pyarrow as pa

from forkpipe.core.errors import InputError
from forkpipe.core.ids import derived_seed
from forkpipe.core.protocols import Asked, Protocol, TagPolicy, disjoint
from forkpipe.core.rows import BenchmarkDifferenceRow, BenchmarkMetricRow, BenchmarkProblemRow
from forkpipe.core.statistics import mean_interval, paired_difference
from forkpipe.core.subsets import NO_VOTES, WHOLE, WITHOUT_VOTES, Caveats, caveats_in
from forkpipe.core.votes import Vote, expected_pass, expected_vote
from forkpipe.evaluation.benchmark_samples import Measurement
from forkpipe.evaluation.precision import detectable_difference, sample_precision

UNSCORED = ("unparsed", "timeout", "failed")
_COLUMNS = (
    *("subject", "benchmark", "problem_id", "asked", "tag", "sample", "n_tags"),
    *("verdict", "vote", "vote_correct", "tokens", "verifier", "detail"),
)


class Scored(NamedTuple):
    """What a metric needs of a sample."""

    correct: bool
    vote: Vote
    verdict: str
    tokens: int


@dataclass(frozen=True)
class Samples:
    """The scored samples of one subject on one benchmark: problem -> kind of request -> number of sample."""

    subject: str
    benchmark: str
    n_tags: int
    by_problem: Mapping[str, Mapping[Asked, Mapping[int, Scored]]]
    has_votes: bool
    """Whether answers can vote; programs cannot."""
    caveats: Mapping[str, set[str]]
    """Problem -> what has to be said beside figures that count it, see `core.subsets.caveats_in`."""

    def of(self, problem: str, asked: Asked, count: int) -> list[Scored]:
        """Return the first samples of a kind; InputError names one that is missing."""
        held = self.by_problem.get(problem, {}).get(asked, {})
        for number in range(count):
            if number not in held:
                kind = f"tag {asked.tag + 1}" if asked.kind == "forced" else asked.kind
                raise InputError(
                    f"scores of {self.subject} on {self.benchmark}: problem {problem} has {len(held)} of {count} "
                    f"samples under {kind}, sample {number} is missing"
                )
        return [held[number] for number in range(count)]


class Measured(NamedTuple):
    """A protocol's values, one a problem, and the samples that they come from."""

    policy: TagPolicy
    protocol: Protocol
    values: dict[str, float]
    """Empty for votes of answers that cannot vote."""
    used: dict[str, list[Scored]]
    n_samples: int

    @property
    def sets(self) -> float:
        """How many sets without common samples a problem's samples make."""
        return self.n_samples if self.protocol.kind == "avg" else self.n_samples / self.protocol.k


def load_samples(scores: pa.Table) -> list[Samples]:
    """Arrange a table `benchmark_scores`; InputError if it is empty or holds a sample twice."""
    found: dict[tuple[str, str], dict[str, dict[Asked, dict[int, Scored]]]] = {}
    n_tags: dict[str, int] = {}
    caveats: dict[tuple[str, str], dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    without_votes: set[tuple[str, str]] = set()
    columns = scores.select(list(_COLUMNS)).to_pydict()
    for subject, benchmark, problem, kind, tag, number, tags, verdict, vote, vote_correct, tokens, by, detail in zip(
        *(columns[name] for name in _COLUMNS), strict=True
    ):
        n_tags[subject] = tags
        if by in WITHOUT_VOTES:
            without_votes.add((subject, benchmark))
        if said := caveats_in(detail):
            caveats[subject, benchmark][problem].add(said)
        cells = found.setdefault((subject, benchmark), {}).setdefault(problem, {}).setdefault(Asked(kind, tag), {})
        if number in cells:
            raise InputError(f"scores of {subject} on {benchmark}: problem {problem} has sample {number} twice")
        cells[number] = Scored(verdict == "correct", (vote, bool(vote_correct)), verdict, tokens)
    if not found:
        raise InputError("scores hold no rows: there is nothing to measure")
    return [
        Samples(*key, n_tags[key[0]], problems, key not in without_votes, caveats[key])
        for key, problems in found.items()
    ]


def benchmark_metrics(
    scores: pa.Table, problems: Sequence[BenchmarkProblemRow], measurement: Measurement
) -> list[BenchmarkMetricRow]:
    """Return rows of `benchmark_metrics`, without run_id; InputError if a sample is missing."""
    subsets = _subsets(problems)
    rows: list[BenchmarkMetricRow] = []
    for samples in load_samples(scores):
        for measured in _measure(samples, problems, measurement):
            for subset, ids in subsets[samples.benchmark].items():
                rows.append(_row(samples, subset, ids, measured))
    return rows


def benchmark_differences(
    scores: pa.Table,
    problems: Sequence[BenchmarkProblemRow],
    measurement: Measurement,
    *,
    resamples: int,
    others: Mapping[str, Measurement] | None = None,
) -> list[BenchmarkDifferenceRow]:
    """Return the paired differences between all subjects, benchmark by benchmark, for every protocol.

    Two subjects are compared under the policy that they share; one that is asked under no tag is compared with each
    policy of the other.

    Args:
        measurement: how the subjects were measured.
        resamples: number of bootstrap resamples.
        others: subject -> how it was measured, for those that were measured otherwise.
    """
    subsets = _subsets(problems)
    measured: dict[tuple[str, str], dict[tuple[str, str], Measured]] = {}
    for samples in load_samples(scores):
        asked = (others or {}).get(samples.subject, measurement)
        found = {(str(one.policy), str(one.protocol)): one for one in _measure(samples, problems, asked)}
        measured[samples.benchmark, samples.subject] = found
    return [
        _difference(a, b, benchmark, subset, ids, first, second, resamples, measurement.seed)
        for (benchmark, a), (other, b) in combinations(measured, 2)
        if benchmark == other
        for first, second in _comparable(measured[benchmark, a], measured[benchmark, b])
        if first.values and second.values
        for subset, ids in subsets[benchmark].items()
    ]


def _measure(samples: Samples, rows: Sequence[BenchmarkProblemRow], measurement: Measurement) -> Iterator[Measured]:
    """Yield what is computed of the samples of a subject on a benchmark, all its policies and protocols."""
    share = next(share for share in measurement.shares if share.name == samples.benchmark)
    policies = measurement.policies if samples.n_tags else [TagPolicy("none")]
    types = {row["problem_id"]: row["answer_type"] for row in rows if row["benchmark"] == samples.benchmark}
    problems = list(types)
    protocols = measurement.protocols_of(share, next(iter(types.values())))
    n = share.n(protocols)
    for policy in policies:
        for protocol in protocols:
            counts = protocol.used(policy, n, samples.n_tags)
            used = {
                problem: {asked: samples.of(problem, asked, count) for asked, count in counts.items()}
                for problem in problems
            }
            take = policy.split(protocol.k, samples.n_tags)
            values = {
                problem: _value(protocol, cells, take, derived_seed("votes", measurement.seed, problem))
                for problem, cells in used.items()
                if protocol.kind != "cons" or samples.has_votes
            }
            flat = {problem: [one for cell in cells.values() for one in cell] for problem, cells in used.items()}
            yield Measured(policy, protocol, values, flat, sum(counts.values()))
        for vote in share.protocols(measurement.protocols):
            if vote.kind == "cons" and vote not in protocols:  # programs have no vote: the row is kept, with null
                yield Measured(policy, vote, {}, flat, sum(counts.values()))


def _value(protocol: Protocol, cells: Mapping[Asked, Sequence[Scored]], take: Mapping[Asked, int], seed: int) -> float:
    """Return a protocol's value for one problem.

    Args:
        cells: its samples by kind.
        take: how many of each kind a set holds.
    """
    if protocol.kind == "avg":
        return fmean(one.correct for cell in cells.values() for one in cell)
    if protocol.kind == "pass":
        return expected_pass([[one.correct for one in cells[asked]] for asked in take], list(take.values()))
    votes = {asked: [one.vote for one in cells[asked]] for asked in take}
    if protocol.sets is None:
        return expected_vote(list(votes.values()), list(take.values()), seed)
    sets = [
        [votes[asked][number] for asked, numbers in drawn.items() for number in numbers]
        for drawn in disjoint(take, protocol.sets)
    ]
    return fmean(expected_vote([drawn], [len(drawn)]) for drawn in sets)


def _row(samples: Samples, subset: str, ids: Sequence[str], measured: Measured) -> BenchmarkMetricRow:
    values = [measured.values[problem] for problem in ids] if measured.values else []
    used = [one for problem in ids for one in measured.used[problem]]
    low, high = mean_interval(values) if values else (None, None)
    precision = sample_precision(values, measured.sets) if values else None
    caveats = Caveats()
    for problem in ids:
        for said in samples.caveats.get(problem) or {""}:
            caveats.add(problem, said)
    notes = [part for part in (str(caveats), "" if values else NO_VOTES) if part]
    return {
        "subject": samples.subject,
        "benchmark": samples.benchmark,
        "subset": subset,
        "policy": str(measured.policy),
        "protocol": str(measured.protocol),
        "k": measured.protocol.k,
        "value": fmean(values) if values else None,
        "problems_low": low,
        "problems_high": high,
        "samples_low": precision.low if precision else None,
        "samples_high": precision.high if precision else None,
        "detectable": precision.detectable if precision else None,
        "n_problems": len(ids),
        "n_samples": measured.n_samples,
        "tokens": fmean(one.tokens for one in used),
        "truncated": fmean(one.verdict == "truncated" for one in used),
        "unscored": fmean(one.verdict in UNSCORED for one in used),
        "note": "; ".join(notes) or None,
    }


def _comparable(
    a: Mapping[tuple[str, str], Measured], b: Mapping[tuple[str, str], Measured]
) -> list[tuple[Measured, Measured]]:
    shared = {policy for policy, _ in a} & {policy for policy, _ in b}
    return [
        (first, second)
        for (policy_a, protocol_a), first in a.items()
        for (policy_b, protocol_b), second in b.items()
        if protocol_a == protocol_b and (policy_a == policy_b if shared else "none" in (policy_a, policy_b))
    ]


def _difference(
    a: str,
    b: str,
    benchmark: str,
    subset: str,
    ids: Sequence[str],
    first: Measured,
    second: Measured,
    resamples: int,
    seed: int,
) -> BenchmarkDifferenceRow:
    mine, theirs = [first.values[problem] for problem in ids], [second.values[problem] for problem in ids]
    value, low, high = paired_difference(mine, theirs, resamples, seed)
    return {
        "a": a,
        "b": b,
        "benchmark": benchmark,
        "subset": subset,
        "policy_a": str(first.policy),
        "policy_b": str(second.policy),
        "protocol": str(first.protocol),
        "value": value,
        "low": low,
        "high": high,
        "detectable": detectable_difference([x - y for x, y in zip(mine, theirs, strict=True)]),
        "n_problems": len(ids),
    }


def _subsets(problems: Sequence[BenchmarkProblemRow]) -> dict[str, dict[str, list[str]]]:
    """Return benchmark -> subset -> ids of its problems, the whole benchmark first."""
    found: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for row in problems:
        found[row["benchmark"]][WHOLE].append(row["problem_id"])
    for row in problems:
        for subset in row["subsets"]:
            found[row["benchmark"]][subset].append(row["problem_id"])
    return {
        benchmark: {name: ids[name] for name in [WHOLE, *sorted(ids.keys() - {WHOLE})]}
        for benchmark, ids in found.items()
    }
