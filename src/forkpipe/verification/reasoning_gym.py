"""reasoning-gym's own scorers, by the name of the data set that made the problem.

A scorer is foreign code that parses what a model wrote, so it runs in the worker processes, as math-verify does.
"""

import json
from collections.abc import Sequence
from typing import Any

from forkpipe.core.errors import InputError
from forkpipe.core.records import Problem, Verdict
from forkpipe.core.responses import split_reasoning
from forkpipe.verification.answers import find_answer
from forkpipe.verification.pool import WorkerPool


class ReasoningGymVerifier:
    """Scores a response by the scorer of its data set; a score of at least `threshold` is correct.

    The gold answer is the problem's entry as JSON text: question, answer, and metadata with `source_dataset`; `gold_of`
    makes it of a problem. The answer is what `find_answer` finds, or the whole final part, since these data sets ask
    for tables and grids too.
    """

    name = "reasoning_gym"
    version = "2"

    def __init__(
        self, threshold: float = 1.0, timeout_seconds: float = 10.0, workers: int = 2, memory_mb: int = 4096
    ) -> None:
        """Make a verifier; no process starts yet. InputError where a value is out of range."""
        if not 0 < threshold <= 1:
            raise InputError(f"verification threshold is {threshold}, expected more than 0 and at most 1")
        self._threshold = threshold
        self._pool = WorkerPool(timeout_seconds, workers, memory_mb, [], task="score")

    def gold_of(self, problem: Problem) -> str:
        """Return the whole entry of a problem, as JSON text."""
        kept = json.loads(problem.metadata or "{}")
        entry = {"question": problem.problem, "answer": problem.answer, "metadata": kept.get("metadata", kept)}
        return json.dumps(entry)

    def verify(self, gold: Sequence[str], responses: Sequence[str], truncated: Sequence[bool]) -> list[Verdict]:
        """Return one verdict a response, in order; ValueError if the three differ in length."""
        rows = list(zip(gold, responses, truncated, strict=True))
        verdicts = [Verdict("truncated" if cut else "unparsed") for _, _, cut in rows]
        asked = []
        for index, (_, response, cut) in enumerate(rows):
            answer = find_answer(response)
            text = answer.text if answer else split_reasoning(response)[1]
            if text and not cut:
                asked.append((index, text, answer.found_in if answer else "whole"))
        findings = self._pool.compare([(gold[index], text) for index, text, _ in asked])
        for (index, text, source), finding in zip(asked, findings, strict=True):
            if finding.name == "score":
                correct = float(finding.rule) >= self._threshold
                verdicts[index] = Verdict("correct" if correct else "wrong", text, f"score {finding.rule}", source)
            elif finding.name == "gold-unparsed":
                verdicts[index] = Verdict("unparsed", text, "gold-unparsed", source)
            elif finding.name == "prediction-unparsed":
                verdicts[index] = Verdict("unparsed", text, finding.rule, source)
            else:
                verdicts[index] = Verdict("timeout", text, finding.rule, source)
        return verdicts

    def check_gold(self, golds: Sequence[str]) -> list[bool]:
        """Say of each entry whether it has an answer and names a data set that has a scorer."""
        return [finding.name == "equal" for finding in self._pool.compare([(gold, None) for gold in golds])]

    def close(self) -> None:
        """End the worker processes; a later call starts them anew."""
        self._pool.close()


def score(entry_text: str, answer: str | None) -> tuple[str, str]:
    """Score an answer, in a worker process: ("score", number), or why there is no score.

    ("gold-unparsed", why): the entry cannot be scored. ("prediction-unparsed", why): the scorer raised on the answer,
    which is no score of 0. An answer of None asks only whether the entry can be scored: ("equal", "").
    """
    import reasoning_gym

    try:
        entry: dict[str, Any] = json.loads(entry_text)
        scorer = reasoning_gym.get_score_answer_fn(entry["metadata"]["source_dataset"])
        if not entry.get("answer"):
            return "gold-unparsed", "no gold answer"
    except (ValueError, KeyError, TypeError) as error:
        return "gold-unparsed", type(error).__name__
    if answer is None:
        return "equal", ""
    try:
        return "score", f"{float(scorer(answer, entry)):g}"
    except MemoryError:
        raise
    except Exception as error:  # each scorer has errors of its own
        return "prediction-unparsed", f"scorer {type(error).__name__}"
