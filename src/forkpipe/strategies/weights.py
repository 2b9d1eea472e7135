"""How much it tells of an approach that a trace names a technique, reaches a value or writes a number."""

from forkpipe.strategies.vocabulary import COMMON_TECHNIQUES


def technique_weight(name: str) -> float:
    """Return how much a technique tells: those that are in many solutions of any kind less."""
    return 0.6 if name in COMMON_TECHNIQUES else 1.4


def value_weight(value: str) -> float:
    """Return how much a value tells: one digit is mostly a count or an index."""
    return 1.0 if "/" in value else {1: 0.35, 2: 0.75}.get(len(value), 1.0)


def number_weight(number: str) -> float:
    """Return how much it tells that a number is written: a long one is no coincidence."""
    return min(len(number), 5) - 0.6
