"""Rollouts under every tag and their verified rewards: the reward table of GFPO."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from forkpipe.core.prompts import render
from forkpipe.core.records import Completion, Problem, Request, Verdict
from forkpipe.engines.transformers import TransformersEngine
from forkpipe.parameters import RolloutSettings, VerificationSettings
from forkpipe.progress import Progress
from forkpipe.training.checkpoint import checkpoint_digest, load_tags, render_prompt
from forkpipe.verification.rows import RowVerifier, VerdictRow, gold_of

Verify = Callable[[Sequence[Problem], Sequence[Completion]], list[Verdict]]
"""Verdicts of completions of the given problems, in order."""


def samples_per_problem(n_problems: int, rollouts: int, group: int) -> list[int]:
    """Spread `rollouts` over problems in groups of one rollout a tag, as evenly as whole groups allow.

    >>> samples_per_problem(4, 60, 6)
    [3, 3, 2, 2]
    """
    groups = rollouts // group
    return [groups // n_problems + (i < groups % n_problems) for i in range(n_problems)]


def reward_table(
    checkpoint: Path, problems: Sequence[Problem], verify: Verify, settings: RolloutSettings, template: str, name: str
) -> list[dict[str, Any]]:
    """Sample completions under every tag, as many as the budget allows, and verify them.

    Every problem gets the same number of samples under each tag (a stratified group). The total is
    `settings.total`, the budget that GRPO has.

    Returns:
        Rows of the `rewards` table, without method and run_id.
    """
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    tags = load_tags(checkpoint, tokenizer)
    digest = checkpoint_digest(checkpoint)
    requests: list[Request] = []
    asked: dict[str, tuple[Problem, int]] = {}
    counts = samples_per_problem(len(problems), settings.total, tags.n)
    for problem, count in zip(problems, counts, strict=True):
        prompt = render_prompt(tokenizer, render(template, problem.problem))
        for sample in range(count):
            for tag, ids in enumerate(tags.token_ids):
                request = Request.create(
                    problem_id=problem.problem_id,
                    problem=problem.problem,
                    asked_of=digest,
                    revision="rewards",
                    prompt=prompt,
                    sample=sample,
                    sampling=settings.sampling.record(),
                    prefix_ids=ids,
                )
                requests.append(request)
                asked[request.request_id] = (problem, tag)
    engine = TransformersEngine(model=str(checkpoint), batch_rows=settings.batch_rows)
    progress = Progress(f"{name} rollouts", len(requests), unit="rollouts")
    by_id: dict[str, Completion] = {}
    for completion in engine.generate(requests):
        by_id[completion.request_id] = completion
        progress.update(len(by_id))
    engine.close()
    completions = [by_id[request.request_id] for request in requests]
    verdicts = verify([asked[request.request_id][0] for request in requests], completions)
    return [
        {
            "problem_id": request.problem_id,
            "tag": asked[request.request_id][1],
            "sample": request.sample,
            "verdict": verdict.verdict,
            "tokens": completion.tokens_out,
            "policy_version": 0,
        }
        for request, completion, verdict in zip(requests, completions, verdicts, strict=True)
    ]


def rewards_by_tag(rows: Sequence[dict[str, Any]], n_tags: int) -> dict[str, list[list[float]]]:
    """Return problem id -> for each tag the rewards of its samples: 1 where correct, else 0.

    Raises:
        ValueError: a problem has unequal numbers of rollouts under its tags.
    """
    result: dict[str, list[list[float]]] = {}
    for row in sorted(rows, key=lambda row: row["sample"]):
        tags = result.setdefault(row["problem_id"], [[] for _ in range(n_tags)])
        tags[row["tag"]].append(float(row["verdict"] == "correct"))
    for problem_id, tags in result.items():
        if len({len(rewards) for rewards in tags}) != 1:
            raise ValueError(f"problem {problem_id} has {[len(one) for one in tags]} rollouts by tag, expected equal")
    return result


@contextmanager
def verifying(settings: VerificationSettings) -> Iterator[Verify]:
    """Give a function that verifies completions; its worker processes live as long as the block."""
    with RowVerifier(settings, reward=True) as verifier:

        def verify(problems: Sequence[Problem], completions: Sequence[Completion]) -> list[Verdict]:
            rows = [
                VerdictRow(
                    problem.answer_type,
                    gold_of(problem.answer_type, problem.problem, problem.answer, problem.metadata),
                    completion.text,
                    "failed" if completion.finish_reason == "error" else "done",
                    completion.finish_reason,
                )
                for problem, completion in zip(problems, completions, strict=True)
            ]
            return [Verdict(row["verdict"], row["extracted"], row["rule"]) for row in verifier.verify(rows)]

        yield verify
