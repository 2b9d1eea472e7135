"""What a rewrite rule is."""

from collections.abc import Callable
from typing import NamedTuple

Ask = Callable[[str, str], bool]
"""Asks again whether a gold answer and a prediction are equal: math-verify, then the rules, to a limited depth."""

Check = Callable[[str, str, Ask], bool]
"""(gold, prediction, ask) -> whether they are equal in the way the rule knows; both are `text.clean`ed."""


class Rule(NamedTuple):
    """A named way in which two answers can be equal though math-verify says they are not."""

    name: str
    check: Check
    reads: bool = False
    """Whether it has math-verify read an answer, which takes milliseconds."""


class Guard(NamedTuple):
    """A named way in which two answers differ in what math-verify throws away unread: a unit, a base.

    Where it holds, math-verify's "equal" does not count, and of the rules only those of `settled_by` may say equal.
    """

    name: str
    conflict: Callable[[str, str], bool]
    """Given both answers as `text.clean` writes them."""
    settled_by: tuple[str, ...] = ()
