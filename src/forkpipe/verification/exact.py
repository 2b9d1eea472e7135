"""Exact text: for answers that are words, letters or codes, where any other writing is another answer."""

from collections.abc import Sequence

from forkpipe.core.records import Verdict
from forkpipe.verification.answers import find_answer, is_no_answer


class ExactVerifier:
    r"""Compares the extracted answer with the gold answer as text: case counts, the amount of whitespace does not.

    >>> ExactVerifier().verify(["New York"], [r"So it is \boxed{New  York}."], [False])[0].verdict
    'correct'
    """

    name = "exact"
    version = "2"

    def verify(self, gold: Sequence[str], responses: Sequence[str], truncated: Sequence[bool]) -> list[Verdict]:
        """Return one verdict a response, in order; ValueError if the three differ in length."""
        return [_verdict(*row) for row in zip(gold, responses, truncated, strict=True)]

    def check_gold(self, golds: Sequence[str]) -> list[bool]:
        """Say of each gold answer whether it is one, not blank, `nan` or `see solution`."""
        return [not is_no_answer(gold) for gold in golds]

    def close(self) -> None:
        """Do nothing: there are no workers."""


def _verdict(gold: str, response: str, truncated: bool) -> Verdict:
    if truncated:
        return Verdict("truncated")
    if is_no_answer(gold):
        return Verdict("unparsed", rule="gold-unparsed")
    answer = find_answer(response)
    if answer is None:
        return Verdict("unparsed")
    same = answer.text.split() == gold.split()
    return Verdict("correct" if same else "wrong", answer.text, "exact", answer.found_in)
