"""Overlap of problem texts by kind: n-grams, near-duplicates, equal texts, renumbered ones, figures."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forkpipe.problems.near_duplicates import LEAST_RECALL, NearIndex, bands, jaccard, shingles
from forkpipe.problems.ngrams import NgramIndex, ngrams
from forkpipe.problems.overlap import Comparable, Match, OverlapIndex

WORDS = st.lists(st.sampled_from("abcdefgh"), max_size=40)


def words(text):
    return text.split()


def ngram_index(*texts, **settings):
    index = NgramIndex(**settings)
    for number, text in enumerate(texts):
        index.add(number, text.split())
    return index


def overlap_index(*texts, share=0.25, threshold=0.5, **settings):
    index = OverlapIndex(NgramIndex(3, share, 2), NearIndex(threshold), **settings)
    for text in texts:
        index.add(Comparable.of(text))
    return index


def find(index, text):
    return [(match.other, match.kind, round(match.score, 2)) for match in index.find(Comparable.of(text))]


def test_ngrams_are_runs_of_words():
    assert ngrams(words("a b a b"), 2) == {("a", "b"), ("b", "a")}
    assert ngrams(words("a b"), 3) == set()


def test_the_share_is_that_of_the_indexed_text():
    """a b c d has abc and bcd; x a b c holds the first."""
    index = ngram_index("a b c d", n=3, share=0.5, shortest=3)
    assert index.find(words("x a b c y z")) == [(0, 0.5)]
    assert index.find(words("a b x c d")) == []
    assert ngram_index("a b c d", n=3, share=0.51, shortest=3).find(words("x a b c")) == []


def test_a_short_text_is_found_whole_or_not_at_all():
    index = ngram_index("a b c", "a b", "c", n=4, share=0.1, shortest=2)
    assert index.find(words("x a b c")) == [(0, 1.0), (1, 1.0)]
    assert index.find(words("a b x c")) == [(1, 1.0)]
    assert index.too_short == [2]


def test_forms_of_words_do_not_count():
    """`f f f` stands in three texts. The first two have another gram each, the third has none but the common one."""
    index = ngram_index("f f f a", "f f f b", "f f f", n=3, share=0.1, shortest=3, common=2)
    assert index.find(words("x f f f")) == [(2, 1.0)]
    assert index.find(words("f f a")) == [(0, 1.0)]


def test_the_shortest_must_fit():
    with pytest.raises(ValueError, match="shortest is 4, expected 1 to n, 3"):
        NgramIndex(3, shortest=4)


@given(st.lists(WORDS, max_size=8), WORDS)
def test_ngram_shares_are_those_of_a_plain_count(texts, other):
    index = NgramIndex(3, 0.01, 3, common=100)
    for number, text in enumerate(texts):
        index.add(number, text)
    runs = ngrams(other, 3)
    expected = {n: len(ngrams(t, 3) & runs) / len(ngrams(t, 3)) for n, t in enumerate(texts) if len(t) >= 3}
    assert dict(index.find(other)) == {number: share for number, share in expected.items() if share > 0}


def test_jaccard_of_shingles():
    """a b c d e and a b c d f: abc, bcd shared; cde, cdf not."""
    assert jaccard(shingles("a b c d e", 3), shingles("a b c d f", 3)) == 0.5
    assert shingles("", 3) == {""}
    assert jaccard(frozenset(), frozenset()) == 1.0


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.7, 0.9, 1.0])
def test_bands_propose_pairs_at_the_threshold_nearly_always(threshold):
    count, rows = bands(threshold, 128)
    assert count * rows <= 128
    assert 1 - (1 - threshold**rows) ** count >= LEAST_RECALL


def test_near_duplicates_are_exact_about_the_threshold():
    """Of ten words, changing the last changes one of eight shingles: 7 of 9 are shared."""
    text = "a b c d e f g h i j"
    changed = "a b c d e f g h i k"
    for threshold, found in ((0.77, [(0, 7 / 9)]), (0.78, [])):
        index = NearIndex(threshold)
        index.add(0, text)
        assert index.find(changed) == found


def test_a_near_index_finds_what_all_pairs_would():
    texts = [" ".join(drawn) for drawn in itertools.product("ab", "cd", "ef", "gh", "ij", "kl")]
    index = NearIndex(0.6)
    for number, text in enumerate(texts):
        index.add(number, text)
    for text in texts:
        close = [(n, jaccard(shingles(text, 3), shingles(t, 3))) for n, t in enumerate(texts)]
        assert index.find(text) == [(number, score) for number, score in close if score >= 0.6]


def test_kinds():
    index = overlap_index("Let $x = 3$. Find the square of x, please.")
    assert find(index, "let \\(x=3\\), find the square of X please") == [(0, "exact", 1.0)]
    assert find(index, "Let x = 4. Find the square of x, please.") == [(0, "renumbered", 1.0)]
    assert find(index, "Oh well. Let x = 3. Find the square of x, please. Thank you!") == [(0, "ngram", 1.0)]
    assert find(index, "Oh well. Let x = 5. Find the square of x, please. Thank you!")[0][1] == "renumbered"
    assert find(index, "How many apples are in the basket?") == []
    assert find(index, "?!") == []


def test_near_is_what_ngrams_miss():
    """Two words of twelve replaced: 5 of 10 shingles are left, 5 / 15; of 8 runs of five words one is left."""
    text, changed = "a b c d e f g h i j k l", "a b c d x f g h i j y l"
    index = OverlapIndex(NgramIndex(5, 0.25, 5), NearIndex(0.3))
    index.add(Comparable.of(text))
    assert find(index, changed) == [(0, "near", 0.33)]
    stricter = OverlapIndex(NgramIndex(5, 0.25, 5), NearIndex(0.34))
    stricter.add(Comparable.of(text))
    assert find(stricter, changed) == []


def test_swapped_numbers_are_another_problem():
    index = overlap_index("There are 3 red balls and 5 green balls in the urn, how many in all?")
    assert find(index, "There are 5 red balls and 3 green balls in the urn, how many in all?")[0][1] == "renumbered"


def test_every_group_gives_a_match():
    index = OverlapIndex()
    for group in ("one", "two", "two"):
        index.add(Comparable.of("a b c"), group)
    assert [match.other for match in index.find(Comparable.of("a b c"))] == [0, 1]


def test_the_surest_match_comes_first():
    index = overlap_index("a b c d e f g x", "a b c d e f g h")
    assert index.find(Comparable.of("A b c d e f g h."))[0] == Match(1, "exact", 1.0)
    assert find(index, "a b c d e f g h")[1] == (0, "ngram", 0.83)


PROSE = "In the diagram the point D is the middle of the side AB of the triangle. Find its area."
FIGURE = "[asy] size(100); draw((0,0)--(4,0)--(4,3)--cycle); label(A, (0,0), W); [/asy]"
OTHER_FIGURE = "[asy] fill(circle((1,1),2)); path p=arc((7,7),9,30,60); dot(p); [/asy]"


def test_a_figure_that_only_one_text_has_is_passed_over():
    assert find(overlap_index(PROSE + FIGURE), PROSE) == [(0, "ngram", 1.0)]
    assert find(overlap_index(PROSE), PROSE + FIGURE) == [(0, "ngram", 1.0)]


def test_two_figures_must_be_alike():
    index = overlap_index(PROSE + FIGURE)
    assert find(index, PROSE + FIGURE.replace("size(100)", "size(250)"))[0][1] in ("ngram", "renumbered")
    assert find(index, PROSE + OTHER_FIGURE) == []
    assert find(index, PROSE + FIGURE + OTHER_FIGURE) == [(0, "ngram", 1.0)]


def test_a_figure_with_hardly_a_word_beside_it_is_the_problem():
    text = Comparable.of("Find x. " + FIGURE)
    assert text.figure == ""
    assert "draw" in text.words


def test_templates_are_limited_and_counted():
    """Ten words, one of them the number: 5 of 8 shingles are shared, 5 / 11. The last three are over the limit of 2."""
    index = OverlapIndex(None, NearIndex(0.4), template_limit=2)
    for number in range(5):
        index.add(Comparable.of(f"What is the remainder of {number} by seven, my friend?"))
    assert index.over_limit == 3
    found = find(index, "What is the remainder of 4 by seven, my friend?")
    assert found == [(4, "exact", 1.0), (0, "renumbered", 1.0), (1, "renumbered", 0.45)]
