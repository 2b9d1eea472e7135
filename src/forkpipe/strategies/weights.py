"""Weights of techniques, values and numbers: how much each tells about the approach of a trace."""

from forkpipe.strategies.vocabulary import COMMON_TECHNIQUES


def technique_weight(name: str) -> float:
    """Return the weight of a technique; techniques that many solutions of any kind name tell less."""
    return 0.6 if name in COMMON_TECHNIQUES else 1.4


def value_weight(value: str) -> float:
    """Return the weight of a value; a single digit is mostly a count or an index."""
    return 1.0 if "/" in value else {1: 0.35, 2: 0.75}.get(len(value), 1.0)


def number_weight(number: str) -> float:
    """Return the weight of a number; two traces seldom share a long number by chance."""
    return min(len(number), 5) - 0.6
