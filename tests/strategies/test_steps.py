"""From a text to formulas, canonical forms, sentences and steps."""

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forkpipe import strategies
from forkpipe.strategies.canonical import equation_form, value_of
from forkpipe.strategies.formulas import UnreadableError, formulas, parse
from forkpipe.strategies.sentences import sentences, solution_of
from forkpipe.strategies.trace_steps import steps_of
from forkpipe.strategies.vocabulary import techniques


def trees(text):
    return [[parse(side) for side in sides] for sides in formulas(text)]


def form(text, known=()):
    ((left, right),) = trees(text)
    return equation_form(left, right, known)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (r"\binom{9}{2}", "36"),
        (r"\frac{9 \times 8}{2 \cdot 1}", "36"),
        (r"$2^{10} - 1$", "1023"),
        ("1,250 / 4", "625/2"),
        (r"\frac12 + \frac{1}{3}", "5/6"),
        (r"\sqrt{49}", "7"),
        ("5!", "120"),
        (r"\lfloor \frac{7}{2} \rfloor", "3"),
        ("|3 - 5|", "2"),
        ("3²", "9"),
        ("2 - (-3)", "5"),
        ("-2^2", "-4"),
    ],
)
def test_values(text, value):
    (((tree),),) = trees(text)
    assert value_of(tree) == Fraction(value)


@pytest.mark.parametrize("text", ["9^{9^9}", "1000!", "1/0", "0^{-1}", r"\sqrt{2}", "x", r"\binom{3}{5}", "10^{300}"])
def test_what_has_no_value_within_the_bounds(text):
    (((tree),),) = trees(text)
    assert value_of(tree) is None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("x + 3 = 2y", "2y - x = 3"),
        ("x^2 + y^2 = 4", "4 - a^2 = b^2"),
        (r"\frac{9}{s} - \frac{9}{s+2} = 1.6", "1.6 v (v+2) = 18"),
        ("2x = 6", "x = 3"),
        ("ab + bc = 5", "b(a + c) = 5"),
        (r"\frac{x_1}{2} = y", "2p = q"),
        ("AB^2 = BC^2 + 9", "CB^2 + 9 = BA^2"),
    ],
)
def test_an_equation_has_one_form(one, other):
    assert form(one) == form(other) is not None


def test_known_names_are_kept():
    assert form("x = 2y", {"x", "y"}) != form("y = 2x", {"x", "y"})
    assert form("x = 2y") == form("y = 2x")


@pytest.mark.parametrize("text", ["x = x", "2 = 3", "(x+y+z+w+v)^{12} = 1", "x^{40} = 1 + y^{13}"])
def test_identities_and_what_is_too_large_have_no_form(text):
    found = form(text)
    assert found is None or "^(x,40)" in found


@settings(max_examples=200, deadline=None)
@given(text=st.text(alphabet="xyn12.,+-*/^=(){}[]|!$\\ \n<²√fracsqt_θ", max_size=40))
def test_any_text_is_read(text):
    """Nothing but `UnreadableError` comes out of the parser, and every tree has a value, a form or neither."""
    for sides in formulas(text):
        for side in sides:
            try:
                tree = parse(side)
            except UnreadableError:
                continue
            value_of(tree)
            equation_form(tree, ("name", "x"))
    steps_of("", text)


@settings(max_examples=60, deadline=None)
@given(a=st.integers(-9, 9), b=st.integers(-9, 9), c=st.integers(1, 9), scale=st.integers(1, 5))
def test_scaling_and_moving_terms_keep_the_form(a, b, c, scale):
    one = form(f"({a}) x + ({b}) y^2 = {c}", {"x", "y"})
    other = form(f"{scale} * ({c} - ({b}) y^2) = {scale} * ({a}) x", {"x", "y"})
    assert one == other


def test_thinking_checks_chatter_drawings_and_second_solutions_are_dropped():
    text = (
        "<think>Maybe we try Vieta. 2 + 5 = 7.</think>[asy]draw((0,0)--(3,4));[/asy] "
        "We use the symmetry of the figure.\nHmm, could it be a trap?\nSo \\(2x = 18\\).\nLet me verify: 2 * 9 = 18.\n"
        "### Verification\nBy the law of sines it holds.\n### Answer\nWe get 9.\n"
        "**Solution 2**\nBy induction we have it."
    )
    found = list(sentences(solution_of(text)))
    assert found == ["We use the symmetry of the figure.", "So \\(2x = 18\\).", "### Answer", "We get 9."]


def test_a_step_holds_what_is_new():
    steps = steps_of(
        "Find x if 3x + 4 = 19.",
        "We are given 3x + 4 = 19.\nSubtract 4: 3x = 15.\nSo 3x = 15 again.\nBy division, x = 5, hence \\boxed{5}.",
    )
    assert [(step.text, set(step.values), set(step.techniques)) for step in steps] == [
        ("3x = 15.", {"15"}, set()),
        ("By division, x = 5, hence {5}.", set(), {"divisibility"}),
    ]


def test_named_techniques():
    assert techniques("By Vieta's formulas and the Law of Cosines,") == {"vieta", "law-of-cosines"}
    assert techniques("Since the ring is singular, nothing.") == set()
    assert "complementary-counting" in techniques("We use complementary counting.")


def test_two_write_ups_of_one_way_are_the_same_and_two_ways_differ():
    problem = (
        "A box holds 5 red and 4 blue marbles. Two are drawn. What is the probability that they have the same color?"
    )
    direct = (
        "There are $\\binom{9}{2} = 36$ pairs. Both are red in $\\binom{5}{2} = 10$ ways and both are blue in "
        "$\\binom{4}{2} = 6$ ways, so the probability is $\\frac{10+6}{36} = \\frac{4}{9}$."
    )
    reworded = (
        "First count all choices: C = \\binom{9}{2} = 36.\nWays for two reds: \\binom{5}{2} = 10.\n"
        "Ways for two blues: \\binom{4}{2} = 6.\nAdd them, 10 + 6 = 16, and divide: 16/36 = 4/9."
    )
    assert strategies.compare(problem, direct, reworded).label == "same"
    other = (
        "By complementary counting, look for different colors: the first draw is red and the second blue with chance "
        "$\\frac{5}{9} \\cdot \\frac{4}{8} = \\frac{5}{18}$, or blue then red with the same chance by symmetry: "
        "$\\frac{5}{9}$, and subtracting from certainty, $1 - \\frac{5}{9}$, gives the answer."
    )
    assert strategies.compare(problem, direct, other).distance > strategies.compare(problem, direct, reworded).distance


def test_reading_is_linear_in_length():
    """Long texts that invite backtracking; minutes where a pattern is quadratic."""
    for piece in (
        "\\boxed{",
        "<think",
        "\\frac{1",
        "1,000,",
        "{",
        ",000",
        "(",
        "x+",
        "[asy]",
        "```",
        "solution 2",
        "- ",
        "total ",
    ):
        steps_of("", piece * (30_000 // len(piece)))
