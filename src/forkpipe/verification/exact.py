"""Exact text: for answers that are words, letters or codes, where any other writing is another answer."""

from collections.abc import Sequence

from forkpipe.core.answers import extract_answer
from forkpipe.core.records import Verdict


class ExactVerifier:
    r"""Compares the extracted answer with the gold answer as text: case counts, the amount of whitespace does not.

    >>> ExactVerifier().verify(["New York"], [r"So it is \boxed{New  York}."], [False])[0].verdict
    'correct'
    """

    name = "exact"
    version = "1"

    def verify(self, gold: Sequence[str], responses: Sequence[str], truncated: Sequence[bool]) -> list[Verdict]:
        """Return one verdict a response, in order; ValueError if the three differ in length."""
        return [_verdict(*row) for row in zip(gold, responses, truncated, strict=True)]

    def close(self) -> None:
        """Do nothing: there are no workers."""


def _verdict(gold: str, response: str, truncated: bool) -> Verdict:
    if truncated:
        return Verdict("truncated")
    extracted = extract_answer(response)
    if extracted is None:
        return Verdict("unparsed")
    return Verdict("correct" if extracted.split() == gold.split() else "wrong", extracted, "exact")
