"""Which samples a checkpoint is asked for, and the rows they become."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

from forkpipe.core.limits import first_ids
from forkpipe.core.progress import Progress, logger
from forkpipe.core.prompts import render
from forkpipe.core.records import Completion, Problem, Request
from forkpipe.core.rows import GenerationRow, ProblemRow
from forkpipe.engines.registry import create_completing, description_of
from forkpipe.models.checkpoint import Checkpoint
from forkpipe.models.new_tokens import fitted
from forkpipe.parameters import EvaluationSettings
from forkpipe.stores.completions import CompletionStore


def evaluated(problems: Iterable[ProblemRow], limit: int | None) -> list[Problem]:
    """Return the problems that checkpoints are sampled on: those of validation and test, at most `limit` of each."""
    chosen = [Problem.from_row(row) for row in problems if row["split"] in ("validation", "test")]
    if limit is None:
        return chosen
    kept = {
        split: first_ids((it.problem_id for it in chosen if it.split == split), limit)
        for split in ("validation", "test")
    }
    return [problem for problem in chosen if problem.problem_id in kept[problem.split]]


def sample_checkpoint(
    method: str,
    checkpoint: Path,
    problems: list[Problem],
    settings: EvaluationSettings,
    template: str,
    total: int,
    own: bool,
    seed: int,
    by_tag: bool = True,
    untagged: bool = False,
    store: CompletionStore | None = None,
) -> list[GenerationRow]:
    """Return rows of `generations`: `total` samples a problem with forced tags, under the model's own tag, without tag.

    Args:
        total: samples a problem; spread evenly over the checkpoint's tags, of which it must be a multiple.
        own: whether to sample with the tag left to the model too.
        seed: of the run; part of what the samples' seeds follow from.
        by_tag: whether to sample with forced tags.
        untagged: whether to sample without any tag, as a plain model is asked.
        store: keeps completions as they come, so that none is asked for again; None keeps none.

    Raises:
        InputError: the engine did not answer everything; a sample that failed is no wrong answer.
    """
    sampled = Checkpoint(checkpoint)
    tags = sampled.tags
    asked: dict[str, tuple[Any, Request]] = {}
    prompts = [sampled.prompt(render(template, problem.problem)) for problem in problems]
    sampling = fitted(settings.sampling, sampled, prompts).record()
    for problem, prompt in zip(problems, prompts, strict=True):
        forced = range(tags.n) if by_tag else ()
        plan = [("by_tag", tag, sample) for tag in forced for sample in range(total // tags.n)]
        plan += [("own", -1, sample) for sample in range(total)] if own else []
        plan += [("none", -1, sample) for sample in range(total)] if untagged else []
        for policy, tag, sample in plan:
            request = Request.create(
                problem_id=problem.problem_id,
                problem=problem.problem,
                asked_of=sampled.digest,
                revision=f"{policy} seed {seed}",
                prompt=prompt,
                sample=sample,
                sampling=sampling,
                prefix_ids=tags.token_ids[tag] if policy == "by_tag" else (),
                own_tag=policy == "own",
            )
            row = {
                "method": method,
                "problem_id": problem.problem_id,
                "split": problem.split,
                "policy": policy,
                "tag": tag if tags.n > 1 else -1,
                "tag_source": "forced" if policy == "by_tag" else policy,
                "sample": sample,
                "seed": request.seed,
                "checkpoint": sampled.digest,
            }
            asked[request.request_id] = (row, request)
    engine = create_completing(settings.engine, str(checkpoint), settings.batch_rows, "evaluation.engine")
    try:
        completions = (store or CompletionStore(None)).of(
            (request for _, request in asked.values()),
            description_of(settings.engine, settings.batch_rows, "evaluation.engine"),
        )
        if completions:
            logger.info("%s: %d of %d samples are in the store", method, len(completions), len(asked))
        completions.ask(engine, Progress(f"{method} samples", len(asked), unit="samples", done=len(completions)).update)
    finally:
        engine.close()
    completions.check_whole(f"{method}: engine '{settings.engine.name}'")
    return [_row(row, completions[request.request_id]) for row, request in asked.values()]


def _row(row: Any, completion: Completion) -> GenerationRow:
    own = row["policy"] == "own" and completion.tag is not None
    sampled = {
        **row,
        "tag": completion.tag if own else row["tag"],
        "text": completion.text,
        "token_ids": list(completion.token_ids),
        "tokens": completion.tokens_out,
        "finish_reason": completion.finish_reason,
    }
    return cast(GenerationRow, sampled)
