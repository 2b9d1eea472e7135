r"""Changes an answer so that it is another answer, and rewrites it so that it stays the same.

Independent of the guard that they test (`verification/unread`): a number goes up by one, a sign is turned or put
before, a bracket of an interval is swapped, an element of a list is left out, repeated or added.
"""

import re
from collections.abc import Iterator

from forkpipe.verification.text import split_top

_SIGN_BEFORE = re.compile(r"(?:^|[(,={\[<>;:|$]|\\cup|\\leq?|\\geq?)\s*$")
_SINGLE_NUMBER = re.compile(r"(?:\d|\\[dt]?frac|\\sqrt|\\pi)(?:(?!\\text|\\le|\\ge|\\cup|\\in)[^,=<>_+:&-])*")
_BRACKETS = {"[": "(", "(": "[", "]": ")", ")": "]"}
_AROUND = ((r"\{", r"\}"), (r"\left\{", r"\right\}"), ("(", ")"), (r"\left(", r"\right)"))


def mutations(answer: str) -> list[tuple[str, str]]:
    """Return (kind, changed answer), each once."""
    changed = (*_numbers(answer), *_signs(answer), *_brackets(answer), *_elements(answer))
    return [(kind, text) for kind, text in dict.fromkeys(changed) if text.strip() and text != answer]


def _numbers(answer: str) -> Iterator[tuple[str, str]]:
    for match in re.finditer(r"\d+", answer):
        digits = match[0]
        written = (
            str(int(digits) + 1).zfill(len(digits)) if len(digits) < 30 else digits[:-1] + str(9 - int(digits[-1]))
        )
        yield "number", answer[: match.start()] + written + answer[match.end() :]


def _signs(answer: str) -> Iterator[tuple[str, str]]:
    for match in re.finditer(r"[+-]", answer):
        before, after = answer[: match.start()], answer[match.end() :]
        if after.lstrip().startswith(r"\infty") or (after[:1].isalpha() and re.search(r"[A-Za-z]{2}$", before)):
            continue  # there is one infinity at each end, and a hyphen is no sign
        turned = "+" if match[0] == "-" else "-"
        yield "sign", before + ("" if turned == "+" and _SIGN_BEFORE.search(before) else turned) + after
    if _SINGLE_NUMBER.fullmatch(answer.strip("$ ")):
        yield "sign", "-" + answer.strip("$ ")


def _brackets(answer: str) -> Iterator[tuple[str, str]]:
    if not re.search(r"\\infty|[\[\]]", answer) or "," not in answer or "matrix" in answer:
        return
    for match in re.finditer(r"[\[\]()]", answer):
        beside = answer[max(0, match.start() - 8) : match.start()] if match[0] in ")]" else answer[match.end() :][:8]
        if "infty" not in beside:
            yield "bracket", answer[: match.start()] + _BRACKETS[match[0]] + answer[match.end() :]


def _elements(answer: str) -> Iterator[tuple[str, str]]:
    inside, opening, closing = answer.strip("$ "), "", ""
    for left, right in _AROUND:
        if inside.startswith(left) and inside.endswith(right):
            inside, opening, closing = inside[len(left) : -len(right)], left, right
            break
    parts = split_top(inside, re.compile(r"\s*,\s*"))
    if len(parts) < 2 or not all(re.search(r"\w", part) for part in parts) or re.fullmatch(r"[\d,]+", inside):
        return
    if "begin" in answer or parts[0].count("(") != parts[0].count(")"):
        return
    for index in range(len(parts)):
        yield "element", opening + ", ".join(parts[:index] + parts[index + 1 :]) + closing
    if r"\{" not in opening:  # a set may name an element twice
        yield "element", opening + ", ".join([*parts, parts[0]]) + closing
    yield "element", opening + ", ".join([*parts, "7919"]) + closing


def rewrites(answer: str) -> list[tuple[str, str]]:
    """Return (kind, the same answer in another notation), each once."""
    core = answer.strip("$ ")
    written = [
        ("dollars", f"${core}$"),
        ("stop", f"{core}."),
        ("fractions", re.sub(r"\\[dt]?frac(?=\{)", r"\\dfrac", core)),
        ("brackets", re.sub(r"(?<![\\A-Za-z{^_])\((?=[^()]*\))([^()]*)\)", r"\\left(\1\\right)", core)),
        ("spaces", re.sub(r"\s*([+=,])\s*", r" \1 ", core)),
        ("thin spaces", re.sub(r",\s*(?!\d{3}(?!\d))", r",\\,", core)),
        ("minus", core.replace("-", "−")),
    ]
    return [(kind, text) for kind, text in dict.fromkeys(written) if text != answer]
