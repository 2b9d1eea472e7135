r"""The parts of a response: its reasoning, its solution, and the boxes that hold answers.

Verification looks for the answer in the solution, clustering compares solutions: both take them from here. All of it is
pure, deterministic and linear in the length of the response.
"""

import re
from typing import NamedTuple

_CHANNEL = r"(?:<\|end\|>)?(?:<\|start\|>assistant)?<\|channel\|>"  # of gpt-oss
_OPENING = re.compile(
    r"<(?:seed:)?think>|<thinking>|<thought>|<reasoning>|<\|begin_of_thought\|>|(?-i:\[THINK\])|◁think▷"
    rf"|{_CHANNEL}(?:analysis|commentary)<\|message\|>",
    re.IGNORECASE,
)
# The solution starts after the last of these. The format of s1 ends its thinking by opening the answer.
_CLOSING = re.compile(
    r"</(?:seed:)?think\d*>|</thinking>|</thought>|</reasoning>|<\|end_of_thought\|>|(?-i:\[/THINK\])|◁/think▷"
    rf"|<\|begin_of_solution\|>|<\|im_start\|>answer\b|{_CHANNEL}final<\|message\|>",
    re.IGNORECASE,
)
# A forking tag has no partner that closes it, so it does not open reasoning, but it is no part of it either.
_TAG = r"(?:<\|im_start\|>)?<think\d+>|<\|im_start\|>think\n"
_MARKS = re.compile(f"{_OPENING.pattern}|{_CLOSING.pattern}|{_TAG}", re.IGNORECASE)
_END_OF_SOLUTION = re.compile(r"<\|end_of_solution\|>|<\|return\|>|<\|end\|>\s*\Z")

_BARE_START = re.compile(r"\s*analysis(?=[^\s,.:;!?)'’-])")
_BARE_FINAL = "assistantfinal"
_BARE_CUT = re.compile(r"\s*analysis(?=(?:I|[A-Z][a-z'’]+),? [a-z])")
_BARE_NEXT = re.compile(r"assistant(analysis|commentary|final)")
"""The channels of gpt-oss where a server left out its special tokens: `analysis2 + 2 is 4assistantfinalIt is 4.`"""

END_OF_REASONING = "</think>"
"""What ends the reasoning of a trace in a trace set."""

BOX_OR_BRACE = re.compile(r"\\(?:boxed|fbox)\s*\{|[{}]")


class Box(NamedTuple):
    r"""A `\boxed{...}` or `\fbox{...}`: where it starts and ends, and what it holds, stripped."""

    start: int
    end: int
    inside: str


def split_reasoning(text: str) -> tuple[str, str]:
    """Split a response into its reasoning and its solution, both stripped and without the marks around them.

    The solution starts after the last mark that closes the reasoning: `</think>`, `</reasoning>`, `[/THINK]`,
    `<|end_of_thought|>`, `<|begin_of_solution|>`, the final channel of gpt-oss, or `<|im_start|>answer` of the s1
    format. Reasoning that is opened and never closed goes on to the end. A response without marks is all solution.
    Forking tags (`<think1>`) are not such marks.

    The channels of gpt-oss are known without their special tokens too, where a text begins with "analysis" and has
    "assistantfinal" later. Prose that begins with the word "analysis" is none.

    >>> split_reasoning("<think>2 + 2 is 4</think>The answer is 4.")
    ('2 + 2 is 4', 'The answer is 4.')
    >>> split_reasoning("<think>2 + 2 is")
    ('2 + 2 is', '')
    >>> split_reasoning("analysis2 + 2 is 4assistantfinalIt is 4."), split_reasoning("analysis of 2 + 2: 4")[1]
    (('2 + 2 is 4', 'It is 4.'), 'analysis of 2 + 2: 4')
    """
    text = _with_channels(text)
    start = 0
    for closing in _CLOSING.finditer(text):
        start = closing.end()
    before, solution = text[:start], text[start:]
    never_closed = ""
    if opening := _OPENING.search(solution):
        solution, never_closed = solution[: opening.start()], solution[opening.end() :]
    reasoning = _MARKS.sub("", f"{before}\n{never_closed}")
    return reasoning.strip(), _END_OF_SOLUTION.split(solution, maxsplit=1)[0].strip()


def _with_channels(text: str) -> str:
    """Write the special tokens of gpt-oss into a text from which a server left them out; others stay as they are."""
    start = _BARE_START.match(text) if _BARE_FINAL in text else _BARE_CUT.match(text)
    if start is None:
        return text
    rest = _BARE_NEXT.sub(r"<|start|>assistant<|channel|>\1<|message|>", text[start.end() :])
    return f"<|channel|>analysis<|message|>{rest}"


def canonical(text: str, reasoning: str = "") -> str:
    """Return a response in the form that students learn: reasoning, a line `</think>`, solution.

    No mark opens the reasoning, as a forking tag does that. A response without reasoning or marks is returned as it is.

    Args:
        text: the response, whose own marks may be any that `split_reasoning` knows.
        reasoning: what the engine returned separately; reasoning that `text` repeats is kept once.

    >>> canonical("[THINK]2 + 2 is 4[/THINK]It is 4.") == canonical("It is 4.", "2 + 2 is 4")
    True
    """
    within, solution = split_reasoning(text)
    if not reasoning.strip() and solution == text.strip():
        return text
    parts = list(dict.fromkeys(filter(None, (_MARKS.sub("", _with_channels(reasoning)).strip(), within))))
    return f"\n{END_OF_REASONING}\n".join(["\n".join(parts), solution]) if parts else solution


def opening_at_end(prompt: str) -> str:
    """Return the mark that opens reasoning at the end of a prompt, with the white space around it; empty if none.

    >>> opening_at_end("<|Assistant|><think>\\n")
    '<think>\\n'
    """
    at_end = [opening for opening in _OPENING.finditer(prompt) if not prompt[opening.end() :].strip()]
    return prompt[at_end[0].start() :] if at_end else ""


def boxes_of(text: str) -> list[Box]:
    r"""Return every outermost box that is not blank, in order. A box that is never closed is none.

    >>> boxes_of(r"\boxed{\frac{1}{2}} or \fbox{}")
    [Box(start=0, end=19, inside='\\frac{1}{2}')]

    One pass with a stack of open braces, so that thousands of unclosed boxes cost no more than as many words.
    """
    boxes: list[Box] = []
    first_box = min((at for at in (text.find("\\boxed"), text.find("\\fbox")) if at >= 0), default=len(text))
    open_braces: list[tuple[int, int] | None] = []  # where a box and its inside start; None for any other brace
    for match in BOX_OR_BRACE.finditer(text, first_box):  # braces before the first box cannot matter
        if len(match[0]) > 1:
            open_braces.append(match.span())
            continue
        if _is_escaped(text, match.start()):
            continue
        if match[0] == "{":
            open_braces.append(None)
            continue
        opening = open_braces.pop() if open_braces else None
        if opening is None or not (inside := text[opening[1] : match.start()].strip()):
            continue
        while boxes and boxes[-1].start > opening[0]:  # boxes within this one
            boxes.pop()
        boxes.append(Box(opening[0], match.end(), inside))
    return boxes


def _is_escaped(text: str, index: int) -> bool:
    r"""Whether an odd number of backslashes stands before `index`: `\{` writes a brace and opens none."""
    start = index
    while start > 0 and text[start - 1] == "\\":
        start -= 1
    return (index - start) % 2 == 1
