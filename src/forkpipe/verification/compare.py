"""Whether a predicted answer equals the gold answer, and by which rule. Runs in the worker processes."""

import re
from collections.abc import Collection, Iterable
from typing import Literal, NamedTuple

from forkpipe.verification import math_reading, unread
from forkpipe.verification.plain import settle
from forkpipe.verification.rules import GUARDS, NOTATION, RULES, UNREAD, families, intervals
from forkpipe.verification.rules.base import Guard, Rule
from forkpipe.verification.text import clean

DEPTH = 4
"""How many rules may follow one another, for example names, then units, then decimal."""

MOST_QUESTIONS = 200
"""Questions to math-verify in one comparison; lists of many elements end here rather than in a time-out."""

RAISED = "raised"
"""The rule of a comparison that ended in an exception."""

FindingName = Literal[
    "equal", "different", "gold-unparsed", "prediction-unparsed", "timeout", "worker-died", "raised", "score"
]


class Finding(NamedTuple):
    """What came of a comparison, and the names of the rules that decided, joined by "+"."""

    name: FindingName
    rule: str = "math-verify"


def compare(gold: str, prediction: str | None, without: Collection[str] = ()) -> Finding:
    """Compare two answers.

    Args:
        gold: the gold answer.
        prediction: the predicted answer; None asks only whether the gold answer can be read.
        without: names of rules and guards that are switched off.
    """
    if prediction is None:
        return Finding("equal" if _readable(gold) else "gold-unparsed")
    question = _Question(without)
    plain = clean(gold), clean(prediction)
    guard = question.guard(*plain)
    if NOTATION not in without:
        if guard is None and (settled := settle(*plain)) is not None:
            return Finding("equal" if settled else "different", "number")
        if (names := question.by_text(*plain)) is not None:
            return Finding("equal", _joined(names))
    called_equal = guard is None and question.is_equal(gold, prediction)
    if called_equal and question.is_plain(gold, prediction):
        return Finding("equal")
    rewritten = NOTATION not in without and any(map(_is_rewritten, (gold, prediction), plain))
    names = question.first(*plain, rewritten)
    if names is not None:
        return Finding("equal", _joined(names))
    if called_equal and question.is_read(gold, prediction):
        return Finding("equal")
    if guard is not None or called_equal:
        name = UNREAD if guard is None else guard.name
        return Finding("raised" if name == RAISED else "different", name)
    if not _readable(gold):
        return Finding("gold-unparsed")
    if not _readable(prediction, math_reading.read_prediction):
        return Finding("prediction-unparsed")
    return Finding("raised", RAISED) if question.raised else Finding("different")


def _joined(names: Iterable[str]) -> str:
    return "+".join(dict.fromkeys(names)) or NOTATION


_NO_MATTER = re.compile(r"\\(?:left|right)\b|\\[,;:! ]|(?<=\\)[dt](?=frac)|[\s$.]")


def _is_rewritten(answer: str, plain: str) -> bool:
    """Say whether `clean` changed more of an answer than math-verify overlooks by itself: asking twice takes twice."""
    return _NO_MATTER.sub("", answer) != _NO_MATTER.sub("", plain)


def _readable(answer: str, read: object = math_reading.read_gold) -> bool:
    """Say whether mathematics is found in an answer, as it stands or as the rules would write it."""
    written = clean(answer)
    if intervals.as_pieces(written) is not None:
        return True
    written_ways = dict.fromkeys((answer, written, families.without_parameter(written)))
    return any(_holds(lambda side, _: bool(read(side)), side, "") for side in written_ways)  # type: ignore[operator]


def _holds(check: object, gold: str, prediction: str) -> bool:
    try:
        return bool(check(gold, prediction))  # type: ignore[operator]
    except MemoryError:
        raise
    except Exception:
        # math-verify catches what it expects; RecursionError and sympy's own errors pass it. None of them is an answer.
        return False


class _Question:
    """One comparison's questions to math-verify, counted and asked once each."""

    def __init__(self, without: Collection[str]) -> None:
        self._rules: list[Rule] = [rule for rule in RULES if rule.name not in without]
        self._guards = [guard for guard in GUARDS if guard.name not in without]
        self._trusting = UNREAD in without
        self._text_only = False
        self.raised = False
        """Whether a comparison of the two whole answers ended in an exception, which says nothing of them."""
        self._known: dict[tuple[str, str, int], tuple[str, ...] | None] = {}
        self._asked = 0

    def by_text(self, gold: str, prediction: str) -> tuple[str, ...] | None:
        """Return what `ask` does where the rules settle the question without math-verify, which is slow; else None."""
        self._text_only = True
        names = self.ask(gold, prediction, DEPTH)
        self._text_only = False
        self._known.clear()
        self._asked = 0
        return names

    def is_equal(self, gold: str, prediction: str) -> bool:
        """Say whether math-verify calls the two equal; not where it raises, see `raised`."""
        try:
            return bool(math_reading.equal(gold, prediction))
        except MemoryError:
            raise
        except Exception:
            # math-verify catches what it expects; RecursionError and sympy's own errors pass it.
            self.raised = True
            return False

    def is_plain(self, gold: str, prediction: str) -> bool:
        """Say whether math-verify's "equal" needs no further check."""
        return self._trusting or unread.is_plainly_read(gold, prediction)

    def is_read(self, gold: str, prediction: str) -> bool:
        """Say whether every change of one of two equal answers makes them different."""
        return unread.is_read(gold, prediction, self.is_equal)

    def guard(self, gold: str, prediction: str) -> Guard | None:
        """Return the guard that keeps the two apart, if any.

        One that raises keeps them apart too, under the name `raised`: math-verify may have thrown away what it could
        not compare.
        """
        for guard in self._guards:
            try:
                if guard.conflict(gold, prediction):
                    return guard
            except MemoryError:
                raise
            except Exception:
                return guard._replace(name=RAISED)
        return None

    def first(self, gold: str, prediction: str, ask: bool) -> tuple[str, ...] | None:
        """Return what `ask` does, but with a question to math-verify itself only where `ask` says so."""
        if ask:
            return self.ask(gold, prediction, DEPTH)
        self._known[gold, prediction, DEPTH] = None
        return self._by_rules(gold, prediction, DEPTH, self.guard(gold, prediction)) if gold and prediction else None

    def ask(self, gold: str, prediction: str, depth: int) -> tuple[str, ...] | None:
        """Return the rules by which the two are equal, none for math-verify alone, None where they are not."""
        key = (gold, prediction, depth)
        if key not in self._known:
            self._known[key] = None  # a rule that leads back here has proved nothing
            self._known[key] = self._settle(gold, prediction, depth)
        return self._known[key]

    def _settle(self, gold: str, prediction: str, depth: int) -> tuple[str, ...] | None:
        if not gold or not prediction or self._asked >= MOST_QUESTIONS:
            return None
        if gold == prediction:
            return ()
        guard = self.guard(gold, prediction)
        if guard is None and not self._trusting and (settled := settle(gold, prediction)) is not None:
            return () if settled else None
        self._asked += 1
        equal = guard is None and not self._text_only and self.is_equal(gold, prediction)
        if equal and self.is_plain(gold, prediction):
            return ()
        names = self._by_rules(gold, prediction, depth, guard) if depth else None
        return () if names is None and equal and self.is_read(gold, prediction) else names

    def _by_rules(self, gold: str, prediction: str, depth: int, guard: Guard | None) -> tuple[str, ...] | None:
        for rule in self._rules:
            if (guard is not None and rule.name not in guard.settled_by) or (self._text_only and rule.reads):
                continue
            used: list[str] = []

            def again(one: str, other: str, used: list[str] = used) -> bool:
                found = self.ask(one, other, depth - 1)
                used.extend(found or ())
                return found is not None

            if _holds(lambda one, other, rule=rule, again=again: rule.check(one, other, again), gold, prediction):
                return rule.name, *used
        return None
