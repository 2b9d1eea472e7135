"""The parts of a response, and that verification and clustering take the same ones."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forkpipe.core.responses import boxes_of, canonical, split_reasoning
from forkpipe.strategies.clusterer import StepClusterer
from forkpipe.strategies.reading import split_boxed, split_thinking
from forkpipe.verification.answers import extract_answer

REASONING = r"First I try a table, but \boxed{3} is wrong, so I count pairs instead."
SOLUTION = r"There are nine points, and each pair of them makes one line, so the count is \boxed{36}."

FORMS = [
    "<think>{r}</think>{s}",
    "{r}</think>\n\n{s}",  # the prompt opened the reasoning
    "<think2>{r}</think>{s}",
    "<think>{r}</think2>{s}",
    "<THINKING>{r}</thinking>{s}",
    "<thought>{r}</thought>{s}",
    "<reasoning>{r}</reasoning>\n{s}",
    "<|begin_of_thought|>{r}<|end_of_thought|><|begin_of_solution|>{s}<|end_of_solution|>",
    "<|begin_of_thought|>{r}<|begin_of_solution|>{s}<|end_of_solution|><|im_end|>",
    "{r}<|im_start|>answer\n{s}",
    "[THINK]{r}[/THINK]{s}",
    "<seed:think>{r}</seed:think>{s}",
    "◁think▷{r}◁/think▷{s}",
    "<|channel|>analysis<|message|>{r}<|end|><|start|>assistant<|channel|>final<|message|>{s}<|return|>",
    "analysis{r}assistantfinal{s}",  # of gpt-oss, by a server that left its special tokens out
    "analysis{r}assistantcommentaryassistantfinal{s}",
    "<|im_start|>think\n{r}<|im_start|>answer\n{s}",
    "<|im_start|><think3>\n{r}</think>{s}",
    "{s}<think>{r}",  # reasoning that the token limit cut
]


@pytest.mark.parametrize("form", FORMS)
def test_verification_and_clustering_read_the_same_solution(form):
    response = form.format(r=REASONING, s=SOLUTION)
    assert split_reasoning(response)[1] == SOLUTION
    assert split_thinking(response)[1] == SOLUTION
    assert REASONING in split_thinking(response)[0]
    assert extract_answer(response) == "36"


@pytest.mark.parametrize("form", FORMS)
def test_reasoning_has_one_form_for_students_whatever_the_source_wrote(form):
    expected = f"{REASONING}\n</think>\n{SOLUTION}"
    written = form.format(r=REASONING, s=SOLUTION)
    assert canonical(written) == expected
    assert canonical(written, reasoning=f"\n{REASONING}\n") == expected  # a server that sends it twice
    marked = (form.partition("{s}")[0] or "{r}").format(r=REASONING)
    assert canonical(SOLUTION, reasoning=marked) == expected
    assert canonical(expected) == expected


@pytest.mark.parametrize(
    "prose",
    [
        "analysis of the cases gives 36.",
        "analysis: there are nine points, so 36.",
        "Analysis shows that 36 is right.",
        "analysis, and the final answer is 36",
        "analysisResult = count(9)\nprint(analysisResult)",
        "analysis(9) is 36",
        "Our analysis ends; the word assistantfinal is no mark here.",
        "analysis of the token assistantfinal",
        "The assistantfinal channel holds 36.",
    ],
)
def test_prose_about_an_analysis_is_no_reasoning(prose):
    assert split_reasoning(prose) == ("", prose)
    assert canonical(prose) == prose


def test_reasoning_of_gpt_oss_without_special_tokens_that_was_cut_has_no_solution():
    assert split_reasoning("analysisWe need to count pairs, so \\boxed{3") == (
        "We need to count pairs, so \\boxed{3",
        "",
    )
    assert split_reasoning("analysisFirst a table.assistantanalysisThen pairs.assistantfinal36") == (
        "First a table.Then pairs.",
        "36",
    )


def test_a_response_without_reasoning_stays_as_it_is():
    assert canonical("  so 5\n") == "  so 5\n"
    assert canonical("<think>\n\n</think>\n\nso 5") == "so 5"
    assert canonical("so 5", "first this") == "first this\n</think>\nso 5"
    assert canonical("<think>b</think>so 5", "a") == "a\nb\n</think>\nso 5"


@pytest.mark.parametrize("form", FORMS)
def test_reasoning_does_not_move_a_trace_to_another_cluster(form):
    other = (
        r"By induction on n: if $a_n = n^2$ then $a_{n+1} = a_n + 2 n + 1 = (n+1)^2$, and $a_6 = 36$, so \boxed{36}."
    )
    problem = "How many lines join nine points?"
    bare, marked = [SOLUTION, other], [form.format(r=REASONING, s=SOLUTION), other]
    assert StepClusterer().distances(problem, marked).tolist() == StepClusterer().distances(problem, bare).tolist()


def test_a_trace_with_hardly_a_solution_is_compared_by_its_reasoning():
    response = f"<reasoning>{REASONING}</reasoning> It is 36."
    assert split_thinking(response) == ("", response)


@pytest.mark.parametrize(
    ("text", "outside", "boxes"),
    [
        (r"a \boxed{1} b \fbox{2} c", "a   b   c", ["1", "2"]),
        (r"\boxed{\boxed{5}}", " ", [r"\boxed{5}"]),
        (r"a \boxed{\{1\}}", "a  ", [r"\{1\}"]),
        (r"a \boxed{1 \\} b", "a   b", [r"1 \\"]),  # a line break before the closing brace
        (r"a \boxed{} b", "a  b", []),
        (r"a \fbox{7 and \boxed{8} b", "a 7 and   b", ["8"]),
        ("no box {at} all", "no box {at} all", []),
    ],
)
def test_boxes_are_cut_out(text, outside, boxes):
    assert split_boxed(text) == (outside, boxes)
    assert [box.inside for box in boxes_of(text)] == boxes


PIECES = st.sampled_from([r"\boxed{", r"\fbox {", "{", "}", r"\{", r"\}", r"\\", "x", " ", "<think>", "</think>"])


@given(st.lists(PIECES, max_size=30).map("".join))
def test_boxes_are_balanced_ordered_and_not_blank(text):
    end = 0
    for box in boxes_of(text):
        assert end <= box.start < box.end
        assert text[box.start : box.end].endswith("}")
        assert text[box.start] == "\\"
        assert box.inside
        assert box.inside in text[box.start : box.end]
        end = box.end


@given(st.lists(PIECES, max_size=30).map("".join))
def test_no_word_is_lost_or_made(text):
    reasoning, solution = split_reasoning(text)
    assert f"{reasoning}{solution}".count("x") == text.count("x")
    assert "<think>" not in solution
    assert "</think>" not in solution
