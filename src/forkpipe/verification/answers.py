r"""What a response answers: its final part, and the answer stated there.

Everything here is plain text work: pure, deterministic and linear in the length of the response. It never raises, since
a response can hold anything. What an answer *means* is the verifiers' business (`forkpipe.verification`).
"""

import re
from typing import Literal, NamedTuple

from forkpipe.core.responses import BOX_OR_BRACE, boxes_of, split_reasoning

FoundIn = Literal["box", "tag", "hash", "stated", "whole", "formula"]


class Answer(NamedTuple):
    """An answer and where in the final part it was found; `whole` where the final part is the answer, `formula` where
    it is the one formula of a short final part."""

    text: str
    found_in: FoundIn


_CONTROL_TOKEN = re.compile(r"<[|｜][^<>|｜\s]{1,40}[|｜]>|</s>")
"""What stays of a tokenizer's end marks when special tokens are not skipped, e.g. <|im_end|>."""

_SPACE = r"(?:\s|\$|\\[()\[\],;:! ]|\\q?quad)*"
_BETWEEN_LISTED = re.compile(
    rf"{_SPACE}(?:\\text\{{)?(?:\s*for\s+part\s+\(\w\)\s*)?"
    rf"(?:(?:,|;|&|and|or|\\text\{{\s*(?:and|or)\s*\}})\s*\}}?{_SPACE})+(?:[A-Za-z](?:_\{{?\w\}}?)?\s*={_SPACE})?"
)
"""What stands between boxes that are one answer together, e.g. ` \\quad \\text{and} \\quad `."""
_LONGEST_BETWEEN = 80

_ANSWER_TAG = re.compile(r"<answer>(?P<answer>[^<]*)</answer>", re.IGNORECASE)
_GSM8K = re.compile(r"(?:####|A:)\s*(?P<answer>[-+]?\s*(?:\\?\$)?\s*[-+]?\.?\d.*)")
_STATED = re.compile(
    r"(?:\bfinal\s+answer|\b(?:the|so|thus|hence|therefore)\s+(?:correct\s+)?answer|^[ \t*_#>-]{0,20}answer)"
    r"[*_]{0,3}\s*(?:is\b\s*[:：]?|[:：])(?:[*_]{1,3}(?=\s))?\s*"
    r"|^[ \t]*#{1,6}\s*\**(?:final\s+)?answer\**[ \t]*\n\s*(?=[*_]{2}|\$|\\[(\[]|[-+\d])",
    re.IGNORECASE | re.MULTILINE,
)
_FINAL = re.compile(r"\bfinal\s+answer\s+is\s*[:：]?\s*\$(?P<inline>[^$\n]{1,200})\$", re.IGNORECASE)
"""What states a final answer so plainly that it counts after a box, which then was a step."""
_NEAR = 13
"""Characters between two boxes of a gold answer that are one answer whatever stands there: ` papers and `."""
_LONGEST_STATED = 200
"""Characters. Longer statements are prose, of which nothing certain can be taken."""
_BOLD = re.compile(r"(?P<mark>\*\*|__)(?P<inside>[^\n]{1,200}?)(?P=mark)")
_MATH = re.compile(
    r"\$\$(?P<display>.{1,200}?)\$\$|\\\[(?P<square>.{1,200}?)\\\]|\\\((?P<round>.{1,200}?)\\\)|\$(?P<inline>[^$\n]{1,200})\$",
    re.DOTALL,
)
_CURRENCY = re.compile(r"\\?\$\s?\d[\d,]*(?:\.\d+)?(?=[.,;!*]*(?:\s+[A-Za-z]{2}|\s*$|\n))")
_ANOTHER = re.compile(r"\s*(?:,|;|and\b|or\b|&)\s*(?:and\b|or\b)?\s*(?:\$|\\\(|\\\[)", re.IGNORECASE)
_SENTENCE_END = re.compile(r"[.!?](?=\s|$)|\n")

_PROSE = re.compile(
    r"[<>]/?[a-z]{3,}|[A-Za-z]{3,}:\s|\b(?-i:I)\b(?!\s*[-+*/^=<>)])|\b(?:it|we|you|he|she|they|this|that|so|because|since|maybe|perhaps|let|cannot|not|my|is|are)\b"
    r"|[.!?。？！]\s+\S",
    re.IGNORECASE,
)
"""What stands in a sentence and in no answer; `i` alone is a number."""
_ANSWER_LIKE = re.compile(r"\d|\\[A-Za-z]|[=^_+*/<>{}()\[\]]|^.$")
_FEW_WORDS = re.compile(r"\w[\w'-]*(?:[\s,]+\w[\w'-]*){0,5}")
_DENIAL = re.compile(r"\b(?:not|no|never|cannot|maybe|perhaps|might|guess|wrong|incorrect)\b|n't|\?", re.IGNORECASE)
_MATH_AROUND = re.compile(r"\$[^$]+\$|\$\$[^$]+\$\$")
_NO_ANSWER = {
    *("", "nan", "n/a", "<na>", "null", "proof", "see solution", "see the solution", "see explanation", "see above"),
    *("see proof", "proof in solution", "answer not available", "not available", "no answer available"),
}
"""Gold answers of tables and of problems that ask for a proof."""


def extract_answer(response: str) -> str | None:
    r"""Return the answer that the final part of a response gives, stripped, or None where it gives none for certain.

    In this order: the last `\boxed{...}` or `\fbox{...}` with balanced braces that is not empty; the last
    `<answer>...</answer>`; a last line `#### 42` or `A: 42` as in GSM8K; the last "the (final) answer is X" or
    "Answer: X"; the whole final part where it is one short line and no sentence; the one formula of a short final
    part. A box
    that is never closed is no box, and a box within the reasoning is no answer. Boxes with nothing but "and", "or" or a
    comma between them are one answer.

    >>> extract_answer(r"<think>maybe \boxed{3}</think>So it is \boxed{ \frac{1}{2} }.")
    '\\frac{1}{2}'
    >>> extract_answer(r"\boxed{1} and \boxed{2}")
    '1, 2'
    >>> extract_answer("The final answer is $42$.")
    '42'
    >>> extract_answer("I do not know.") is None
    True
    """
    answer = find_answer(response)
    return answer.text if answer else None


def find_answer(response: str) -> Answer | None:
    r"""Return the answer of a response and where it was found; see `extract_answer`.

    >>> find_answer("Answer: 42"), find_answer(r"\frac{1}{2}"), find_answer("Perhaps it is 42.")
    (Answer(text='42', found_in='stated'), Answer(text='\\frac{1}{2}', found_in='whole'), None)
    """
    final = split_reasoning(response)[1]
    boxed = _last_box(final)
    if boxed is not None:
        return _stated_after(final, boxed) or Answer(boxed, "box")
    final = _CONTROL_TOKEN.sub("", final).strip()
    if any(_STATED.finditer(final)) or "boxed" in final:
        return _stated_answer(final)
    return _stated_answer(final) or _whole_answer(final) or _sole_formula(final)


def _stated_after(final: str, boxed: str) -> Answer | None:
    """Return a final answer in dollars that a response states after its last box, None where it states none."""
    last = final.rfind("boxed{" + boxed) if boxed else -1
    stated = list(_FINAL.finditer(final, max(0, last)))
    return _found(_plain(stated[-1]["inline"]), "stated") if last >= 0 and stated else None


def _whole_answer(final: str) -> Answer | None:
    """Take a final part that is nothing but an answer: one short line, without a box left open and without prose."""
    if not 0 < len(final) <= _LONGEST_STATED or "\n" in final or "boxed" in final or _PROSE.search(final):
        return None
    if _MATH_AROUND.fullmatch(final):
        return Answer(final, "whole")
    plain = _plain(final)
    return Answer(plain, "whole") if plain and (_ANSWER_LIKE.search(plain) or _FEW_WORDS.fullmatch(plain)) else None


def _sole_formula(final: str) -> Answer | None:
    """Take the one formula of a final part of one or two lines that denies nothing: `We find that $x < 3$.`"""
    if len(final) > _LONGEST_STATED or _DENIAL.search(final):
        return None
    formulas = list(_MATH.finditer(final))
    rest = _MATH.sub("", final)
    if len(formulas) != 1 or "$" in rest or re.search(r"\d", rest):
        return None
    return _found(_plain(next(group for group in formulas[0].groups() if group is not None)), "formula")


def gold_answer(gold: str) -> str:
    r"""Return the answer of a gold answer that may be a whole solution: what its last box, `#### ` line or, in a
    text of more than 200 characters, "the answer is" gives. Boxes near one another are one answer.

    >>> gold_answer(r"so $x = \boxed{4}$."), gold_answer("He has 3 + 4 = 7.\n#### 7"), gold_answer("7")
    ('4', '7', '7')
    >>> gold_answer(r"\boxed{1} papers and \boxed{2} bins")
    '1, 2'
    """
    is_solution = len(gold) > _LONGEST_STATED or any(mark in gold for mark in ("boxed", "fbox", "####"))
    answer = find_answer(gold) if is_solution else None
    if answer and answer.found_in == "box":
        return _last_box(gold, any_between=_NEAR) or answer.text
    return answer.text if answer else gold


def is_no_answer(gold: str) -> bool:
    """Say whether a gold answer says only that there is none to compare with.

    >>> is_no_answer("nan"), is_no_answer("See solution."), is_no_answer("no solution"), is_no_answer("NaN + 1")
    (True, True, False, False)
    """
    text = gold.strip()
    return " ".join((text.strip("$.*() ") or text).lower().split()) in _NO_ANSWER


def _last_box(text: str, any_between: int = -1) -> str | None:
    """Return what stands in the box that closes last and is not blank, or None.

    Boxes that are listed are one answer: whoever writes two boxes with "or" between them has not said the second. So
    are those with at most `any_between` characters between them.
    """
    boxes = boxes_of(text)
    if not boxes:
        return None
    start, _, inside = boxes.pop()
    listed = [_unboxed(inside)]
    while boxes and (
        start - boxes[-1].end <= any_between
        or (start - boxes[-1].end <= _LONGEST_BETWEEN and _BETWEEN_LISTED.fullmatch(text, boxes[-1].end, start))
    ):
        start, _, inside = boxes.pop()
        listed.append(_unboxed(inside))
    return ", ".join(dict.fromkeys(reversed(listed)))


def _unboxed(answer: str) -> str:
    r"""Take the answer out of a box that fills it, as in \boxed{\boxed{5}}."""
    while (box := BOX_OR_BRACE.match(answer)) and len(box[0]) > 1 and answer.endswith("}"):
        inside = answer[box.end() : -1]
        if "{" in inside or "}" in inside or not inside.strip():
            break  # may be two boxes side by side: leave it as it stands
        answer = inside.strip()
    return answer


def _stated_answer(final: str) -> Answer | None:
    """Return the answer that a final part without a box states, or None."""
    answer: str | None = None
    for tag in _ANSWER_TAG.finditer(final):
        answer = tag["answer"].strip() or answer
    if answer is not None:
        return Answer(answer, "tag") if len(answer) <= _LONGEST_STATED else None
    if gsm8k := _GSM8K.fullmatch(final[final.rfind("\n") + 1 :].strip()):
        return _found(_plain(gsm8k["answer"]), "hash")
    end: int | None = None
    for statement in _STATED.finditer(final):
        end = statement.end()
    return None if end is None else _found(_read_statement(final[end : end + 2 * _LONGEST_STATED]), "stated")


def _found(text: str | None, found_in: FoundIn) -> Answer | None:
    return None if text is None else Answer(text, found_in)


def _read_statement(rest: str) -> str | None:
    """Return what is stated at the start of `rest`: bold text, a formula, or the words up to the sentence's end."""
    if bold := _BOLD.match(rest):
        return _read_statement(bold["inside"])
    if currency := _CURRENCY.match(rest):
        return _plain(currency[0])
    if math := _MATH.match(rest):
        if _ANOTHER.match(rest, math.end()):
            return None  # "the answer is $3$ and $4$": a list in words is not certain
        return _plain(next(group for group in math.groups() if group is not None))
    return _plain(_SENTENCE_END.split(rest, maxsplit=1)[0])


def _plain(answer: str) -> str | None:
    """Strip an answer of what ends a sentence; None where nothing is left, it is prose, or it opens a box."""
    answer = answer.strip().strip("*_").rstrip(".,;:!").strip()
    if not answer or len(answer) > _LONGEST_STATED or "\\boxed" in answer or "\\fbox" in answer:
        return None
    return answer
