"""Answers that were written to hang, crash, fool or fill the verifier."""

import resource
import unicodedata
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from hostile import hostile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from forkpipe.core.records import VERDICTS, Verdict
from forkpipe.verification.exact import ExactVerifier
from forkpipe.verification.math import MathVerifier
from forkpipe.verification.number import NumberVerifier
from forkpipe.verification.rules import RULES
from forkpipe.verification.text import clean

MEMORY_MB = 1_024


def test_every_hostile_answer_gets_a_verdict_and_none_is_correct() -> None:
    cases = list(hostile())
    assert len(cases) >= 300
    # In a process of its own: the peak memory of children is over all that a process ever had.
    with ProcessPoolExecutor(1, get_context("spawn")) as own:
        found, after, peak_kib = own.submit(_verified, cases).result()
    assert [verdict.verdict in VERDICTS for verdict in found] == [True] * len(cases)
    fooled = [
        (kind, gold[:80], verdict)
        for (kind, gold, _), verdict in zip(cases, found, strict=True)
        if verdict.verdict == "correct"
    ]
    assert [case for case in fooled if not _is_seven(case[2])] == []
    counts = Counter(verdict.verdict for verdict in found)
    assert counts["timeout"] >= 10  # the towers are there, and were not computed
    assert after.verdict == "correct"
    assert 0 < peak_kib < MEMORY_MB << 10


def _verified(cases: list[tuple[str, str, str]]) -> tuple[list[Verdict], Verdict, int]:
    """Return the verdicts, one on an honest answer after them, and the peak memory of the workers in KiB."""
    verifier = MathVerifier(timeout_seconds=0.2, memory_mb=MEMORY_MB)
    golds, responses = [gold for _, gold, _ in cases], [response for _, _, response in cases]
    try:
        found = verifier.verify(golds, responses, [False] * len(cases))
        after = verifier.verify(["1/2"], [r"\boxed{0.5}"], [False])[0]
    finally:
        verifier.close()
    return found, after, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss


def _is_seven(verdict: Verdict) -> bool:
    """Say whether what was called correct is a seven after all, in some script or with marks around it."""
    return unicodedata.normalize("NFKC", verdict.extracted).strip("\u200b\u202e\x1b[31m\u0301") in ("7", "VII")


_PIECES = st.sampled_from(
    [
        *(
            "\\frac{",
            "\\sqrt{",
            "\\text{",
            "\\boxed{",
            "\\begin{pmatrix}",
            "\\end{pmatrix}",
            "\\left(",
            "\\right)",
            "}",
            "{",
        ),
        *(
            "(",
            ")",
            "[",
            "]",
            "\\{",
            "\\}",
            ",",
            ";",
            ":",
            "=",
            "<",
            "\\le",
            "\\in",
            "\\cup",
            "\\pm",
            "&",
            "\\\\",
            "|",
            "^",
            "_",
        ),
        *(
            "1",
            "2",
            "10",
            "0.5",
            "1,000",
            "x",
            "y",
            "f(n)",
            "\\pi",
            "\\infty",
            "^\\circ",
            "\\%",
            "\\$",
            "cm",
            "m",
            "hours",
        ),
        *(
            " ",
            "and",
            "or",
            "a.m.",
            "(a)",
            "(B)",
            "k \\in \\mathbb{Z}",
            "\\pmod{7}",
            "\x00",
            "\ud800",
            "٣",
            "the answer is",
        ),
    ]
)
_TEXTS = st.one_of(st.text(max_size=60), st.lists(_PIECES, max_size=12).map(" ".join))


@given(_TEXTS, _TEXTS)
@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_no_rule_raises_and_none_accepts_what_nothing_supports(gold: str, prediction: str) -> None:
    """Rules say equal only after asking, or by what they read on both sides; here every question is denied."""
    for rule in RULES:
        assert rule.check(clean(gold), clean(prediction), lambda one, other: False) in (True, False)


@given(_TEXTS)
@settings(max_examples=200, deadline=None)
def test_the_other_verifiers_never_raise(response: str) -> None:
    for verifier in (ExactVerifier(), NumberVerifier()):
        assert verifier.verify(["7"], [response], [False])[0].verdict in VERDICTS
