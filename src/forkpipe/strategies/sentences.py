r"""Find the sentences of a trace that make up its solution, without drawings, checks, second solutions and chatter."""

import re
from collections.abc import Iterator

from forkpipe.strategies.reading import ANY_TAG, split_thinking

LONGEST_READ = 60_000
"""At most this many characters of a trace are read, the last ones: a long exploration reaches its result at the end."""

_DRAWING = re.compile(r"\[asy\].{0,20000}?\[/asy\]|\\begin\{asy\}.{0,20000}?\\end\{asy\}|```.{0,20000}?```", re.DOTALL)
_HEADING = re.compile(r"^[\s#*>_-]{0,9}")
_SECOND = re.compile(
    r"(?im)^[\s#*_]{0,9}(?:(?:solution|method|approach|way|proof)\s{1,3}\#?(?:[2-9]|ii|two|b)\b"
    r"|(?:alternat\w{1,6}|another|second)\s(?:\w{1,12}\s)?(?:solution|method|approach|way|proof)\b|or[:.\s*]{0,4}$)"
)
_CHECK_HEADING = re.compile(
    r"(?i)^(?:\w{1,9}[ :.]{1,3}){0,2}(?:verif\w*|check\w*|confirm\w*|double[- ]check\w*|sanity)\b"
)
_CHECK = re.compile(
    r"(?i)^(?:\W|(?:and|but|so|now|wait|okay|then|finally|next|also|just|we can|i can|i'll|we|let me|let us|let's)\b)"
    r"{0,9}(?:(?:double[- ]?|re)?check(?:ing|s)?\b(?! (?:each|every|all|which|whether each|for each|the cases))"
    r"|verif(?:y|ying|ies)\b|to (?:verify|confirm|make sure|be sure)\b"
    r"|as a (?:check|sanity)|confirm(?:ing|s)?\b|make sure\b)"
)
_CHATTER = re.compile(
    r"(?i)\b(?:hmm|wait|maybe|perhaps|not sure|i wonder|let me think|let me see|might be|could be|could use|i recall)\b"
    r"|^\W{0,3}(?:alternatively|but (?:is|how|what|maybe)|is there)\b"
)
_ENDS = re.compile(r"(?<=[.!?:;])\s+(?=[A-Z\\$(\[*#0-9-])|\n+")
_ENUMERATION = re.compile(r"^(?:[\s_]{0,6}[-•+]\s)?(?:[\s*_]{0,6}\(?[0-9]{1,2}[.)](?=\s|$)[\s_]{0,6})?")
_CONTINUED = re.compile(r"^(?:\\\[|\\\]|\$\$|\\begin\{\w+\*?\}|\\end\{\w+\*?\})?\s*$")


def solution_of(text: str) -> str:
    """Return the part of a trace that is read: the first solution after the thinking, or the whole trace.

    >>> solution_of("<think>5? Or 7?</think>We add 2 and 3 and so we find that it is 5.\\nSolution 2\\nGuess 5.")
    'We add 2 and 3 and so we find that it is 5.\\n'
    """
    solution = _DRAWING.sub(" ", ANY_TAG.sub(" ", split_thinking(text)[1][-LONGEST_READ:]))
    for match in _SECOND.finditer(solution):
        if len(solution[: match.start()].split()) >= 10:
            return solution[: match.start()]
    return solution


def sentences(text: str) -> Iterator[str]:
    """Yield the sentences of a solution without checks and chatter."""
    checking = announced = False
    for piece in _ENDS.split(text):
        sentence = piece.strip()
        if not sentence or _CONTINUED.match(sentence):
            continue
        sentence = _ENUMERATION.sub("", sentence)
        if not sentence:
            continue
        bare = _HEADING.sub("", sentence)
        if sentence[0] in "#*":
            checking = bool(_CHECK_HEADING.match(bare))
        is_check = announced or bool(_CHECK.match(bare))
        announced = is_check and sentence.endswith(":")  # "Let me verify:" announces the next sentence
        if checking or is_check or _CHATTER.search(sentence):
            continue
        yield sentence
