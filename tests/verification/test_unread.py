"""What math-verify reads in part is not correct: pairs by hand, and answers that were changed or rewritten."""

import pytest
from mutated import mutations, rewrites

from forkpipe.core.records import Verdict
from forkpipe.verification.compare import compare
from forkpipe.verification.math import MathVerifier
from forkpipe.verification.unread import changes, is_plainly_read

GOLDS = r"""
\frac{3}{7}
-\frac{11}{4}
2\sqrt{15}
\frac{5\sqrt{6}}{12}
9\pi - 4
3x^2 - 7x + 2
(x - 4)(2x + 9)
(4, -3)
\left(\frac{2}{5}, 8\right)
(6, \frac{\pi}{3})
[2, 9)
(-\infty, 5]
(-\infty, -2) \cup (7, \infty)
[-1, 4] \cup [6, 13]
2, 5, 11
-3, \frac{1}{6}
\{1, 4, 9\}
1 + \sqrt{3}, 1 - \sqrt{3}
x = 4, y = -9
16, 3, 1, 1
\begin{pmatrix} 2 & -1 \\ 0 & 5 \end{pmatrix}
\begin{pmatrix} 3 \\ -8 \end{pmatrix}
y = 3x - 5
x^2 + y^2 = 25
x > 6
-4 \le x < 10
\{x|-2<x<3\}
x = 4k + 2 \text{ where } k \in \mathbb{Z}
6 - 5i
\frac{\pi}{4} + k\pi, k \in \mathbb{Z}
3 \text{ m}, 5 \text{ m}
12 \text{ cm}^2
40 apples, 60 pears
45^\circ
62.5\%
7:12
2^{15}
\frac{1}{2^{70}}
\log_{3} 14
e^{-2} + 1
\binom{12}{5}x
5 \sin(3t)
\frac{x + 1}{x - 8}
f(x) = x^3 - 6
(1, 2), (3, 4)
1204_5
1.0372846
x \equiv 5 \pmod{9}
2 \pm \sqrt{7}
""".strip().splitlines()

STILL_CORRECT = {
    (r"\frac{\pi}{4} + k\pi, k \in \mathbb{Z}", r"\frac{\pi}{4} + k\pi"): "that k is an integer may be left out",
}
"""Changed answers that may be called correct, each with its reason; at most 1 % of all."""

UNCHANGED = {
    (r"\frac{\pi}{4} + k\pi, k \in \mathbb{Z}", r"\frac{\pi}{4} - k\pi, k \in \mathbb{Z}"),
    (r"x = 4k + 2 \text{ where } k \in \mathbb{Z}", r"x = 4k - 2 \text{ where } k \in \mathbb{Z}"),
}
"""Changes that lead to the same set of values: these are the same answers."""


@pytest.fixture(scope="module")
def changed() -> list[tuple[str, str, str, Verdict]]:
    """Return (what was done, gold answer, new answer, verdict)."""
    rows = [("changed", gold, text) for gold in GOLDS for _, text in mutations(gold)]
    rows += [("rewritten", gold, text) for gold in GOLDS for _, text in rewrites(gold)]
    verifier = MathVerifier(timeout_seconds=20)
    responses = [f"\\boxed{{{text}}}" for _, _, text in rows]
    verdicts = verifier.verify([gold for _, gold, _ in rows], responses, [False] * len(rows))
    verifier.close()
    return [(*row, verdict) for row, verdict in zip(rows, verdicts, strict=True)]


def test_a_changed_answer_is_not_correct(changed: list[tuple[str, str, str, Verdict]]) -> None:
    verdicts = {(gold, text): verdict for done, gold, text, verdict in changed if done == "changed"}
    assert len(verdicts) > 200
    correct = {pair for pair, verdict in verdicts.items() if verdict.verdict == "correct"}
    assert correct <= STILL_CORRECT.keys() | UNCHANGED
    assert len(STILL_CORRECT) <= len(verdicts) / 100


def test_a_rewritten_answer_stays_correct(changed: list[tuple[str, str, str, Verdict]]) -> None:
    verdicts = {(gold, text): verdict.verdict for done, gold, text, verdict in changed if done == "rewritten"}
    assert len(verdicts) > 100
    assert {pair for pair, verdict in verdicts.items() if verdict != "correct"} == set()


@pytest.mark.parametrize(
    ("gold", "other", "equal"),
    [
        # math-verify reads the 3 alone, 4 alone, or the first of several
        (r"3 \text{ m}, 5 \text{ m}", r"3 \text{ m}, 7 \text{ m}", False),
        (r"3 \text{ m}, 5 \text{ m}", r"5 \text{ m}, 3 \text{ m}", True),
        (r"4k+3, k \in \mathbb{Z}", r"4k+1, k \in \mathbb{Z}", False),
        (r"4k+3, k \in \mathbb{Z}", r"4n+3, n \in \mathbb{Z}", True),
        ("16, 3, 1, 1", "16, 3, 1", False),
        ("16, 3, 1, 1", "1, 3, 16, 1", True),
        ("40 apples, 60 pears", "40, 50", False),
        ("40 apples, 60 pears", "40, 60", True),
        ("2x + 3 = 7", "7", False),
        ("P(X = 2) = 0.3x", "0.3x", True),
        ("A: 3, B: 5", "A: 5, B: 3", False),
        ("(C) 12", "(C) 13", False),
        # its differences are absolute
        (r"\frac{1}{2^{98}}", "2^{-98}", True),
        (r"\frac{1}{2^{98}}", "2^{-97}", False),
        # what a plain comparison of values settles
        (r"\frac{\sin 2x}{2 \cos x}", r"\sin x", True),
        (r"\sqrt{x^2}", "x", False),
        (r"2\ln x + 1", r"\ln(x^2) + 1", True),
        ("x + 2y = 1", r"y = \frac{1 - x}{2}", True),
        ("x + 2y = 1", r"y = \frac{1 + x}{2}", False),
        ("x < 3", "-x > -3", True),
        ("3x < 9y", "-x < -3y", False),
        # numbers that lead to an equal value by chance
        (r"\binom{5}{2}", "10", True),
        # written for people or by programs
        (r"\{x|-2<x<3\}", "(-2, 3)", True),
        ("7*sin(pi*x/5)", r"7\sin\frac{\pi x}{5}", True),
        (r"\cot t \cdot 2", r"2 \cot t", True),
        ("5!!", "15", True),
        ("5!!", "720", False),
        (r"x_{n_{1}}", "x_{n_1}", True),
        (r"2007 + \frac\pi 2", r"2007 + \frac{\pi}{2}", True),
        ("\x0crac{1}{2}x", r"\frac{x}{2}", True),
        ("3 \times x", "3x", True),
        (r"\\begin{pmatrix} 1 \\\\ 2 \\end{pmatrix}", r"\begin{pmatrix} 1 \\ 2 \end{pmatrix}", True),
        # points, families, shares
        (r"(1, 2) \cup \{5\}", r"1 < x < 2 \text{ or } x = 5", True),
        (r"(1, 2) \cup \{5\}", r"(1, 2) \cup \{6\}", False),
        (r"x \equiv 3 \pmod 4", r"4k + 3", True),
        (r"x \equiv 3 \pmod 4", r"4k + 2", False),
        (r"66.67\%", "0.667", True),
        (r"66.67\%", r"\frac{2}{3}", True),
        (r"66.67\%", "0.668", False),
        (r"(1, \pm 2)", "(1, 2), (1, -2)", True),
        (r"(1, \pm 2)", "(1, 2), (1, -3)", False),
        (r"\frac{2}{3} \approx 0.667", r"\frac{2}{3}", True),
        ("11", "x = 5 + 6 = 11", True),
        (r"1 \le |z| \le 2", r"[-2, -1] \cup [1, 2]", True),
    ],
)  # fmt: skip
def test_pairs(gold: str, other: str, equal: bool) -> None:
    assert (compare(gold, other).name == "equal") == equal


def test_the_guard_can_be_switched_off() -> None:
    """math-verify compares the two as sets."""
    assert compare("16, 3, 1, 1", "16, 3, 1") == ("different", "unread")
    assert compare("16, 3, 1, 1", "16, 3, 1", ["unread"]).name == "equal"


def test_every_number_sign_bracket_and_element_is_changed() -> None:
    texts = [text for variants in changes("[-1, 20), 3") for text in variants]
    assert texts == [
        *("[-2, 20), 3", "[-3, 20), 3", "[-1, 30), 3", "[-1, 40), 3", "[-1, 20), 4", "[-1, 20), 5"),
        *("[+1, 20), 3", "(-1, 20), 3", "3", "[-1, 20)"),
    ]


@pytest.mark.parametrize(
    ("gold", "other", "plain"),
    [
        (r"\frac{x^{12}}{7}", r"\frac{1}{7}x^{12}", True),
        (r"\sqrt{10{,}000}x", "100x", True),
        ("12 apples and 3x", "3x", False),
        (r"\sqrt{3}, 2", r"\sqrt{3}", False),  # the 2 is no root
        ("(1, 2)", "(1, 2)", False),
        ("x + y = 2", "y + x = 2", True),
    ],
)
def test_plainly_read(gold: str, other: str, plain: bool) -> None:
    assert is_plainly_read(gold, other) == plain
