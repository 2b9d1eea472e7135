r"""Mathematical equality: plain numbers and identical text at once, everything else by math-verify in worker processes.

math-verify (sympy) may take forever, e.g. on `9^{9^{9^{9}}}`, and guards itself with SIGALRM, which works in the main
thread only and cannot interrupt arithmetic on huge integers; elsewhere its answers are silently wrong. So its own
time-outs are off here, and a worker that exceeds the time is killed (`pool`). What it calls different, named rules may
ask about again (`rules`).
"""

import threading
from collections.abc import Iterable, Sequence

from forkpipe.core.errors import InputError
from forkpipe.core.records import Verdict
from forkpipe.verification.answers import Answer, find_answer, gold_answer, is_no_answer
from forkpipe.verification.compare import Finding
from forkpipe.verification.plain import parse_decimal, settle
from forkpipe.verification.pool import Pair, WorkerPool
from forkpipe.verification.rules import GROUPS, NAMES

LONGEST_ANSWER = 2_000
"""Characters that math-verify is given; whatever is longer is a derivation or a loop, not an answer."""

MOST_KEPT = 500_000
"""Findings that one verifier keeps; beyond that the oldest go."""

_NAMES: dict[str, Verdict] = {
    "equal": Verdict("correct"),
    "different": Verdict("wrong"),
    "prediction-unparsed": Verdict("unparsed"),
    "gold-unparsed": Verdict("unparsed", rule="gold-unparsed"),
    "timeout": Verdict("timeout"),
    # A worker dies when the comparison takes all memory or crashes the interpreter; sympy may raise what it does not
    # catch. The response is there, so the verdict is not `failed`; it was read, so it is not `unparsed`; like a
    # time-out, the comparison did not end.
    "worker-died": Verdict("timeout"),
    "raised": Verdict("timeout"),
}


class MathVerifier:
    r"""Says whether the answer of a response equals the gold answer as mathematics.

    | rule | decides |
    |---|---|
    | number | both are plain numbers: integers, decimals, fractions, tuples of these; see `plain.settle` |
    | identical | both are the same text, up to whitespace and surrounding `$` |
    | math-verify | math-verify compared them, found nothing to compare (unparsed), or took too long (timeout) |
    | names of `rules.NAMES`, joined by "+" | rules called equal what math-verify does not; a guard, the reverse |
    | too-long | the answer has more than 2,000 characters and is not identical to the gold answer: unparsed |
    | gold-unparsed | no mathematics is read in the gold answer: unparsed; see `check_gold` |
    | worker-died | the comparison took its worker process down, by memory or a crash: timeout |
    | raised | the comparison ended in an error of sympy, and no rule decided: timeout |

    Findings are kept by (gold, extracted) for as long as the object lives; version and rules are the object's. Worker
    processes start with the first pair that needs them and end with `close` (or with the interpreter). Threads may
    share one object; a forked process starts workers of its own; async code calls it by `asyncio.to_thread`.

    >>> MathVerifier().verify(["1000"], [r"So it is \boxed{1,000}."], [False])[0]
    Verdict(verdict='correct', extracted='1,000', rule='number', extracted_from='box')
    """

    name = "math"
    version = "4"

    def __init__(
        self, timeout_seconds: float = 5.0, workers: int = 2, memory_mb: int = 2048, without: Iterable[str] = ()
    ) -> None:
        """Make a verifier; no process starts yet.

        Args:
            timeout_seconds: processor time of one comparison, more than 0; see `pool.WorkerPool`.
            workers: worker processes, at least 1.
            memory_mb: address space of a worker, at least 512: importing sympy alone takes half of that.
            without: rules and guards that are switched off, by name or by a name of `rules.GROUPS`.

        Raises:
            InputError: a value is out of range or no name of a rule.
        """
        if not timeout_seconds > 0:
            raise InputError(f"verification timeout_seconds is {timeout_seconds}, expected more than 0")
        if workers < 1:
            raise InputError(f"verification workers is {workers}, expected at least 1")
        if memory_mb < 512:
            raise InputError(f"verification memory_mb is {memory_mb}, expected at least 512")
        off: list[str] = []
        for name in without:
            if name not in NAMES and name not in GROUPS:
                raise InputError(
                    f"verification without names '{name}', expected one of: {', '.join((*GROUPS, *NAMES))}"
                )
            off += GROUPS.get(name, (name,))
        self._pool = WorkerPool(timeout_seconds, workers, memory_mb, off)
        self._lock = threading.Lock()
        self._findings: dict[Pair, Finding] = {}

    def verify(self, gold: Sequence[str], responses: Sequence[str], truncated: Sequence[bool]) -> list[Verdict]:
        """Return one verdict a response, in order; nothing that a response holds makes this raise.

        Raises:
            ValueError: the three differ in length.
            InputError: the worker processes do not start.
        """
        gold = [gold_answer(one) for one in gold]
        decided = [_decide_here(*row) for row in zip(gold, responses, truncated, strict=True)]
        open_pairs = [(g, quick.text) for g, quick in zip(gold, decided, strict=True) if isinstance(quick, Answer)]
        findings = self._compare_all(open_pairs)
        return [
            quick if isinstance(quick, Verdict) else verdict_of(findings[g, quick.text], quick)
            for g, quick in zip(gold, decided, strict=True)
        ]

    def check_gold(self, golds: Sequence[str]) -> list[bool]:
        r"""Say of each gold answer whether responses can be compared with it, in order.

        False for blank answers and for those that say there is none (`nan`, `proof`), for more than 2,000 characters,
        and for what math-verify finds no mathematics in or cannot read in time, e.g. `\frac{1`. Words pass, since
        math-verify reads them as symbols: questions of text belong to the exact verifier.
        """
        golds = [gold_answer(gold) for gold in golds]
        needed = [gold for gold in golds if _may_parse(gold) and parse_decimal(gold) is None]
        findings = self._compare_all([(gold, None) for gold in needed])
        return [
            _may_parse(gold) and (parse_decimal(gold) is not None or findings[gold, None].name == "equal")
            for gold in golds
        ]

    def close(self) -> None:
        """End the worker processes; a later call starts them anew."""
        self._pool.close()

    def _compare_all(self, pairs: Sequence[Pair]) -> dict[Pair, Finding]:
        """Return a finding for every pair, asking the workers for those that are not known."""
        with self._lock:
            findings = {pair: self._findings[pair] for pair in pairs if pair in self._findings}
        missing = list(dict.fromkeys(pair for pair in pairs if pair not in findings))
        if not missing:
            return findings
        compared = dict(zip(missing, self._pool.compare(missing), strict=True))
        with self._lock:
            for pair, finding in compared.items():
                if finding.name != "worker-died":  # perhaps for lack of memory: the next call tries again
                    self._findings[pair] = finding
            while len(self._findings) > MOST_KEPT:
                del self._findings[next(iter(self._findings))]
        return findings | compared


def _decide_here(gold: str, response: str, truncated: bool) -> Verdict | Answer:
    """Return the verdict where no worker is needed, else the extracted answer that a worker has to compare."""
    if truncated:
        return Verdict("truncated")
    answer = find_answer(response)
    if is_no_answer(gold):
        extracted = (answer.text[:LONGEST_ANSWER], answer.found_in) if answer else ("", "")
        return Verdict("unparsed", extracted[0], "gold-unparsed", extracted[1])
    if answer is None:
        return Verdict("unparsed")
    if parse_decimal(gold) is None and _normalised(gold) == _normalised(answer.text):
        return Verdict("correct", answer.text, "identical", answer.found_in)
    settled = settle(gold, answer.text)
    if settled is not None:
        return Verdict("correct" if settled else "wrong", answer.text, "number", answer.found_in)
    if len(answer.text) > LONGEST_ANSWER:
        return Verdict("unparsed", answer.text[:LONGEST_ANSWER], "too-long", answer.found_in)
    if not _may_parse(gold):
        return Verdict("unparsed", answer.text, "gold-unparsed", answer.found_in)
    return answer


def _normalised(answer: str) -> str:
    return " ".join(answer.strip().strip("$").split())


def _may_parse(gold: str) -> bool:
    return not is_no_answer(gold) and len(gold) <= LONGEST_ANSWER


def verdict_of(finding: Finding, answer: Answer) -> Verdict:
    """Return the verdict on an answer after a worker's comparison."""
    verdict = _NAMES[finding.name]
    return Verdict(verdict.verdict, answer.text, verdict.rule or finding.rule, answer.found_in)
