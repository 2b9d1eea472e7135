"""Which samples of a subject benchmarks need, and the rows they become, read from the store one batch at a time."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import pyarrow as pa

from forkpipe.core.progress import Progress, logger
from forkpipe.core.protocols import Asked, Protocol, Share, TagPolicy, needed
from forkpipe.core.records import Request, Sampling
from forkpipe.core.rows import BenchmarkProblemRow
from forkpipe.engines.registry import create_completing, description_of
from forkpipe.evaluation.subjects import Subject
from forkpipe.parameters import EngineSettings
from forkpipe.stores import run_id
from forkpipe.stores.completions import Completions, CompletionStore
from forkpipe.stores.tables import to_table

ROWS_AT_A_TIME = 64
"""Rows of `benchmark_generations` in memory at a time: 32,000 token ids each are about 75 MB."""


WITHOUT_VOTE = ("code",)
"""Answer types whose answers are not compared with one another: two programs are hardly ever the same text."""


@dataclass(frozen=True)
class Measurement:
    """How models are measured.

    Attributes:
        shares: the benchmarks, and how many samples of each problem.
        policies: under which tags a model is asked.
        protocols: what is computed.
        seed: part of what the samples' seeds follow from.
    """

    shares: Sequence[Share]
    policies: Sequence[TagPolicy]
    protocols: Sequence[Protocol]
    sampling: Sampling
    seed: int = 0

    def of(self, subject: Subject) -> "Measurement":
        """Return how one subject is measured: a model without tags is asked under none."""
        if subject.n_tags:
            return self
        return Measurement(self.shares, [TagPolicy("none")], self.protocols, self.sampling, self.seed)

    def protocols_of(self, share: Share, answer_type: str) -> list[Protocol]:
        """Return what is computed on a benchmark: what its samples allow, and no vote among programs."""
        votes = answer_type not in WITHOUT_VOTE
        usable = [protocol for protocol in self.protocols if votes or protocol.kind != "cons"]
        return share.protocols(usable or [Protocol("avg", share.n(self.protocols))])

    def counts(self, share: Share, answer_type: str, n_tags: int) -> dict[Asked, int]:
        """Return how many samples of which kind each problem of a benchmark needs."""
        protocols = self.protocols_of(share, answer_type)
        return needed(self.policies, protocols, share.n(protocols), n_tags)


class PlannedSample(NamedTuple):
    """A sample that is needed, and the request that gives it."""

    benchmark: str
    problem_id: str
    asked: Asked
    sample: int
    request_id: str


def plan_samples(
    subject: Subject, problems: Sequence[BenchmarkProblemRow], measurement: Measurement
) -> tuple[list[PlannedSample], dict[str, tuple[Asked, Request]]]:
    """Return the samples that a measurement needs, in the order of their rows, and their requests by id.

    Requests that two benchmarks or policies share are one request. A request is named by the model's digest, the
    prompt, the tag and its number, so neither a policy nor a protocol nor the number of samples changes those that
    have been answered.
    """
    planned: list[PlannedSample] = []
    requests: dict[str, tuple[Asked, Request]] = {}
    for share in measurement.shares:
        for row in problems:
            if row["benchmark"] != share.name:
                continue
            counts = measurement.counts(share, row["answer_type"], subject.n_tags)
            for asked, count in counts.items():
                prompt, prefix = subject.prompt(row["prompt"], asked), subject.prefix(asked)
                for sample in range(count):
                    request = Request.create(
                        problem_id=row["problem_id"],
                        problem=row["problem"],
                        asked_of=subject.digest,
                        revision=f"{asked.kind} seed {measurement.seed}",
                        prompt=prompt,
                        sample=sample,
                        sampling=measurement.sampling,
                        prefix_ids=prefix,
                        own_tag=asked.kind == "own",
                    )
                    known = requests.setdefault(request.request_id, (asked, request))
                    planned.append(PlannedSample(share.name, row["problem_id"], asked, sample, known[1].request_id))
    return planned, requests


def sample_subject(
    subject: Subject,
    problems: Sequence[BenchmarkProblemRow],
    measurement: Measurement,
    engine: EngineSettings,
    store: CompletionStore,
    batch_rows: int = 64,
) -> Iterator[pa.Table]:
    """Ask for the samples that the store lacks, then yield all of them as tables `benchmark_generations`.

    Args:
        engine: see `engines.registry.create_completing`.
        store: keeps completions as they come; what it holds is not asked for again.
        batch_rows: sequences at a time of the engine transformers.

    Raises:
        InputError: the engine did not answer everything; a sample that failed is no wrong answer.
    """
    planned, requests = plan_samples(subject, problems, measurement)
    answered: dict[str, Completions] = {}
    for tags in sorted({subject.engine_tags(asked) for asked, _ in requests.values()}, key=str):
        mine = [request for asked, request in requests.values() if subject.engine_tags(asked) == tags]
        completions = _ask(subject, mine, engine, tags, store, batch_rows)
        answered |= dict.fromkeys(completions.requests, completions)
    for start in range(0, len(planned), ROWS_AT_A_TIME):
        batch = planned[start : start + ROWS_AT_A_TIME]
        rows = [_row(subject, sample, requests[sample.request_id][1], answered) for sample in batch]
        yield to_table(rows, "benchmark_generations", run_id.current())


def _ask(
    subject: Subject,
    requests: Sequence[Request],
    settings: EngineSettings,
    tags: str | None,
    store: CompletionStore,
    batch_rows: int,
) -> Completions:
    # Requests hold the model's digest, so neither its path nor its name at a server names an engine's completions.
    completions = store.of(requests, description_of(_with_tags(settings, tags), batch_rows))
    logger.info("%s: %d of %d samples are in the store", subject.name, len(completions), len(requests))
    if completions.missing:
        running = create_completing(_with_tags(settings, tags), str(subject.folder), batch_rows, "engine")
        try:
            completions.ask(
                running,
                Progress(f"{subject.name} samples", len(requests), unit="samples", done=len(completions)).update,
            )
        finally:
            running.close()
        completions.check_whole(f"{subject.name}: engine '{settings.name}'")
    return completions


def _with_tags(settings: EngineSettings, tags: str | None) -> EngineSettings:
    """Return the settings of the engine with the tags that the requests need; with Ray, of the engine of its actors."""
    if tags is None:
        return settings
    options: dict[str, Any] = dict(settings.options)
    if settings.name == "ray":
        options["options"] = {**(options.get("options") or {}), "tags": tags}
    else:
        options["tags"] = tags
    return EngineSettings(name=settings.name, options=options)


def _row(
    subject: Subject, planned: PlannedSample, request: Request, answered: Mapping[str, Completions]
) -> dict[str, Any]:
    completion = answered[planned.request_id][planned.request_id]
    return {
        "subject": subject.name,
        "benchmark": planned.benchmark,
        "problem_id": planned.problem_id,
        "asked": planned.asked.kind,
        "tag": planned.asked.tag,
        "sample": planned.sample,
        "n_tags": subject.n_tags,
        "request_id": planned.request_id,
        "seed": request.seed,
        "text": completion.text,
        "reasoning": completion.reasoning,
        "token_ids": list(completion.token_ids),
        "tokens": completion.tokens_out,
        "finish_reason": completion.finish_reason,
        "own_tag": completion.tag if planned.asked.kind == "own" else None,
        "checkpoint": subject.digest,
    }
