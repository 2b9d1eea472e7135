"""Named rewrite rules: what may turn math-verify's "different" into "equal", and guards, which may do the reverse.

A rule says in which way two answers are equal, and asks again about what is left. A guard knows what math-verify throws
away unread (units, bases, a.m. and p.m.), and keeps answers apart that differ in it. Each is a small function in one of
the modules here, all of them run in the worker processes, and each can be switched off by its name.
"""

from forkpipe.verification.rules import intervals, lists, names, numbers, quantities, shapes, words
from forkpipe.verification.rules.base import Guard, Rule

NOTATION = "notation"
"""The first rule, which `compare` applies itself: ask again with both sides as `text.clean` writes them."""

RULES: tuple[Rule, ...] = (
    *numbers.RULES,
    *words.RULES,
    *quantities.RULES,
    *names.RULES,
    *lists.RULES,
    *intervals.RULES,
    *shapes.RULES,
)
"""In the order in which they are tried; the first that says equal is named in the verdict."""

GUARDS: tuple[Guard, ...] = (
    *numbers.GUARDS,
    *words.GUARDS,
    *quantities.GUARDS,
    *lists.GUARDS,
    *names.GUARDS,
    *shapes.GUARDS,
)

NAMES: tuple[str, ...] = (NOTATION, *(rule.name for rule in RULES), *(guard.name for guard in GUARDS))
