"""A part of the problems for a first try: the same ones every time, and of a larger part a smaller one."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from forkpipe.core.ids import unit_interval


def first_ids(ids: Iterable[str], limit: int, salt: str = "") -> set[str]:
    """Return at most `limit` ids, which ones follows from the ids: more problems or another order change few of them.

    >>> first_ids(["a", "b", "c"], 2) <= first_ids(["c", "b", "a"], 3)
    True
    """
    return set(sorted(set(ids), key=lambda it: (unit_interval("limit", salt, it), it))[:limit])


def quotas(counts: Sequence[int], limit: int) -> list[int]:
    """Return how many of each group belong to a part of all: in proportion, and one of each group if there is room.

    >>> quotas([900, 90, 10], 100), quotas([900, 90, 10], 20), quotas([5, 0, 1], 100)
    ([90, 9, 1], [17, 2, 1], [5, 0, 1])
    """
    total = sum(counts)
    if total <= limit:
        return list(counts)
    parts = [count * limit // total for count in counts]
    # What rounding has left goes to the largest remainders, of equals to the first.
    order = sorted(range(len(counts)), key=lambda at: (-(counts[at] * limit % total), at))
    for at in order[: limit - sum(parts)]:
        parts[at] += 1
    for at, count in enumerate(counts):
        largest = max(range(len(parts)), key=lambda it: parts[it])
        if count and not parts[at] and parts[largest] > 1:
            parts[at], parts[largest] = 1, parts[largest] - 1
    return parts


def first_of_groups(groups: Iterable[tuple[str, str]], limit: int, salt: str = "") -> set[str]:
    """Return at most `limit` ids of pairs (group, id), spread over the groups as `quotas` says."""
    members: dict[str, list[str]] = defaultdict(list)
    for group, name in groups:
        members[group].append(name)
    names = sorted(members)
    shares = quotas([len(members[group]) for group in names], limit)
    return set().union(*(first_ids(members[group], n, salt) for group, n in zip(names, shares, strict=True)))
