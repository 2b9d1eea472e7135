r"""Mathematical equality: integers and identical text at once, everything else by math-verify in worker processes.

math-verify (sympy) may take forever, e.g. on `9^{9^{9^{9}}}`, and guards itself with SIGALRM, which works in the main
thread only and cannot interrupt arithmetic on huge integers; elsewhere its answers are silently wrong. So its own
time-outs are off here, and a worker that exceeds the time is killed.

It also has to be told what is mathematics: gold goes in as `$gold$`, the prediction as `\boxed{prediction}`. Passed as
they come, it rejects most true pairs. And it strips units, for which it takes the last letters of `2t` and `a + b + 2c`
too, so that `2` would equal `2t`: `_as_latex` keeps it from that, which costs plain one-letter units (`5 m` is not `5`,
`5\text{ m}` is).
"""

import logging
import multiprocessing
import re
import signal
import threading
from collections.abc import Sequence
from concurrent.futures.process import BrokenProcessPool
from typing import TYPE_CHECKING, Any, Literal

from forkpipe.core.answers import extract_answer, parse_integer
from forkpipe.core.errors import InputError
from forkpipe.core.records import Verdict

if TYPE_CHECKING:
    from pebble import ProcessFuture, ProcessPool

LONGEST_ANSWER = 2_000
"""Characters that math-verify is given; whatever is longer is a derivation or a loop, not an answer."""

_POOL_STARTS = 3
"""How often a pool whose workers all die is started before the machine rather than the answers is blamed."""

_LAST_STOP = re.compile(r"(?:\\[,;:! ]|[.,;\s])+$")
_THOUSANDS = re.compile(r"(?<=[0-9])(?:,\\!|\{,\})(?=[0-9]{3}(?![0-9]))")
_LETTER_UNIT = re.compile(r"(?<=[0-9}\s])(t|h|c|l|s|g|m|d|ab|bc)$")
"""What math-verify strips from the end as a unit and what is as likely to be a variable."""
_PI = re.compile(r"(?<![\\A-Za-z])pi(?![A-Za-z])")

_Finding = Literal["equal", "different", "gold-unparsed", "prediction-unparsed"]
_Pair = tuple[str, str | None]
"""Gold and prediction; None in place of the prediction asks only whether the gold answer parses."""

_VERDICTS: dict[str, Verdict] = {
    "equal": Verdict("correct", rule="math-verify"),
    "different": Verdict("wrong", rule="math-verify"),
    "prediction-unparsed": Verdict("unparsed", rule="math-verify"),
    "gold-unparsed": Verdict("unparsed", rule="gold-unparsed"),
    "timeout": Verdict("timeout", rule="math-verify"),
    # A worker dies when the comparison takes all memory or crashes the interpreter. The response is there, so the
    # verdict is not `failed`; it was read, so it is not `unparsed`; like a time-out, the comparison did not end.
    "worker-died": Verdict("timeout", rule="worker-died"),
}


class MathVerifier:
    r"""Says whether the answer of a response equals the gold answer as mathematics.

    | rule | decides |
    |---|---|
    | integer | both are plain integers |
    | identical | both are the same text, up to whitespace and surrounding `$` |
    | math-verify | math-verify compared them, found nothing to compare (unparsed), or took too long (timeout) |
    | too-long | the answer has more than 2,000 characters and is not identical to the gold answer: unparsed |
    | gold-unparsed | math-verify reads no mathematics in the gold answer: unparsed; see `check_gold` |
    | worker-died | the comparison took its worker process down: timeout |

    Verdicts are kept by (gold, extracted) for as long as the object lives. The worker processes start with the first
    pair that needs them and end with `close` (or with the interpreter); threads may share one object. They start by
    `spawn`: a script that verifies needs an `if __name__ == "__main__"` guard.

    >>> MathVerifier().verify(["1000"], [r"So it is \boxed{1,000}."], [False])[0]
    Verdict(verdict='correct', extracted='1,000', rule='integer')
    """

    name = "math"
    version = "1"

    def __init__(self, timeout_seconds: float = 5.0, workers: int = 2) -> None:
        """Make a verifier; no process starts yet.

        Args:
            timeout_seconds: for one comparison, from when a worker takes it up; more than 0.
            workers: worker processes, at least 1.

        Raises:
            InputError: a value is out of range.
        """
        if not timeout_seconds > 0:
            raise InputError(f"verification timeout_seconds is {timeout_seconds}, expected more than 0")
        if workers < 1:
            raise InputError(f"verification workers is {workers}, expected at least 1")
        self._timeout_seconds = timeout_seconds
        self._workers = workers
        self._lock = threading.Lock()
        self._pool: ProcessPool | None = None
        self._findings: dict[_Pair, str] = {}

    def verify(self, gold: Sequence[str], responses: Sequence[str], truncated: Sequence[bool]) -> list[Verdict]:
        """Return one verdict a response, in order; nothing that a response holds makes this raise.

        Raises:
            ValueError: the three differ in length.
            InputError: the worker processes do not start.
        """
        decided = [_decide_here(*row) for row in zip(gold, responses, truncated, strict=True)]
        open_pairs = [(g, quick) for g, quick in zip(gold, decided, strict=True) if isinstance(quick, str)]
        findings = self._compare_all(open_pairs)
        return [
            quick if isinstance(quick, Verdict) else _with_extracted(_VERDICTS[findings[g, quick]], quick)
            for g, quick in zip(gold, decided, strict=True)
        ]

    def check_gold(self, golds: Sequence[str]) -> list[bool]:
        r"""Say of each gold answer whether responses can be compared with it, in order.

        False for blank answers, for more than 2,000 characters, and for what math-verify finds no mathematics in or
        cannot read in time, e.g. `\frac{1`. Words pass, since math-verify reads them as symbols: questions of text
        belong to the exact verifier.
        """
        needed = [gold for gold in golds if _may_parse(gold) and parse_integer(gold) is None]
        findings = self._compare_all([(gold, None) for gold in needed])
        return [
            _may_parse(gold) and (parse_integer(gold) is not None or findings[gold, None] == "equal") for gold in golds
        ]

    def close(self) -> None:
        """End the worker processes; a later call starts them anew. Not to be called while a thread verifies."""
        with self._lock:
            pool, self._pool = self._pool, None
        _stop(pool)

    def _compare_all(self, pairs: Sequence[_Pair]) -> dict[_Pair, str]:
        """Return a finding for every pair, asking the workers for those that are not known."""
        with self._lock:
            findings = {pair: self._findings[pair] for pair in pairs if pair in self._findings}
        for _ in range(_POOL_STARTS):
            missing = list(dict.fromkeys(pair for pair in pairs if pair not in findings))
            if not missing:
                return findings
            pool, futures = self._submit(missing)
            for pair, future in futures.items():
                finding = _finding(future)
                if finding is None:
                    self._discard(pool)
                    break
                findings[pair] = finding
                if finding != "worker-died":  # may have been want of memory: the next one to ask tries again
                    with self._lock:
                        self._findings[pair] = finding
        if any(pair not in findings for pair in pairs):
            raise InputError(
                "the math-verify workers do not start: is math-verify[antlr4-13-2] installed, and does the script that "
                'is run guard its code with `if __name__ == "__main__"`?'
            )
        return findings

    def _submit(self, pairs: Sequence[_Pair]) -> "tuple[ProcessPool, dict[_Pair, ProcessFuture[_Finding]]]":
        with self._lock:
            if self._pool is None:
                from pebble import ProcessPool  # here: importing this module must stay cheap

                self._pool = ProcessPool(
                    max_workers=self._workers,
                    initializer=_start_worker,
                    context=multiprocessing.get_context("spawn"),
                )
            pool = self._pool
            futures: dict[_Pair, ProcessFuture[_Finding]] = {}
            try:
                for pair in pairs:
                    futures[pair] = pool.schedule(_compare, args=pair, timeout=self._timeout_seconds)
            except RuntimeError:  # the pool broke since it was last used
                if not futures:
                    futures[pairs[0]] = _broken()
            return pool, futures

    def _discard(self, pool: "ProcessPool") -> None:
        """Stop a broken pool, unless another thread did."""
        with self._lock:
            if self._pool is pool:
                self._pool = None
        _stop(pool)


def _decide_here(gold: str, response: str, truncated: bool) -> Verdict | str:
    """Return the verdict where no worker is needed, else the extracted answer that a worker has to compare."""
    if truncated:
        return Verdict("truncated")
    extracted = extract_answer(response)
    if extracted is None:
        return Verdict("unparsed")
    expected, found = parse_integer(gold), parse_integer(extracted)
    if expected is not None and found is not None:
        return Verdict("correct" if expected == found else "wrong", extracted, "integer")
    if _normalised(gold) == _normalised(extracted):
        return Verdict("correct", extracted, "identical")
    if len(extracted) > LONGEST_ANSWER:
        return Verdict("unparsed", extracted[:LONGEST_ANSWER], "too-long")
    if not _may_parse(gold):
        return Verdict("unparsed", extracted, "gold-unparsed")
    return extracted


def _normalised(answer: str) -> str:
    return " ".join(answer.strip().strip("$").split())


def _may_parse(gold: str) -> bool:
    return bool(gold.strip()) and len(gold) <= LONGEST_ANSWER


def _with_extracted(verdict: Verdict, extracted: str) -> Verdict:
    return Verdict(verdict.verdict, extracted, verdict.rule)


def _finding(future: "ProcessFuture[_Finding]") -> str | None:
    """Wait for a worker's finding; None where the whole pool broke."""
    from pebble import ProcessExpired

    try:
        return future.result()
    except TimeoutError:
        return "timeout"
    except ProcessExpired:
        return "worker-died"
    except BrokenProcessPool:
        return None


def _broken() -> "ProcessFuture[_Finding]":
    """Return a future that says that the pool broke."""
    from pebble import ProcessFuture

    future: ProcessFuture[_Finding] = ProcessFuture()
    future.set_exception(BrokenProcessPool())
    return future


def _stop(pool: "ProcessPool | None") -> None:
    if pool is not None:
        pool.stop()  # type: ignore[no-untyped-call]
        pool.join()


# From here on: what runs in the worker processes.


def _start_worker() -> None:
    """Import math-verify before the first comparison, so that its time counts towards none."""
    # pebble's handler waits for the interpreter, which does not come back from arithmetic on huge integers.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    logging.getLogger("math_verify").setLevel(logging.ERROR)  # it warns that its time-outs are off, as they must be
    _compare("1", "2")


def _compare(gold: str, prediction: str | None) -> _Finding:
    """Compare by math-verify, without time-outs of its own."""
    import math_verify

    try:
        expected = _parse(_as_latex(gold) if _has_own_math(gold) else f"${_as_latex(gold)}$")
        if all(isinstance(reading, str) for reading in expected):
            return "gold-unparsed"
        if prediction is None:
            return "equal"
        found = _parse(f"\\boxed{{{_as_latex(prediction)}}}")
        if not found:
            return "prediction-unparsed"
        return "equal" if math_verify.verify(expected, found, timeout_seconds=None) else "different"
    except Exception:  # math-verify catches its own errors; RecursionError and MemoryError can pass it
        return "prediction-unparsed" if prediction is not None else "gold-unparsed"


def _as_latex(answer: str) -> str:
    r"""Write an answer so that math-verify reads all of it.

    >>> _as_latex("2t."), _as_latex(r"\frac{1}{20,\!000}"), _as_latex("288pi")
    ('2{t}', '\\frac{1}{20000}', '288\\pi ')
    """
    if _has_own_math(answer):
        return answer
    answer = _LAST_STOP.sub("", answer.strip().strip("$").strip())
    return _PI.sub(r"\\pi ", _LETTER_UNIT.sub(r"{\1}", _THOUSANDS.sub("", answer)))


def _has_own_math(answer: str) -> bool:
    r"""Say whether math stands within words, as in `$3$ and $4$`, which math-verify reads best as it is."""
    return "$" in answer.strip().strip("$").replace(r"\$", "")


def _parse(text: str) -> list[Any]:
    import math_verify

    readings: list[Any] = math_verify.parse(text, parsing_timeout=None)
    return readings
