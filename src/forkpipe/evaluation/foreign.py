"""Generations made elsewhere as samples of benchmarks: each is matched with the problem that it answers."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from forkpipe.core.errors import InputError
from forkpipe.core.ids import content_hash
from forkpipe.core.progress import logger
from forkpipe.core.protocols import NO_TAG, Asked, Share, TagPolicy
from forkpipe.core.rows import BenchmarkProblemRow
from forkpipe.evaluation.benchmark_samples import ROWS_AT_A_TIME
from forkpipe.evaluation.foreign_formats import ForeignSample
from forkpipe.stores import run_id
from forkpipe.stores.tables import to_table

_Key = tuple[str, str, Asked]
"""Benchmark, problem, kind of request."""


class Matcher:
    """Finds the problem that a sample answers.

    By the problem's text if that is what the file has, white space apart; else by the id that the benchmark's file
    gives it; else by the only problem whose text stands in the prompt. For multiple choice ids do not count: the
    options may have been asked in another order, and then the letters mean other options.
    """

    def __init__(self, problems: Sequence[BenchmarkProblemRow]) -> None:
        self._problems = list(problems)
        self._texts = {_plain(row["problem"]): row for row in problems}
        ids: dict[str, list[BenchmarkProblemRow]] = defaultdict(list)
        for row in problems:
            if row["answer_type"] != "choice":
                ids[row["source_id"]].append(row)
        self._ids = {name: rows[0] for name, rows in ids.items() if len(rows) == 1}
        self._prompts: dict[str, BenchmarkProblemRow | None] = {}

    def of(self, sample: ForeignSample) -> BenchmarkProblemRow | None:
        """Return the problem, None if there is none; InputError if the prompt holds several."""
        asked = _plain(sample.asked)
        if asked in self._texts:
            return self._texts[asked]
        if asked not in self._prompts:
            self._prompts[asked] = self._within(asked, sample.place)
        held = self._prompts[asked]
        return held if held is not None else self._ids.get(sample.id)

    def _within(self, asked: str, place: str) -> BenchmarkProblemRow | None:
        held = [row for text, row in self._texts.items() if text in asked] if asked else []
        # A short problem may be a part of a longer one.
        longest = max((len(row["problem"]) for row in held), default=0)
        held = [row for row in held if len(row["problem"]) == longest]
        if len(held) > 1:
            raise InputError(f"{place}: the prompt holds {len(held)} problems of the benchmarks, expected one")
        return held[0] if held else None


@dataclass
class Imported:
    """Samples of one subject from a file.

    Attributes:
        subject: what tables call the model.
        n_tags: number of its tags, 0 for none.
        samples: by benchmark, problem and kind of request, in the order of the file.
    """

    subject: str
    n_tags: int
    samples: dict[_Key, list[ForeignSample]] = field(default_factory=dict)

    def shares(self, shares: Sequence[Share], policies: Sequence[TagPolicy]) -> list[Share]:
        """Return the benchmarks with numbers of samples: where none is given, as many as every problem has.

        InputError if a benchmark has no samples at all under a policy.
        """
        given = []
        for share in shares:
            counts: Counter[str] = Counter()
            problems: dict[str, Counter[str]] = defaultdict(Counter)
            for (benchmark, problem, asked), listed in self.samples.items():
                if benchmark == share.name:
                    counts[asked.kind] += len(listed)
                    problems[problem][_counted(asked)] += len(listed)
            if not counts:
                raise InputError(f"no sample of the file answers a problem of {share.name}, expected some")
            if share.samples is None:
                least = min(self._least(problems, policy) for policy in policies)
                if least < 1:
                    raise InputError(f"{share.name}: a problem has no samples under some policy, expected at least one")
                logger.info("%s: every problem has %d samples or more, which are used", share.name, least)
                share = Share(share.name, least)
            given.append(share)
        return given

    def _least(self, problems: Mapping[str, Counter[str]], policy: TagPolicy) -> int:
        """Return the largest number of samples that a policy finds for every problem."""
        if policy.kind != "spread":
            (asked,) = policy.split(1, self.n_tags)
            return min(counts[_counted(asked)] for counts in problems.values())
        least = 0
        while all(
            counts[_counted(asked)] >= count
            for counts in problems.values()
            for asked, count in policy.split(least + 1, self.n_tags).items()
        ):
            least += 1
        return least

    def tables(self) -> Iterator[pa.Table]:
        """Yield the samples as tables `benchmark_generations`."""
        rows = []
        for (benchmark, problem, asked), listed in self.samples.items():
            for number, sample in enumerate(listed):
                rows.append(self._row(benchmark, problem, asked, number, sample))
                if len(rows) == ROWS_AT_A_TIME:
                    yield to_table(rows, "benchmark_generations", run_id.current())
                    rows = []
        yield to_table(rows, "benchmark_generations", run_id.current())

    def _row(self, benchmark: str, problem: str, asked: Asked, number: int, sample: ForeignSample) -> dict[str, Any]:
        return {
            "subject": self.subject,
            "benchmark": benchmark,
            "problem_id": problem,
            "asked": asked.kind,
            "tag": asked.tag,
            "sample": number,
            "n_tags": self.n_tags,
            "request_id": content_hash("imported", benchmark, problem, asked.kind, asked.tag, number, sample.text),
            "seed": 0,
            "text": sample.text,
            "reasoning": sample.reasoning,
            "token_ids": [],
            "tokens": len(f"{sample.reasoning} {sample.text}".split()) if sample.tokens is None else sample.tokens,
            "finish_reason": sample.finish_reason,
            "own_tag": sample.tag if asked.kind == "own" else None,
            "checkpoint": "",
        }


def import_samples(
    subject: str,
    samples: Iterable[ForeignSample],
    problems: Sequence[BenchmarkProblemRow],
    *,
    own: bool,
    n_tags: int | None = None,
) -> Imported:
    """Return the samples that answer problems of the benchmarks; a warning says how many answer none.

    Args:
        own: whether the model picked the tags, so that all samples are of one kind.
        n_tags: number of the model's tags; None for the largest in the file.

    Raises:
        InputError: no sample answers a problem, some have tags and some have none, or a tag is too high.
    """
    matcher, names = Matcher(problems), {row["benchmark"] for row in problems}
    matched: list[tuple[BenchmarkProblemRow, ForeignSample]] = []
    unmatched = 0
    for sample in samples:
        row = matcher.of(sample)
        if row is None or (sample.benchmark in names and sample.benchmark != row["benchmark"]):
            unmatched += 1
        else:
            matched.append((row, sample))
    if not matched:
        raise InputError(
            f"none of {unmatched} samples answers a problem of the benchmarks, which is told by the problem's text in "
            "its row (of multiple choice with the options in the order that is asked here), or by its id"
        )
    if unmatched:
        logger.warning("%d samples of %d answer no problem of the benchmarks", unmatched, unmatched + len(matched))
    tags = {sample.tag for _, sample in matched}
    if None in tags and len(tags) > 1 and not own:
        raise InputError("some samples have a tag and some have none, expected a tag in each, or policy own")
    largest = max((tag + 1 for tag in tags if tag is not None), default=0)
    if n_tags is not None and largest > n_tags:
        raise InputError(f"a sample has tag {largest}, expected at most {n_tags}")
    imported = Imported(subject, largest if n_tags is None else n_tags)
    for row, sample in matched:
        asked = Asked("own") if own else Asked("none") if sample.tag is None else Asked("forced", sample.tag)
        imported.samples.setdefault((row["benchmark"], row["problem_id"], asked), []).append(sample)
    return imported


def _plain(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()


def _counted(asked: Asked) -> str:
    return f"{asked.kind} {asked.tag if asked.tag != NO_TAG else ''}"
