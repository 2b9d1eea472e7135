"""One verifier with real workers for the whole module: they take seconds to start."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from forkpipe.core.errors import InputError
from forkpipe.core.records import Verdict
from forkpipe.verification.base import Verifier
from forkpipe.verification.math import MathVerifier

HANGS = "9^{9^{9^{9}}}"
"""The fourth level has more digits than there is memory, and sympy sets out to write them."""


@pytest.fixture(scope="module")
def verifier() -> Iterator[MathVerifier]:
    made = MathVerifier(timeout_seconds=2.0, workers=2)
    yield made
    made.close()


def one(verifier: MathVerifier, gold: str, response: str) -> Verdict:
    return verifier.verify([gold], [response], [False])[0]


def test_it_is_a_verifier(verifier: MathVerifier) -> None:
    assert isinstance(verifier, Verifier)


@pytest.mark.parametrize(
    ("gold", "boxed", "verdict", "rule"),
    [
        ("1000", "1,000", "correct", "number"),
        ("073", "73", "correct", "number"),
        ("73", "74", "wrong", "number"),
        (r"\frac{1}{2}", r" \frac{1}{2} ", "correct", "identical"),
        ("$x+1$", "x+1", "correct", "identical"),
        ("1 1/2", "11/2", "wrong", "math-verify"),  # whitespace is not nothing
        (r"\frac{1}{2}", "0.5", "correct", "number"),
        (r"\frac{1}{2}", "1/2", "correct", "number"),
        ("x^2 - 1", "(x-1)(x+1)", "correct", "math-verify"),
        (r"(3, \frac{\pi}{2})", r"\left(3, \pi/2\right)", "correct", "collections"),
        (r"(-\infty, 0]", r"(-\infty, 0)", "wrong", "math-verify"),
        ("1, -2", "-2, 1", "correct", "collections"),
        (r"\text{(B)}", "B", "correct", "choice"),
        (r"\$18.90", "18.90", "correct", "units"),
        ("5", r"5 \text{ apples}", "correct", "words-around"),
        ("1.50", "1.5", "correct", "number"),
        ("1.50", "1.51", "wrong", "number"),
        ("5", r"5\text{ m}", "correct", "units"),
        ("2", r"\sqrt{5}", "wrong", "math-verify"),
        # math-verify alone takes the last letters for a unit
        ("2t", "2", "wrong", "math-verify"),
        ("$2t$", "2", "wrong", "math-verify"),
        ("$3$ and $4$", "3, 4", "correct", "collections"),
        ("a + b + 2c", "a + b + 2", "wrong", "math-verify"),
        ("a + b + c", "c + b + a", "correct", "math-verify"),
        (r"\sin^2 t", r"1 - \cos^2 t", "correct", "math-verify"),
        ("2ab", "2", "wrong", "math-verify"),
        # nor does it read these
        (r"-\frac{5}{3}.", r"-5/3", "correct", "number"),
        (r"\frac{1}{20,\!000}", "1/20000", "correct", "thousands"),
        (r"288\pi", "288pi", "correct", "math-verify"),
        (r"\frac{1}{", "5", "unparsed", "gold-unparsed"),
        ("", "5", "unparsed", "gold-unparsed"),
    ],
)
def test_equality(verifier: MathVerifier, gold: str, boxed: str, verdict: str, rule: str) -> None:
    found = one(verifier, gold, f"So \\boxed{{{boxed}}}.")
    assert (found.verdict, found.rule, found.extracted) == (verdict, rule, boxed.strip())


@pytest.mark.parametrize("response", ["", "   ", "I give up.", "<think>\\boxed{5}"])
def test_no_answer_is_unparsed(verifier: MathVerifier, response: str) -> None:
    assert one(verifier, "x+5", response) == Verdict("unparsed")


def test_a_cut_response_is_truncated_whatever_it_holds(verifier: MathVerifier) -> None:
    assert verifier.verify(["5"], ["\\boxed{5}"], [True]) == [Verdict("truncated")]


@pytest.mark.parametrize("inside", ["\x00", "\ud800", "\\", "((((" * 400, "\\frac" * 300, "1+" * 900, "%", "^" * 50])
def test_whatever_stands_in_the_box_there_is_a_verdict(verifier: MathVerifier, inside: str) -> None:
    assert one(verifier, "x+1", "\\boxed{" + inside + "}").verdict in ("wrong", "unparsed", "timeout")


def test_a_megabyte_is_too_long(verifier: MathVerifier) -> None:
    found = one(verifier, "x+1", "\\boxed{" + "x+" * 500_000 + "1}")
    assert (found.verdict, found.rule, len(found.extracted)) == ("unparsed", "too-long", 2_000)


def test_a_hang_is_killed_and_the_next_verdict_comes(verifier: MathVerifier) -> None:
    found = verifier.verify(["3", "x/3"], [f"\\boxed{{{HANGS}}}", r"\boxed{\frac{2x}{6}}"], [False, False])
    assert found[0] == Verdict("timeout", HANGS, "math-verify", "box")
    assert found[1].verdict == "correct"
    assert verifier._findings["3", HANGS].name == "timeout"  # so that it hangs once
    assert one(verifier, "3", f"\\boxed{{{HANGS}}}").verdict == "timeout"
    assert one(verifier, "x/4", r"\boxed{\frac{2x}{8}}").verdict == "correct"


def test_threads_get_the_same_verdicts(verifier: MathVerifier) -> None:
    gold = ["1/2", "1/2", "x(x+1)", "5"] * 3
    responses = [r"\boxed{0.5}", r"\boxed{0.25}", r"\boxed{x^2+x}", r"\boxed{5}"] * 3
    truncated = [False] * len(gold)
    with ThreadPoolExecutor(3) as threads:
        runs = list(threads.map(lambda _: verifier.verify(gold, responses, truncated), range(6)))
    expected = ["correct", "wrong", "correct", "correct"] * 3
    assert [[verdict.verdict for verdict in run] for run in runs] == [expected] * 6


def test_gold_answers_are_checked(verifier: MathVerifier) -> None:
    golds = ["5", "1,000", r"\frac{1}{2}", "(1, 2]", "", "  ", r"\frac{1}{", "???", "x" * 3_000]
    assert verifier.check_gold(golds) == [True, True, True, True, False, False, False, False, False]


def test_plain_integers_start_no_process() -> None:
    made = MathVerifier()
    assert made.verify(["5"], ["\\boxed{5}"], [False])[0].rule == "number"
    assert made.check_gold(["5"]) == [True]
    assert not made._pool.started()
    made.close()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"timeout_seconds": 0}, "timeout_seconds is 0"),
        ({"timeout_seconds": float("nan")}, "timeout_seconds is nan"),
        ({"workers": 0}, "workers is 0"),
        ({"memory_mb": 100}, "memory_mb is 100"),
        ({"without": ["unit"]}, "without names 'unit', expected one of: all, own-pairs-only, notation"),
    ],
)
def test_values_out_of_range(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        MathVerifier(**options)


def test_a_rule_can_be_switched_off(verifier: MathVerifier) -> None:
    gold, response = "x > 3", r"\boxed{(3, \infty)}"
    assert one(verifier, r"x \in (1, 2)", r"\boxed{1 < x < 2}").rule == "interval"
    off = MathVerifier(workers=1, without=["interval"])
    assert one(off, r"x \in (1, 2)", r"\boxed{1 < x < 2}").verdict == "wrong"
    assert one(off, gold, response).verdict == "correct"  # math-verify knows that itself
    off.close()


def test_what_only_our_own_pairs_support_has_one_switch() -> None:
    off = MathVerifier(workers=1, without=["own-pairs-only"])
    assert one(off, r"\frac{\pi}{2}", r"\boxed{90^\circ}").verdict == "wrong"  # the rule `degrees`
    assert one(off, "x = 4, y = 1", r"\boxed{4, 1}").rule == "names"
    off.close()


def test_lengths_must_match(verifier: MathVerifier) -> None:
    with pytest.raises(ValueError, match="zip"):
        verifier.verify(["1"], [], [False])
