"""Multiple choice: the letter of the option, as GPQA and MMLU ask for it."""

import re
from collections.abc import Sequence

from forkpipe.core.records import Verdict
from forkpipe.core.responses import split_reasoning
from forkpipe.verification.answers import find_answer

_LETTER = re.compile(
    r"[\s*_`$(\[{]*(?:\\(?:text|mathrm|textbf|mathbf)\s*\{\s*)?(?:option|choice|answer)?[\s:(]*([A-J])(?:[\s*_`$)\]}.:,;]|$)",
    re.IGNORECASE,
)
_GOLD = re.compile(r"\(?([A-Ja-j])(?:[).:\s]|$)")
_SAID = re.compile(
    r"(?i:\b(?:answer|option|choice)\b(?:\s+(?:is|must\s+be|would\s+be|should\s+be))?(?:\s+(?:for\s+sure|clearly|option|choice))*"
    r"|\b(?:it'?s|it\s+is|choose|pick|select))[\s:*_(`$\[{]*([A-J])(?=[\s*_`$)\]}.:,;]|$)"
)
_DENIED = re.compile(
    r"[\s*_`$)\]}]*(?:(?:is|are|was|does|do|could|would)(?:\s+not\b|n't)|can(?:not|\s+not|'t)\b|fails\b"
    r"|is\s+(?:im|in|un|wrong|false|eliminated|excluded|ruled\s+out))",
    re.IGNORECASE,
)
"""What denies a choice that was just named: `choice D is not possible`."""
_ALONE = re.compile(r"[\s*_(\[]*([A-J])[\s*_)\].]*(?:$|[.:)]\s)")


class ChoiceVerifier:
    r"""Compares the letter that a response chooses with the gold letter.

    The letter is looked for in the answer (box, tag, stated answer), then in the last "answer is X", "option X" or
    "it is X" that is not denied at once, then in a final part that is or begins with the letter alone. The gold answer
    may be `C`, `(C)` or `C. Paris`.

    >>> verifier = ChoiceVerifier()
    >>> found = verifier.verify(["C", "(C) Paris"], [r"\boxed{\text{(C)}}", "**Answer: D**"], [False, False])
    >>> [verdict.verdict for verdict in found]
    ['correct', 'wrong']
    """

    name = "choice"
    version = "2"

    def verify(self, gold: Sequence[str], responses: Sequence[str], truncated: Sequence[bool]) -> list[Verdict]:
        """Return one verdict a response, in order; ValueError if the three differ in length."""
        return [_verdict(*row) for row in zip(gold, responses, truncated, strict=True)]

    def check_gold(self, golds: Sequence[str]) -> list[bool]:
        """Say of each gold answer whether it names a letter from A to J."""
        return [_GOLD.match(gold.strip()) is not None for gold in golds]

    def close(self) -> None:
        """Do nothing: there are no workers."""


def _verdict(gold: str, response: str, truncated: bool) -> Verdict:
    if truncated:
        return Verdict("truncated")
    expected = _GOLD.match(gold.strip())
    if expected is None:
        return Verdict("unparsed", rule="gold-unparsed")
    chosen = _chosen(response)
    if chosen is None:
        return Verdict("unparsed")
    letter, source = chosen
    return Verdict("correct" if letter == expected[1].upper() else "wrong", letter, "choice", source)


def _chosen(response: str) -> tuple[str, str] | None:
    """Return the letter and where it was found."""
    answer = find_answer(response)
    if answer is not None and answer.found_in != "whole" and (letter := _LETTER.match(answer.text)):
        return letter[1].upper(), answer.found_in
    final = split_reasoning(response)[1]
    statements = [match for match in _SAID.finditer(final) if not _DENIED.match(final, match.end())]
    if statements:
        return statements[-1][1], "stated"
    if alone := _ALONE.match(final):
        return alone[1], "whole"
    return None
