"""Normalisation of problem texts: what becomes equal, what must not, and that any text goes through."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forkpipe.problems.normalisation import mask_numbers, normalise, same_numbers

PIECES = r"""\frac \dfrac { } 12 1,000 1{,}000 x^2 x² ½ \left( \right) $ \( \[ π αβ ≤ \le \leq . ! - − – [asy]
    \\ & 求 İ ŉ ﬃ ٣ \text{a}"""
TEXTS = st.one_of(st.text(), st.lists(st.sampled_from(re.split(r"\s+", PIECES))).map("".join))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("  Find\tX.\n", "find x"),
        (r"$\frac{1}{2}$ and \(\tfrac12\) and \[\dfrac 1 2\]", "frac 1 2 and frac 1 2 and frac 1 2"),
        (r"\left( a, b \right]", "( a b"),
        (r"$x^{2}$ x^2 x²", "x ^ 2 x ^ 2 x ^ 2"),
        ("1,000 1{,}000 1\\,000 10,000,000", "1000 1000 1000 10000000"),
        ("(1, 200)", "( 1 200 )"),
        (r"a \le b \leq c ≤ d \leqslant e", "a <= b <= c <= d <= e"),
        (r"2 \cdot 3 \times 4 × 5", "2 * 3 * 4 * 5"),
        (r"90^\circ 90^{\circ} 90° 90 degrees", "90 degree 90 degree 90 degree 90 degree"),
        (r"\text{cm} \mathbb{R} \operatorname{lcm}", "cm r lcm"),
        (r"\textbf{not} \theta", "not theta"),
        (r"\begin{align*} x &= 1 \\ y &= 2 \end{align*}", "x = 1 y = 2"),
        ("α + \\alpha", "alpha + alpha"),
        ("αβγ", "αβγ"),  # a word of Greek
        ("3.50 .5 5.", "3.50 .5 5"),
        ("x-1 x − 1", "x - 1 x - 1"),
        ("n! 5\\%", "n ! 5 %"),
        ("17_b", "17 b"),
        ("求x的值", "求 x 的 值"),
        ("\ud800a\x00b", "a b"),
        ("$ . $", ""),
    ],
)
def test_normal_forms(text, expected):
    assert normalise(text) == expected


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("2x + 3", "2x - 3"),
        ("f(2)", "f(3)"),
        ("x < 1", "x \\le 1"),
        ("0.5", "5"),
        ("x^12", "x^1 2"),
        ("-3", "3"),
        ("8 / (4 / 2)", "8 / 4 / 2"),
    ],
)
def test_what_makes_another_problem_stays(one, other):
    assert normalise(one) != normalise(other)


@given(TEXTS)
def test_a_second_time_changes_nothing(text):
    once = normalise(text)
    assert normalise(once) == once
    assert once == once.strip()
    assert "  " not in once


@given(st.text(alphabet=st.characters()))  # half surrogate pairs too
def test_any_text_goes_through(text):
    normalise(text).encode()


@given(TEXTS)
def test_masking_changes_numbers_alone(text):
    words, masked = normalise(text).split(), mask_numbers(normalise(text)).split()
    assert len(words) == len(masked)
    assert all(new == ("#" if old[-1].isdigit() else old) for old, new in zip(words, masked, strict=True))


def test_numbers_are_compared_as_often_as_they_stand():
    assert same_numbers(["1", "a", "1"], ["1", "1"])
    assert same_numbers(["1"], ["2", "1", "x"])
    assert not same_numbers(["1", "1", "2"], ["1", "2", "2"])
    assert same_numbers(["a"], ["5"])
    assert not same_numbers(["3.5"], ["35"])
