"""The program of a response: pure text work, nothing is compiled here."""

import re
from typing import NamedTuple

from forkpipe.core.responses import split_reasoning

PYTHON = ("python", "python3", "py", "py3", "")
"""Languages of fenced blocks that are taken; the last is a block without any."""
MOST_PROGRAMS = 8
"""Blocks of one response that are considered."""
LONGEST_PROGRAM = 1 << 20
"""Characters; a longer program is wrong without being run."""

_OPENING = re.compile(r"(?P<indent> {0,3})(?P<fence>`{3,}+|~{3,}+)[ \t]*+(?P<info>[^`\n]*+)$")
"""Possessive, so that a line costs no more than its length."""
_CODE_LINE = re.compile(
    r"(?:import [A-Za-z_]|from [\w.]+ import |def \w+\s*\(|class \w+\s*[(:]|@\w|print\(|[A-Za-z_][\w, .\[\]]* ?=[^=]"
    r"|(?:for|while|if|with|try|async)\b.*:\s*(?:#.*)?$)"
)


class Extracted(NamedTuple):
    """Programs of a response in order of preference, and where they were found: `fence` or `whole`."""

    programs: tuple[str, ...]
    found_in: str


def extract_program(response: str, entry: str | None = None) -> Extracted | None:
    r"""Return the program that the final part of a response gives, None where it gives none.

    The last fenced block that is tagged python or untagged is preferred, or the last that defines `entry`; which of
    them compiles is seen when it runs. A fence that is never closed counts to the end. Without any fence the whole
    final part is taken if it starts like code.

    >>> extract_program("<think>```x```</think>Here:\n```python\nprint(1)\n```\nDone.").programs
    ('print(1)\n',)
    >>> extract_program("I cannot solve this.") is None
    True
    """
    final = split_reasoning(response)[1]
    blocks = fenced_blocks(final)
    if blocks:
        taken = [code for language, code in blocks if language in PYTHON and code.strip()]
        if not taken:
            return None
        ordered = taken[: -MOST_PROGRAMS - 1 : -1]
        if entry:
            defines = re.compile(rf"\bdef\s+{re.escape(entry)}\b")
            ordered.sort(key=lambda code: defines.search(code) is None)  # stable: the last first among equals
        return Extracted(tuple(ordered), "fence")
    for line in final.splitlines():
        if line.strip() and not line.startswith(("#", '"""', "'''")):
            return Extracted((final + "\n",), "whole") if _CODE_LINE.match(line) else None
    return None


def fenced_blocks(text: str) -> list[tuple[str, str]]:
    r"""Return (language, content) of the fenced code blocks of a text, as CommonMark has them.

    >>> fenced_blocks("~~~py\na = '```'\n~~~\n```\nb")
    [('py', "a = '```'\n"), ('', 'b\n')]
    """
    blocks = []
    opening: re.Match[str] | None = None
    lines: list[str] = []
    for line in text.split("\n"):
        line = line.removesuffix("\r")
        if opening is None:
            opening = _OPENING.match(line)
            lines = []
        elif _closes(line, opening["fence"]):
            blocks.append((_language(opening["info"]), "".join(lines)))
            opening = None
        else:
            lines.append(_unindented(line, len(opening["indent"])) + "\n")
    if opening is not None:
        blocks.append((_language(opening["info"]), "".join(lines)))
    return blocks


def _closes(line: str, fence: str) -> bool:
    bare = line.strip()
    return len(bare) >= len(fence) and not bare.strip(fence[0]) and len(line) - len(line.lstrip(" ")) <= 3


def _unindented(line: str, indent: int) -> str:
    return line[min(indent, len(line) - len(line.lstrip(" "))) :]


def _language(info: str) -> str:
    words = info.strip().lower().replace("{", " ").replace("}", " ").replace(",", " ").split()
    return words[0].lstrip(".") if words else ""
