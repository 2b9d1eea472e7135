"""Named rewrite rules: what may turn math-verify's "different" into "equal", and guards, which may do the reverse.

A rule says in which way two answers are equal, and asks again about what is left. A guard knows what math-verify throws
away unread (units, bases, a.m. and p.m.), and keeps answers apart that differ in it. Each is a small function in one of
the modules here, all of them run in the worker processes, and each can be switched off by its name.
"""

from forkpipe.verification.rules import families, intervals, lists, names, numbers, quantities, shapes, words
from forkpipe.verification.rules.base import Guard, Rule

NOTATION = "notation"
"""The first rule, which `compare` applies itself: ask again with both sides as `text.clean` writes them."""

UNREAD = "unread"
"""The guard that `compare` applies itself: what math-verify calls equal after reading a part of it is different."""

RULES: tuple[Rule, ...] = (
    *numbers.RULES,
    *words.RULES,
    *quantities.RULES,
    *names.RULES,
    *lists.RULES,
    *intervals.RULES,
    *shapes.RULES,
    *families.RULES,
)
"""In the order in which they are tried; the first that says equal is named in the verdict."""

GUARDS: tuple[Guard, ...] = (
    *numbers.GUARDS,
    *words.GUARDS,
    *quantities.GUARDS,
    *lists.GUARDS,
    *names.GUARDS,
    *families.GUARDS,
)

NAMES: tuple[str, ...] = (NOTATION, UNREAD, *(rule.name for rule in RULES), *(guard.name for guard in GUARDS))

OWN_PAIRS_ONLY = (
    *(
        "notation",
        "scientific",
        "mixed-number",
        "repeating-decimal",
        "number-words",
        "time-of-day",
        "choices",
        "degrees",
    ),
    *(
        "percent",
        "plus-minus",
        "lettered-parts",
        "matrix",
        "vector",
        "bound-variable",
        "integer-parameter",
        "congruence",
        "family",
        "constants",
    ),
    *("ratio", *(guard.name for guard in GUARDS)),
)
"""Rules and guards that decide no pair of the labelled tests of other libraries: nothing but pairs written for this
project supports them (`benchmarks/verify/rules.py`)."""

GROUPS = {"all": NAMES, "own-pairs-only": OWN_PAIRS_ONLY}
"""Names that stand for several."""
