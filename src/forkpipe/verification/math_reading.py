r"""What math-verify reads in an answer. Runs in the worker processes, where nothing it does can hang the caller.

It has to be told what is mathematics: gold goes in as `$gold$`, the prediction as `\boxed{prediction}`. Passed as they
come, it rejects most true pairs. And it strips units, for which it takes the last letters of `2t` and `a + b + 2c` too,
so that `2` would equal `2t`: `as_latex` keeps it from that, which costs plain one-letter units (`5m` is not `5`,
`5\text{ m}` is).
"""

import re
from functools import lru_cache
from typing import Any

from forkpipe.verification import values

_LAST_STOP = re.compile(r"(?:\\[,;:! ]|[.,;\s])+$")
_THOUSANDS = re.compile(r"(?<=[0-9])(?:,\\!|\{,\})(?=[0-9]{3}(?![0-9]))")
_LETTER_UNIT = re.compile(r"(?<=[0-9}\s])(t|h|c|l|s|g|m|d|ab|bc)$")
"""What math-verify strips from the end as a unit and what is as likely to be a variable."""
_FUNCTIONS = "arcsin|arccos|arctan|sinh|cosh|tanh|sin|cos|tan|cot|sec|csc|ln|log|exp"
_PLAIN_FUNCTION = re.compile(rf"(?<![\\A-Za-z])({_FUNCTIONS})(?=\s*[(^{{\\\d]|\s+[a-z]\b)")
_FACTOR_AFTER = re.compile(rf"\\({_FUNCTIONS})\s*(\d*\s*[a-z]|\\[a-z]+)\s*\\(cdot|times)(?![a-z])")
r"""math-verify reads `\cot t \cdot 2` as the cotangent of 2t."""
_BARE_FRACTION = re.compile(r"\\([dtc]?frac)\s*(\\(?:pi|theta|alpha|beta|phi|lambda|omega))\s*(\d|[a-z](?![a-z])|\{)")
_NESTED_INDEX = re.compile(r"_\{(\w)_(\w)\}")
_PI = re.compile(r"(?<![\\A-Za-z])pi(?![A-Za-z])")


def as_latex(answer: str) -> str:
    r"""Write an answer so that math-verify reads all of it.

    >>> as_latex("2t."), as_latex(r"\frac{1}{20,\!000}"), as_latex("288pi")
    ('2{t}', '\\frac{1}{20000}', '288\\pi ')
    >>> as_latex("7*sin(pi*x/5)"), as_latex(r"\cot t \cdot 2"), as_latex(r"1 + \frac\pi 2")
    ('7*\\sin(\\pi *x/5)', '\\cot(t) \\cdot 2', '1 + \\frac{\\pi}{2}')
    """
    if _has_own_math(answer):
        return answer
    answer = _LAST_STOP.sub("", answer.strip().strip("$").strip())
    answer = _PLAIN_FUNCTION.sub(r"\\\1", _NESTED_INDEX.sub(r"_{\1_{\2}}", answer))
    answer = _FACTOR_AFTER.sub(r"\\\1(\2) \\\3", answer)
    answer = _BARE_FRACTION.sub(lambda m: rf"\{m[1]}{{{m[2]}}}{m[3] if m[3] == '{' else f'{{{m[3]}}}'}", answer)
    return _PI.sub(r"\\pi ", _LETTER_UNIT.sub(r"{\1}", _THOUSANDS.sub("", answer)))


def _has_own_math(answer: str) -> bool:
    r"""Say whether math stands within words, as in `$3$ and $4$`, which math-verify reads best as it is."""
    return "$" in answer.strip().strip("$").replace(r"\$", "")


@lru_cache(maxsize=8192)
def read_gold(answer: str) -> list[Any]:
    """Return math-verify's readings of a gold answer; none where it finds no mathematics."""
    readings = _parse(as_latex(answer) if _has_own_math(answer) else f"${as_latex(answer)}$")
    return [] if all(isinstance(reading, str) for reading in readings) else readings


@lru_cache(maxsize=8192)
def read_prediction(answer: str) -> list[Any]:
    """Return math-verify's readings of a predicted answer; none where it finds no mathematics."""
    return _parse(f"\\boxed{{{as_latex(answer)}}}")


@lru_cache(maxsize=8192)
def equal(gold: str, prediction: str) -> bool:
    """Say whether math-verify takes the two for equal; False too where it cannot read one or fails."""
    import math_verify

    expected, answer = read_gold(gold), read_prediction(prediction)
    if not expected or not answer:
        return False
    known = _same_value(expected[0], answer[0])
    return bool(math_verify.verify(expected, answer, timeout_seconds=None)) if known is None else known


def _same_value(one: Any, other: Any) -> bool | None:
    """Return `values.same_value`, None too where sympy cannot give values."""
    try:
        return values.same_value(one, other)
    except MemoryError:
        raise
    except Exception:  # sympy has errors of its own in each of its functions
        return None


def read_number(answer: str) -> Any:
    """Return the real number that an answer writes, as sympy reads it, None where it is none."""
    for reading in read_gold(answer):
        if getattr(reading, "is_number", False) and reading.is_real and reading.is_finite:
            return reading.doit()
    return None


def _parse(text: str) -> list[Any]:
    """Parse without a time-out: math-verify's own works in the main thread only, and cannot interrupt arithmetic."""
    import math_verify

    readings: list[Any] = math_verify.parse(text, parsing_timeout=None)
    return readings
