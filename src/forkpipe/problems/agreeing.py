"""Which rows with the same problem have the same final answer, however it is written or worked out."""

from collections import defaultdict
from collections.abc import Sequence

from forkpipe.core.records import Problem
from forkpipe.parameters import VerificationSettings
from forkpipe.verification.dispatch import ResponseRow
from forkpipe.verification.row_verifier import RowVerifier, unlimited

Answers = dict[tuple[str, str], str]
"""(problem text, answer as written) -> the first answer of the problem that the verifier calls the same."""


def final_answers(problems: Sequence[Problem], settings: VerificationSettings) -> Answers:
    """Return one answer for all answers to a problem that say the same, for problems with several.

    Two worded solutions that end in `#### 7` are one answer. The verifier compares them as it compares a response with
    a gold answer, either way round; where it can compare nothing, answers differ as they are written.
    """
    by_text: dict[str, dict[str, Problem]] = defaultdict(dict)
    for problem in problems:
        by_text[problem.problem].setdefault(problem.answer, problem)
    open_groups = [list(answers.values()) for answers in by_text.values() if len(answers) > 1]
    same: Answers = {}
    if not open_groups:
        return same
    with RowVerifier(unlimited(settings).model_copy(update={"judge": None})) as verifier:
        while open_groups:  # all that are left, against the first of each group
            pairs = [(group[0], other) for group in open_groups for other in group[1:]]
            agrees = _agree(verifier, pairs)
            left: list[list[Problem]] = []
            for group in open_groups:
                first, *others = group
                same[first.problem, first.answer] = first.answer
                differing = [other for other in others if not agrees[first.problem_id, other.problem_id]]
                same |= {(it.problem, it.answer): first.answer for it in others if it not in differing}
                if differing:
                    left.append(differing)
            open_groups = left
    return same


def _agree(verifier: RowVerifier, pairs: Sequence[tuple[Problem, Problem]]) -> dict[tuple[str, str], bool]:
    """Return for each pair, by ids, whether one answer is correct if the other is the gold answer."""
    asked = [
        (first, second, gold, response)
        for first, second in pairs
        for gold, response in ((first, second), (second, first))
        if verifier.reads_answers(gold.answer_type)
    ]
    rows = [
        ResponseRow(gold.answer_type, gold.answer, response.answer, "done", "stop") for _, _, gold, response in asked
    ]
    agrees = {(first.problem_id, second.problem_id): False for first, second in pairs}
    for (first, second, _, _), verdict in zip(asked, verifier.verify(rows), strict=True):
        agrees[first.problem_id, second.problem_id] |= verdict["verdict"] == "correct"
    return agrees
