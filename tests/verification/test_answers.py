"""Extraction by hand-written cases, and by texts nobody would write."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forkpipe.core.responses import split_reasoning
from forkpipe.verification.answers import extract_answer
from forkpipe.verification.plain import parse_integer


@pytest.mark.parametrize(
    ("text", "reasoning", "final"),
    [
        ("just text", "", "just text"),
        ("<think>a</think>b", "a", "b"),
        ("a\n</think>\n\nb", "a", "b"),  # the opening tag was part of the prompt
        ("<think>a</think>b<think>c</think>d", "abc", "d"),
        ("<think>never closed", "never closed", ""),
        ("<think>a</think>b<think>never closed", "a\nnever closed", "b"),
        (
            "<|begin_of_thought|>a<|end_of_thought|>\n<|begin_of_solution|>b<|end_of_solution|>c",
            "a",
            "b",
        ),
        ("<|begin_of_thought|>a", "a", ""),
        ("a<|im_start|>answer\nb", "a", "b"),
        ("<think2>a \\boxed{5}", "", "<think2>a \\boxed{5}"),  # forking tags are marks, not brackets
        ("", "", ""),
    ],
)
def test_split_reasoning(text: str, reasoning: str, final: str) -> None:
    found_reasoning, found_final = split_reasoning(text)
    assert (found_reasoning, found_final) == (reasoning, final)


@pytest.mark.parametrize(
    ("response", "answer"),
    [
        (r"\boxed{ 5 }", "5"),
        (r"\fbox{5}", "5"),
        (r"\boxed {5}", "5"),
        (r"\\boxed{5}", "5"),  # escaped twice on its way through JSON
        (r"so \boxed{3}, no: it is \boxed{4}.", "4"),
        (r"\boxed{\frac{1}{2}}", r"\frac{1}{2}"),
        (r"\boxed{\{1, 2\}}", r"\{1, 2\}"),
        (r"\boxed{\left\{ x \right.}", r"\left\{ x \right."),
        (r"\boxed{a \\}", r"a \\"),  # a line break before the closing brace, not an escaped brace
        (r"\boxed{\boxed{5}}", "5"),
        (r"\boxed{1}\quad \text{and} \quad\boxed{2}", "1, 2"),
        (r"\(\boxed{3}\) or \(\boxed{5}\)", "3, 5"),
        (r"\boxed{3}, that is \boxed{4}", "4"),
        (r"\boxed{3}, \boxed{3}", "3"),
        (r"{ \frac{ \boxed{5}", "5"),  # other braces left open
        (r"\boxed{5 and so on", None),
        (r"\boxed{7} but rather \boxed{5", "7"),
        (r"Put the answer in \boxed{}: \boxed{8}. I used \boxed{ }.", "8"),
        (r"\boxed{}", None),
        (r"<think>\boxed{3}</think>\boxed{4}", "4"),
        (r"<think>\boxed{3}</think>I cannot say.", None),
        (r"<think>\boxed{3}", None),
        (r"<think>\boxed{3}</think>", None),
        (r"<|begin_of_thought|>x<|end_of_thought|><|begin_of_solution|>\boxed{4}<|end_of_solution|>", "4"),
        (r"<think1>7 sq 15 \boxed{ 11 }", "11"),
        ("The final answer is 42.", "42"),
        ("So the answer is $\\frac{1}{2}$.", r"\frac{1}{2}"),
        ("The answer is: \\(x + 1\\), as was to be shown.", "x + 1"),
        ("The final answer is:\n\n$$\n5\n$$", "5"),
        ("**Final Answer:** 42", "42"),
        ("**Answer: 42**", "42"),
        ("Answer: **42** apples", "42"),
        ("The answer is $18.", "$18"),
        ("The answer is $18 and she has $5 left.", "$18"),
        ("The answer is 3.5.", "3.5"),
        ("The answer is 5.\nWait, the answer is 6.", "6"),
        ("The answer is 5.<|im_end|>", "5"),
        ("We add.\n\n### Final Answer\n\n**73**", "73"),
        ("## Answer\n\nThe value is $5$.", "5"),
        ("1+i", "1+i"),
        ("The answer is $3$ and $4$.", None),
        (r"The answer is \boxed{5", None),
        ("The answer is " + "because " * 50, None),
        ("The answer is", None),
        ("an answer: 5", None),
        ("He buys 3 * 4 = <<3*4=12>>12 apples.\n#### 12", "12"),
        ("#### 1,200<|endoftext|>", "1,200"),
        ("#### Step 4: add\n4 + 4 is 8", None),
        ("<think>a</think><answer> 42 </answer>", "42"),
        ("It is 42.", None),
        ("", None),
        ("   \n", None),
        ("\x00\ud800", None),
    ],
)
def test_extract_answer(response: str, answer: str | None) -> None:
    assert extract_answer(response) == answer


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5", 5),
        ("-5", -5),
        ("+5", 5),
        ("−5", -5),
        ("073", 73),
        ("0", 0),
        ("5.", 5),
        ("5.0", 5),
        ("1,234,567", 1234567),
        ("1{,}000", 1000),
        (r"11,\!111", 11111),
        (r"10\,000", 10000),
        ("$5$", 5),
        ("$$ 5 $$", 5),
        (r"\(5\)", 5),
        (r"\$5", 5),
        ("$1,000.00", 1000),
        (r"\text{ 5 }", 5),
        (r"$\mathrm{5}$", 5),
        ("1,00", None),
        ("0,001", None),  # a decimal comma?
        ("1 000", None),
        ("5.5", None),
        ("5%", None),
        (r"5^\circ", None),
        ("5 apples", None),
        ("1e3", None),
        ("x", None),
        ("", None),
        ("$", None),
        ("٣", None),  # int() would take it
        ("9" * 5000, None),
    ],
)
def test_parse_integer(text: str, value: int | None) -> None:
    assert parse_integer(text) == value


_PIECES = st.sampled_from(
    [
        *("\\boxed{", "\\fbox {", "{", "}", "\\", "\\{", "\\text{", "$", "and", ",", "**", "\n", " 5", "####"),
        *("<think>", "</think>", "<answer>", "</answer>", "the answer is", "Answer:", "<|im_end|>", "\x00", "\ud800"),
    ]
)
_BALANCED = st.recursive(
    st.text(st.characters(exclude_characters="\\{}<$", categories=["L", "N", "P", "Zs"]), max_size=5),
    lambda inner: st.lists(inner, max_size=3).map(lambda parts: "{" + "".join(parts) + "}"),
    max_leaves=6,
)


@given(st.one_of(st.text(), st.lists(_PIECES, max_size=40).map("".join)))
def test_nothing_makes_it_raise(response: str) -> None:
    answer = extract_answer(response)
    assert answer is None or answer == answer.strip() != ""
    parse_integer(response)


@given(st.text(st.characters(exclude_characters="<")), _BALANCED.filter(lambda text: text.strip() != ""))
def test_what_is_boxed_last_is_found(before: str, inside: str) -> None:
    assert extract_answer(before + "\\boxed{" + inside + "}") == inside.strip()


@given(st.integers(min_value=-(10**12), max_value=10**12))
def test_written_integers_are_read(value: int) -> None:
    assert parse_integer(str(value)) == parse_integer(f"$ {value:,} $") == value


_REPEATED = [
    *("\\boxed{", "\\boxed{}", "\\boxed{1},", "\\text{", "{", "}", "\\", "$", " ", "\n", "*", "answer **", "####"),
    *("the ", "final ", "the answer is ", "<think>", "<answer>", "</s>", "< "),
]


@pytest.mark.parametrize("piece", _REPEATED)
def test_time_is_linear(piece: str) -> None:
    start = time.perf_counter()
    extract_answer(piece * (1_000_000 // len(piece)))
    assert time.perf_counter() - start < 3  # quadratic would take minutes
