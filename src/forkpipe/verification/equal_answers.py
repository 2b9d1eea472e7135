"""Which answers are the same, without a gold answer: the classes by which a plurality vote counts.

A vote that is deployed has no gold answer to merge 1/2 and 0.5 by. So answers are compared with one another by the
verifier of their type, as if one of them were the gold answer, and those found equal are one class, together with
everything equal to one of them. Answers that the verifier cannot read as gold are the same only if their texts are.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from forkpipe.core.records import Problem
from forkpipe.core.rows import VerdictName
from forkpipe.verification.dispatch import ResponseRow
from forkpipe.verification.row_verifier import RowVerifier

_INTEGER = re.compile(r"[+-]?\d{1,18}")


class Answered(NamedTuple):
    """A sample's answer and the verdict on it."""

    extracted: str
    verdict: VerdictName


class Ballot(NamedTuple):
    """What a sample votes for: a class of answers (None if it abstains), and whether that class's answer is correct."""

    vote: int | None
    correct: bool | None


def ballots(
    verifier: RowVerifier, problems: Sequence[Problem], answers: Sequence[Sequence[Answered]]
) -> list[list[Ballot]]:
    """Return what the samples of each problem vote for, in order.

    A sample votes if its verdict is correct or wrong; otherwise it has no answer that could be read, and abstains.
    Classes are numbered by their texts. The answer of a class is its commonest text (of equals the first by text), and
    the verdict on that text is the verdict on the class, whatever the verdict on others in it.

    Args:
        verifier: with a verifier for each problem's answer type.
        problems: the problems.
        answers: the samples of each problem.
    """
    texts = [sorted({answer.extracted for answer in of_one if _votes(answer)}) for of_one in answers]
    pairs = [
        _Pair(place, first, second)
        for place, distinct in enumerate(texts)
        for second in range(len(distinct))
        for first in range(second)
    ]
    labels = [list(range(len(distinct))) for distinct in texts]
    for pair in _equal_pairs(verifier, problems, texts, pairs):
        _merge(labels[pair.problem], pair.first, pair.second)
    return [_cast(of_one, dict(zip(texts[place], labels[place], strict=True))) for place, of_one in enumerate(answers)]


class _Pair(NamedTuple):
    problem: int
    first: int
    second: int


def _votes(answer: Answered) -> bool:
    return answer.verdict in ("correct", "wrong")


def _equal_pairs(
    verifier: RowVerifier, problems: Sequence[Problem], texts: Sequence[Sequence[str]], pairs: Sequence[_Pair]
) -> list[_Pair]:
    """Return the pairs of texts that are equal, the first of each taken as gold."""
    equal, rows, open_pairs = [], [], []
    golds = {(pair.problem, pair.first) for pair in pairs}
    as_gold = [replace(problems[problem], answer=texts[problem][text]) for problem, text in sorted(golds)]
    readable = dict(zip(sorted(golds), verifier.check_gold(as_gold) if as_gold else (), strict=True))
    for pair in pairs:
        first, second = texts[pair.problem][pair.first], texts[pair.problem][pair.second]
        if _INTEGER.fullmatch(first) and _INTEGER.fullmatch(second):
            if int(first) == int(second):
                equal.append(pair)
        elif readable[pair.problem, pair.first]:
            open_pairs.append(pair)
            answer_type = problems[pair.problem].answer_type
            rows.append(ResponseRow(answer_type, first, f"\\boxed{{{second}}}", "done", "stop"))
    verdicts = verifier.verify(rows) if rows else []
    same = [pair for pair, row in zip(open_pairs, verdicts, strict=True) if row["verdict"] == "correct"]
    return equal + same


def _merge(labels: list[int], first: int, second: int) -> None:
    """Give two texts and all that have their labels one label, the lower."""
    low, high = sorted((labels[first], labels[second]))
    for place, label in enumerate(labels):
        if label == high:
            labels[place] = low


def _cast(answers: Sequence[Answered], labels: dict[str, int]) -> list[Ballot]:
    counts = Counter(answer.extracted for answer in answers if _votes(answer))
    correct = {answer.extracted: answer.verdict == "correct" for answer in answers if _votes(answer)}
    speakers: dict[int, str] = {}
    for text, label in sorted(labels.items()):
        if label not in speakers or counts[text] > counts[speakers[label]]:
            speakers[label] = text
    return [
        Ballot(labels[answer.extracted], correct[speakers[labels[answer.extracted]]])
        if _votes(answer)
        else Ballot(None, None)
        for answer in answers
    ]
