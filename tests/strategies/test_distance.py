"""What two traces do alike and apart: weights, measures and the distance made of them, by hand."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forkpipe.strategies import compare
from forkpipe.strategies.alignment import GIVEN, Sentence, described, unaligned
from forkpipe.strategies.base import Clusters
from forkpipe.strategies.canonical import value_text
from forkpipe.strategies.distance import (
    BIAS,
    WEIGHTS,
    Components,
    Traits,
    apartness,
    components,
    distance,
    evidence,
    traits_of,
)
from forkpipe.strategies.formulas import formulas, parse
from forkpipe.strategies.objects import RAREST, object_weight, objects
from forkpipe.strategies.show import columns_of
from forkpipe.strategies.trace_steps import given_by, sentences_of, steps_of


def value(text):
    ((side,),) = formulas(text)
    return value_text(parse(side))


def sentence(*words):
    return Sentence(dict.fromkeys(words, len(words) ** -0.5), len(words) ** 0.5)


def traits(**held):
    sets = {name: frozenset(held.get(name, ())) for name in Traits._fields if name != "sentences"}
    return Traits(sentences=tuple(sentence(*words) for words in held.get("sentences", ())), **sets)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (r"24\sin 15^\circ", r"6(\sqrt{6}-\sqrt{2})"),
        (r"24\sin\frac{\pi}{12}", r"24\sin 15"),
        (r"\sqrt{12}", r"2\sqrt{3}"),
        (r"\log_2 8", "3"),
        (r"\log_{10} 1000", r"\log 1000"),
        (r"\frac{1}{\sqrt{2}}", r"\frac{\sqrt2}{2}"),
        (r"-\frac{6}{4}", r"\frac{3}{2}"),
    ],
)
def test_one_value_has_one_notation(one, other):
    assert value(one) == value(other)


@pytest.mark.parametrize("text", [r"\sqrt{-2}", r"\log 0", r"x + 1", r"\frac{\pi}{0}", r"9999^{9999.5}", r"\tan x"])
def test_what_has_no_value_has_none(text):
    assert value(text) is None


def test_that_an_unknown_has_a_value_is_no_equation():
    (step,) = steps_of("", r"Therefore \(x = 5\sqrt{2}\).")
    assert step.equations == frozenset()
    assert step.values == {"~7.0710678"}


def test_common_words_tell_nothing_and_rare_ones_most():
    assert objects("The answer is therefore the altitude of both") == {"altitud", "both"}
    assert object_weight("both") < object_weight("circl") < object_weight("altitud") == RAREST


def test_measures_by_hand():
    """Techniques: shoelace 1.4 against sum .6, factor .6: the smaller is 1.2. Values: "123" weighs 1, "9" .35."""
    a = traits(techniques={"shoelace"}, values={"123", "7/2"}, numbers={"45", "8"}, equations={"x"})
    b = traits(techniques={"sum", "factor"}, values={"7/2", "9"}, numbers={"45"}, equations={"x", "y"})
    found = components(a, b)
    assert found.techniques == pytest.approx(math.log1p(1.2))
    assert found.values == pytest.approx(math.log1p(0.35))
    assert found.nothing_shared == pytest.approx(1 / (1 + 2 * (1 + 1)))  # 7/2 and x
    assert found.shared_numbers == pytest.approx(math.log1p(2 - 0.6))


def test_sentences_are_aligned_with_the_most_alike():
    """a: cosine 1 for the first, 1 / sqrt(2) for the second. b: 1, 1 / sqrt(2) and 0, by lengths 1, 1 and sqrt(2)."""
    a = (sentence("p"), sentence("q", "r"))
    b = (sentence("p"), sentence("q"), sentence("s", "t"))
    of_a = (1 + math.sqrt(2) * math.sqrt(0.5)) / (1 + math.sqrt(2))
    of_b = (1 + math.sqrt(0.5)) / (2 + math.sqrt(2))
    assert unaligned(a, b) == pytest.approx(1 - max(of_a, of_b))
    assert unaligned(b, a) == pytest.approx(unaligned(a, b))
    assert unaligned(a, (*b, *a)) == pytest.approx(0)  # says more, the same way
    assert unaligned(a, (sentence("u"),)) == 1
    assert (unaligned(a, ()), unaligned((), ())) == (0.5, 0)


def test_a_sentence_holds_what_tells_and_little_of_the_problem():
    given = given_by("How many marbles are in 17 urns?")
    (held,) = described(sentences_of("Therefore the urns and the parrots are 17 and 1234.", given), given)
    weights = {what: weight * held.length for what, weight in held.weights.items()}
    words, numbers = {"w parrot": 4, "w urns": 4 * GIVEN}, {"n 17": 1.4 * GIVEN, "n 1234": 3.4}
    assert weights == pytest.approx(words | numbers | {"v 17": 2 * 0.75 * GIVEN, "v 1234": 2})


def test_the_distance_is_a_probability_by_the_weights():
    found = Components(1.0, 2.0, 0.5, 0.5, 1.0)
    w = WEIGHTS
    assert evidence(found) == pytest.approx(BIAS + w[0] + 2 * w[1] + 0.5 * w[2] + 0.5 * w[3] + w[4])
    only_one = math.e - 1 + math.e**2 - 1 + math.e**0.5 - 1
    assert apartness(found) == pytest.approx(only_one / (only_one + 1))
    assert apartness(Components(0, 0, 0, 1, 3)) == 0


SENTENCES = st.sets(st.sampled_from(["altitud", "ellips", "circl", "both"]).map(lambda word: (word,)), min_size=1)
VALUES = st.frozensets(st.sampled_from(["3", "12", "123", "7/2"]))
SOME = st.builds(lambda said, values: traits(sentences=said, values=values, numbers=values), SENTENCES, VALUES)


def more(of, said=(), **held):
    return of._replace(
        sentences=(*of.sentences, *(sentence(word) for word in said)),
        **{name: getattr(of, name) | value for name, value in held.items()},
    )


@given(SOME, SOME)
def test_it_is_symmetric_and_0_where_one_holds_all_of_the_other(a, b):
    assert distance(a, b) == pytest.approx(distance(b, a), abs=1e-12)
    assert 0 <= distance(a, b) <= 1
    both = a._replace(sentences=a.sentences + b.sentences, values=a.values | b.values, numbers=a.numbers | b.numbers)
    assert distance(a, both) == pytest.approx(0, abs=1e-12)


@given(SOME, SOME)
def test_what_both_do_brings_them_nearer_and_what_each_does_alone_apart(a, b):
    assert distance(more(a, values={"999"}), more(b, values={"999"})) <= distance(a, b)
    assert distance(more(a, ["parabol"]), more(b, ["parabol"])) <= distance(a, b) + 1e-12
    apart = distance(more(a, values={"888"}), more(b, values={"777"}))
    assert apart > distance(a, b)


def test_short_solutions_of_two_ways_are_further_apart_than_of_one():
    """Three lines a trace: little is exclusive, but little is shared as well."""
    problem = "Two numbers have the sum 10 and the product 21. What is the sum of their cubes?"
    roots = (
        "Write the second number by substitution as 10 - x.\nThe quadratic equation is x^2 - 10x + 21 = 0.\n"
        "By the quadratic formula the roots are 3 and 7.\nTheir cubes are 3^3 = 27 and 7^3 = 343, in all 370."
    )
    again = (
        "Substitution of y = 10 - t.\nQuadratic: t^2 - 10t + 21 = 0.\nQuadratic formula: the roots 7 and 3.\n"
        "Cubes: 7^3 = 343, 3^3 = 27. Sum 370."
    )
    identity = (
        "Expand the cube of the sum: (x + y)^3 = x^3 + y^3 + 3xy(x + y).\n"
        "The identity leaves the sum of cubes as 10^3 - 3 * 21 * 10.\nThat is 1000 - 630 = 370."
    )
    assert compare(problem, roots, again).distance < 0.05
    assert min(compare(problem, one, identity).distance for one in (roots, again)) > 0.15


def test_numbers_of_the_problem_are_not_shared():
    given, text = given_by("Add 45 and 67."), "By symmetry, 45 + 67 = 112 and 999."
    held = sentences_of(text, given)
    assert traits_of(held, steps_of("", text, given, held), given).numbers == {"112", "999"}


def test_bare_notation_is_shown_by_its_beginning():
    columns = columns_of("", ["7 sq 15", "9 mul 3"], ["a", "b"], Clusters([0, 1], [0, 1], [0.0, 0.0]))
    assert [column.steps for column in columns] == [["7 sq 15"], ["9 mul 3"]]
