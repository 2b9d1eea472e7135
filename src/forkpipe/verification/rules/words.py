r"""Words: answers in words, and words around an answer."""

import re

from forkpipe.verification.rules.base import Ask, Guard, Rule
from forkpipe.verification.rules.units import split_quantity

_SAME = (
    {
        r"\emptyset", "no solution", "no solutions", "no real solution", "no real solutions", "empty set", "none",
        "there are no solutions", "there is no solution", "no such numbers", "no answer",
    },
    {"undefined", "does not exist", "dne", "not defined", "doesn't exist"},
    {r"\infty", "infinity", "positive infinity", "infinitely many", "infinite"},
    {r"-\infty", "negative infinity", "minus infinity", "-infinity"},
    {
        r"\mathbb{R}", "all real numbers", "all reals", "all real", "r", r"(-\infty, \infty)", r"(-\infty,\infty)",
        r"x \in \mathbb{R}", r"all real x", "the set of real numbers", "all real values",
    },
    {"yes", "true"},
    {"no", "false"},
    {r"\pi", "pi"},
)  # fmt: skip
_PROSE = re.compile(r"[A-Za-z][A-Za-z' -]*[A-Za-z]")
_PUNCTUATION = re.compile(r"(?<=[A-Za-z])[,.!?;:]+")
_ARTICLE = re.compile(r"^(?:the|an?)\s+|\s+(?:is|are)$")
_CHOICE = re.compile(
    r"(?:\(\s*(?P<bracketed>[A-J])\s*\)|(?P<dotted>[A-J])\s*[).:])(?!\s*(?:and\b|or\b|[,;&(]))\s*(?P<content>.*)|(?P<bare>[A-J])(?:\s+[A-Za-z]{2}.*)?"
)
_ASSERTED = re.compile(
    r"(?:(?:réponse|answer)\s+(?:est|is)\s+|for\s+sure\s+)?\(?(?P<letter>[A-J])\)?\s*[,.。，;]?\s*"
    r"(?:non\b|not\b|nicht\b|不是|it\s+(?:can't|cannot|doesn't|isn't)\b).*"
)
"""A choice with a denial of the others: `D, it can't be A or B`, `C non A`."""
_LABELLED = re.compile(r"[A-J]\s*[).:].*\b[A-J]\s*[).:]")
"""Values of several letters, as in `A: 3, B: 5`, are no choice."""
_CHOICES = re.compile(r"\(?(?:[A-H]|[①-⑳])\)?(?:\s*(?:,|;|&|and)?\s*\(?(?:[A-H]|[①-⑳])\)?)+")
_MATH_WORDS = {
    "sin", "cos", "tan", "cot", "sec", "csc", "log", "ln", "exp", "lim", "max", "min", "mod", "gcd", "lcm",
    "det", "and", "or", "infinity", "pi", "sqrt", "arcsin", "arccos", "arctan", "if", "for", "where", "when",
    "otherwise", "even", "odd", "of", "to", "in", "base", "except", "am", "pm", "noon", "midnight", "more",
    "less",
}  # fmt: skip
_LEAD = re.compile(
    r"(?:(?:\\approx|\\sim|:|\ban?\s+(?=[a-z]{3})|\b(?:it|this|that|so|thus|hence|therefore|the|answer|value|total|final|result|sum|is|are|was|be|about|"
    r"approximately|approx\.?|around|exactly|roughly|equals?|equal|only|all|just|there|we|get|have|both|number|either|"
    r"gives?|must)\b)[\s:,]*)+",
    re.IGNORECASE,
)
_SENTENCE = re.compile(
    r"(?!.*\b(?:not|never|no|nor|if|than|less|more)\b)[A-Z][a-z]* .*\b(?:is|are|equals)\s+"
    r"(-?(?:[\d.,{}/^]|\\(?:frac|pi|sqrt))+)"
)
"""A sentence that ends in a number: `The largest n is 34`."""
_TRAIL = re.compile(r"\s+((?:\s*\b(?![abcxyzmnpq]+\b)[A-Za-z][A-Za-z'-]{2,}\.?|\s*\b(?:of|in|per)\b){1,6})$")
_OTHER_SCRIPT = r"(?:(?![\x00-\u02ff\u0370-\u03ff])[^\W\d_]){2}"
_WORDS = re.compile(rf"(?<![\\A-Za-z])[A-Za-z]{{3,}}|{_OTHER_SCRIPT}")
"""A word of a language, not of LaTeX."""
_SAYS = re.compile(rf"=|\b(?:is|it's|est|so)\b|{_OTHER_SCRIPT}")
_LAST_NUMBER = re.compile(r"(?<![\d.,/])-?[0-9][0-9,]*(?:\.[0-9]+|/[0-9]+)?(?![\d^/])")
_DENIAL = re.compile(r"\b(?:not|no|never|nor|neither|cannot|less|more|than|least|most|before|maybe|if)\b|n't")
_NUMERIC = re.compile(r"[-+]?(?:[\d.,\s/:]|\\frac|\\sqrt|\\pi|\\pm|\\times|\\cdot|[{}()^*+-])*")


def same_words(gold: str, prediction: str, ask: Ask) -> bool:
    r"""Compare words without regard to case, articles and a few synonyms.

    >>> same_words("no solution", r"\emptyset", str.__eq__), same_words("Ellipse", "an ellipse", str.__eq__)
    (True, True)
    >>> same_words("x", "X", str.__eq__), same_words("odd", "oddd", str.__eq__)
    (False, False)
    """
    gold, prediction = (" ".join(_PUNCTUATION.sub("", side).lower().split()) for side in (gold, prediction))
    if any(gold in group and prediction in group for group in _SAME):
        return True
    if not (_PROSE.fullmatch(gold) and _PROSE.fullmatch(prediction)):
        return False
    return _ARTICLE.sub("", gold).replace("-", " ") == _ARTICLE.sub("", prediction).replace("-", " ")


def choice(gold: str, prediction: str, ask: Ask) -> bool:
    r"""Compare the letters of a choice, with or without brackets and what is chosen.

    >>> choice("(C) 12", "C", str.__eq__), choice("D", "D. 45", str.__eq__), choice("(B) 12", "12", str.__eq__)
    (True, True, True)
    >>> choice("(B) 12", "(C) 12", str.__eq__), choice("A", "A + 1", str.__eq__)
    (False, False)
    >>> choice("D", "D, it can't be A or B", str.__eq__), choice("A", "D, it can't be A or B", str.__eq__)
    (True, False)
    """
    if re.fullmatch(r"\(?[A-J]\)?", gold) and (asserted := _ASSERTED.fullmatch(prediction)):
        return asserted["letter"] == gold.strip("()")
    if _LABELLED.search(gold) or _LABELLED.search(prediction):
        return False
    expected, given = _CHOICE.fullmatch(gold), _CHOICE.fullmatch(prediction)
    if expected and given:
        contents = expected["content"], given["content"]
        same = not all(contents) or contents[0] == contents[1] or ask(*contents)
        return _letter(expected) == _letter(given) and same
    if expected and expected["content"]:
        return ask(expected["content"], prediction)
    return given is not None and bool(given["content"]) and ask(gold, given["content"])


def _letter(choice: re.Match[str]) -> str:
    return str(choice["bracketed"] or choice["dotted"] or choice["bare"])


def choices(gold: str, prediction: str, ask: Ask) -> bool:
    """Compare several choices or numbered statements, in any order and however they are joined.

    >>> choices("A, C, D", "ACD", str.__eq__), choices("①③", "③ and ①", str.__eq__), choices("BC", "B", str.__eq__)
    (True, True, False)
    """
    expected = _chosen(gold)
    return expected is not None and expected == _chosen(prediction)


def _chosen(text: str) -> set[str] | None:
    letters = re.findall(r"[A-H]|[①-⑳]", text) if _CHOICES.fullmatch(text) else []
    return set(letters) if len(letters) > 1 and len(set(letters)) == len(letters) else None


def words_around(gold: str, prediction: str, ask: Ask) -> bool:
    r"""Take away words around a number: what is counted, "about", "the answer is".

    >>> words_around("42 students", "42", str.__eq__), words_around("5", "the answer is 5", str.__eq__)
    (True, True)
    >>> words_around("5 apples", "5 pears", str.__eq__), words_around("2x", "x", str.__eq__)
    (False, False)
    """
    (value, counted), (other, other_counted) = _without_words(gold), _without_words(prediction)
    if (value, other) == (gold, prediction) or (counted and other_counted and counted != other_counted):
        return False
    return ask(value, other)


def _without_words(text: str) -> tuple[str, str]:
    """Return the number in the middle and the words after it; the text and "" where there is no such number."""
    rest = text
    if sentence := _SENTENCE.fullmatch(text):
        rest = sentence[1]
    elif lead := _LEAD.match(text):
        rest = text[lead.end() :].strip()
    counted = ""
    if (
        (trail := _TRAIL.search(rest))
        and _NUMERIC.fullmatch(rest[: trail.start()])
        and re.search(r"\d", rest[: trail.start()])
    ):
        words = trail[1].lower().split()
        if split_quantity(rest)[1] is None and not set(words) & _MATH_WORDS:
            counted, rest = " ".join(words), rest[: trail.start()].strip()
    return (rest, counted) if rest and re.search(r"\d|\\", rest) else (text, "")


def last_number(gold: str, prediction: str, ask: Ask) -> bool:
    """Compare the number with which a sentence ends; only of a prediction, and only where the gold answer is a number.

    In a sentence of five words or more that begins with a capital and denies nothing, a single number counts too.

    >>> last_number("105", "réponse est (35 + 70 = 105)", str.__eq__), last_number("6", "3 = 6, so 6 = 7", str.__eq__)
    (True, False)
    >>> last_number("3", "5 men and 3 women", str.__eq__), last_number("3", "Jane began 3 hours ago", str.__eq__)
    (False, True)
    >>> last_number("3", "Jane did not begin 3 hours ago", str.__eq__)
    False
    """
    if not _NUMERIC.fullmatch(gold) or not _WORDS.search(prediction):
        return False
    numbers = _LAST_NUMBER.findall(prediction)
    alone = (
        re.findall(r"\d+", prediction) == [gold]
        and re.fullmatch(r"[A-Z][a-z]+(?: [A-Za-z\d]+){4,}", prediction) is not None
        and not _DENIAL.search(prediction)
    )
    return alone or (bool(numbers) and _SAYS.search(prediction) is not None and ask(gold, numbers[-1]))


def other_choice(gold: str, prediction: str) -> bool:
    """Say whether both name a choice by a letter in brackets, and not the same.

    >>> other_choice("(D) 45", "(E) 45"), other_choice("(D) 45", "45")
    (True, False)
    """
    expected, chosen = (re.match(r"\(([A-J])\)", side) for side in (gold, prediction))
    return expected is not None and chosen is not None and expected[1] != chosen[1]


RULES = (
    Rule("same-words", same_words),
    Rule("choice", choice),
    Rule("choices", choices),
    Rule("words-around", words_around),
    Rule("last-number", last_number),
)
GUARDS = (Guard("other-choice", other_choice, ("choices",)),)
