"""Rollouts under every tag and their verified rewards: the reward table of GFPO."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from forkpipe.core.errors import InputError
from forkpipe.core.ids import derived_seed
from forkpipe.core.progress import Progress, logger
from forkpipe.core.prompts import render
from forkpipe.core.records import Completion, Problem, Request, Verdict
from forkpipe.core.rows import RewardColumns
from forkpipe.engines.registry import create_completing, description_of
from forkpipe.models.checkpoint import Checkpoint
from forkpipe.parameters import VerificationSettings
from forkpipe.stores.completions import Completions
from forkpipe.training.phases.base import Context, Verify
from forkpipe.verification.dispatch import ResponseRow
from forkpipe.verification.row_verifier import RowVerifier


def samples_per_problem(n_problems: int, rollouts: int, group: int) -> list[int]:
    """Spread `rollouts` over problems in groups of one rollout per tag, as evenly as whole groups allow.

    >>> samples_per_problem(4, 60, 6)
    [3, 3, 2, 2]
    """
    groups = rollouts // group
    return [groups // n_problems + (i < groups % n_problems) for i in range(n_problems)]


def reward_table(
    checkpoint: Path, context: Context, *, tags_of: Checkpoint, rollouts: int, asked_of: str, version: int
) -> tuple[list[RewardColumns], list[tuple[Request, Completion]]]:
    """Sample completions under every tag and verify them; completions in the store are not sampled again.

    Every problem gets the same number of samples under each tag (a stratified group).

    Args:
        checkpoint: folder of the policy; it need not exist if the store holds everything.
        tags_of: a checkpoint with the policy's tokenizer and tags.
        asked_of: identifies this policy in every request's id: its digest.
        version: optimiser steps that the policy was trained for, for the table.

    Returns:
        (rows of the `rewards` table without method and run_id, requests with their completions, in the same order).

    Raises:
        InputError: the engine did not answer everything, or too few answers can be scored (see `verification.limits`).
    """
    requests = _requests(tags_of, context, rollouts, asked_of)
    by_id = _sampled(checkpoint, context, [request for request, _, _ in requests])
    completions = [by_id[request.request_id] for request, _, _ in requests]
    verdicts = context.verify([problem for _, problem, _ in requests], completions)
    rows: list[RewardColumns] = [
        {
            "problem_id": request.problem_id,
            "tag": tag,
            "sample": request.sample,
            "verdict": verdict.verdict,
            "tokens": completion.tokens_out,
            "policy_version": version,
        }
        for (request, _, tag), completion, verdict in zip(requests, completions, verdicts, strict=True)
    ]
    return rows, [(request, completion) for (request, _, _), completion in zip(requests, completions, strict=True)]


def _requests(
    checkpoint: Checkpoint, context: Context, rollouts: int, asked_of: str
) -> list[tuple[Request, Problem, int]]:
    tags = checkpoint.tags
    counts = samples_per_problem(len(context.problems), rollouts, tags.n)
    # Which problems get one group more, or any at all, is drawn at random, but the same in every round.
    order = np.random.default_rng(derived_seed("groups", context.seed)).permutation(len(context.problems))
    if left_out := counts.count(0):
        logger.warning(
            "%s: %d of %d problems get no rollouts: a table of %d holds fewer groups of %d",
            context.method, left_out, len(counts), rollouts, tags.n,
        )  # fmt: skip
    result = []
    for problem, count in zip([context.problems[i] for i in order], counts, strict=True):
        prompt = checkpoint.prompt(render(context.template, problem.problem))
        for sample in range(count):
            for tag, ids in enumerate(tags.token_ids):
                request = Request.create(
                    problem_id=problem.problem_id,
                    problem=problem.problem,
                    asked_of=asked_of,
                    revision="rewards",
                    prompt=prompt,
                    sample=sample,
                    sampling=context.rollouts.sampling.record(),
                    prefix_ids=ids,
                )
                result.append((request, problem, tag))
    return result


def _sampled(checkpoint: Path, context: Context, requests: Sequence[Request]) -> Completions:
    """Return completions of all requests, from the store or from the engine; the store keeps them."""
    settings = context.rollouts.engine
    engine = create_completing(settings, str(checkpoint), context.rollouts.batch_rows, "rollouts.engine")
    try:
        completions = context.store.of(
            requests, description_of(settings, context.rollouts.batch_rows, "rollouts.engine")
        )
        if completions:
            logger.info("%s: %d of %d rollouts are in the store", context.method, len(completions), len(requests))
        missing = len(completions.missing)
        if missing and not checkpoint.exists():
            raise InputError(
                f"{context.method}: {missing} rollouts of a policy that is gone are not in the store, "
                "expected all of them: delete its work folder to start anew"
            )
        completions.ask(
            engine, Progress(f"{context.method} rollouts", len(requests), unit="rollouts", done=len(completions)).update
        )
    finally:
        engine.close()
    completions.check_whole(f"{context.method}: engine '{settings.name}'")
    return completions


def rewards_by_tag(rows: Sequence[RewardColumns], n_tags: int) -> dict[str, list[list[float]]]:
    """Return for each problem id N lists of rewards, one per tag: 1 for a correct sample, else 0.

    ValueError if a problem has unequal numbers of rollouts under its tags.
    """
    result: dict[str, list[list[float]]] = {}
    for row in sorted(rows, key=lambda row: row["sample"]):
        tags = result.setdefault(row["problem_id"], [[] for _ in range(n_tags)])
        tags[row["tag"]].append(float(row["verdict"] == "correct"))
    for problem_id, tags in result.items():
        if len({len(rewards) for rewards in tags}) != 1:
            raise ValueError(
                f"problem {problem_id} has {[len(rewards) for rewards in tags]} rollouts by tag, expected equal"
            )
    return result


@contextmanager
def verifying(settings: VerificationSettings) -> Iterator[Verify]:
    """Yield a function that verifies completions; its worker processes live as long as the block.

    Where more than `max_unscored` of some completions hold no answer, a line of the log says so: they have no reward.
    """
    with RowVerifier(settings, reward=True) as verifier:

        def verify(problems: Sequence[Problem], completions: Sequence[Completion]) -> list[Verdict]:
            rows = [
                ResponseRow(
                    problem.answer_type,
                    verifier.gold_of(problem),
                    completion.text,
                    "failed" if completion.finish_reason == "error" else "done",
                    completion.finish_reason,
                )
                for problem, completion in zip(problems, completions, strict=True)
            ]
            verdicts = [Verdict(row["verdict"], row["extracted"], row["rule"]) for row in verifier.verify(rows)]
            unread = [row for row, verdict in zip(rows, verdicts, strict=True) if verdict.verdict == "unparsed"]
            if len(unread) > settings.max_unscored * len(rows):
                logger.warning(
                    "%d of %d rollouts hold no answer that can be read, and have no reward; the first ends with %r",
                    len(unread), len(rows), unread[0].response[-80:],
                )  # fmt: skip
            return verdicts

        yield verify
