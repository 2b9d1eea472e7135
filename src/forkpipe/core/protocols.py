"""How a model is asked, and what is computed of its samples: one grammar for parameters, commands and served models.

A policy says under which tags a model is asked:

- `none`: under no tag; the prompt ends where the chat template opens the assistant's turn;
- `tag:i`: under tag i, from 1 as in the paper;
- `own`: the model picks the tag itself (its router does, where it has one);
- `router`: the same, for models that must have a router;
- `spread`: k samples over the N tags as evenly as possible. With k = N it is one sample under each tag, the paper's
  native voting; 32 samples over 6 tags are 6, 6, 5, 5, 5, 5.

A protocol says what is computed of n samples a problem:

- `avg@n`: the accuracy of n samples;
- `pass@k`: the chance that a set of k samples holds a correct one;
- `cons@k`: the accuracy of a plurality vote among a set of k samples, ties averaged. Both are expectations over every
  set of k that the policy could draw from the n samples (`core.metrics`);
- `cons@kxs`: the mean of such votes over s disjoint sets, in the order of the samples. `cons@6x11` is the paper's
  estimate of cons@6, of which `cons@6` with 66 samples is the estimate that does not depend on their order.

`NAME@POLICY` and `NAME@POLICY/PROTOCOL` name a model that is asked so, for example `m@tag:1` and `m@spread/cons@6`.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

from forkpipe.core.errors import InputError

PolicyKind = Literal["none", "tag", "own", "router", "spread"]
ProtocolKind = Literal["avg", "pass", "cons"]
AskedKind = Literal["forced", "own", "none"]

POLICIES = "none, tag:1 (or another tag), own, router, spread"
PROTOCOLS = "avg@n, pass@k, cons@k, cons@kxs"

NO_TAG = -1
_PROTOCOL = re.compile(r"(avg|pass|cons)@([1-9]\d*)(?:x([1-9]\d*))?")


class Asked(NamedTuple):
    """What distinguishes requests for one problem, apart from their numbers."""

    kind: AskedKind
    tag: int = NO_TAG
    """Index of a forced tag, from 0."""


@dataclass(frozen=True, slots=True)
class TagPolicy:
    """Under which tags a model is asked, see the module.

    >>> TagPolicy.parse("spread").split(32, 6) == {Asked("forced", tag): 6 if tag < 2 else 5 for tag in range(6)}
    True
    >>> str(TagPolicy.parse("tag:2")), TagPolicy.parse("tag:2").split(8, 6)
    ('tag:2', {Asked(kind='forced', tag=1): 8})
    """

    kind: PolicyKind
    tag: int = NO_TAG
    """Index of the tag of `tag:i`, from 0."""

    @classmethod
    def parse(cls, text: str, where: str = "policy") -> "TagPolicy":
        """Read a policy; InputError names `where`."""
        name, colon, number = str(text).strip().partition(":")
        if name == "tag" and re.fullmatch(r"[1-9]\d*", number):
            return cls("tag", int(number) - 1)
        for kind in get_args(PolicyKind):
            if name == kind != "tag" and not colon:
                return cls(kind)
        raise InputError(f"{where} is '{text}', expected one of: {POLICIES}")

    def __str__(self) -> str:
        return f"tag:{self.tag + 1}" if self.kind == "tag" else self.kind

    def split(self, k: int, n_tags: int) -> dict[Asked, int]:
        """Return how many of k samples are asked in which way, without zeros.

        Args:
            k: number of samples.
            n_tags: number of tags of the model, 0 for a plain model.

        Raises:
            InputError: the model does not have the tag, or has no tags.
        """
        if self.kind == "none":
            return {Asked("none"): k}
        if n_tags < 1 or self.tag >= n_tags:
            held = f"{n_tags} tags, expected more" if n_tags else "no forking tags, expected policy none"
            raise InputError(f"policy '{self}': the model has {held}")
        if self.kind == "tag":
            return {Asked("forced", self.tag): k}
        if self.kind == "spread":
            each, more = divmod(k, n_tags)
            counts = {Asked("forced", tag): each + (tag < more) for tag in range(n_tags)}
            return {asked: count for asked, count in counts.items() if count}
        return {Asked("own"): k}


@dataclass(frozen=True, slots=True)
class Protocol:
    """What is computed of the samples of a problem, see the module.

    >>> str(Protocol.parse("cons@6x11")), Protocol.parse("cons@6x11").least
    ('cons@6x11', 66)
    """

    kind: ProtocolKind
    k: int
    sets: int | None = None
    """Number of disjoint sets of `cons@kxs`."""

    @classmethod
    def parse(cls, text: str, where: str = "protocol") -> "Protocol":
        """Read a protocol; InputError names `where`."""
        match = _PROTOCOL.fullmatch(str(text).strip())
        if match is None or (match[3] and match[1] != "cons"):
            raise InputError(f"{where} is '{text}', expected one of: {PROTOCOLS}")
        kinds: dict[str, ProtocolKind] = {kind: kind for kind in get_args(ProtocolKind)}
        return cls(kinds[match[1]], int(match[2]), int(match[3]) if match[3] else None)

    def __str__(self) -> str:
        return f"{self.kind}@{self.k}" + (f"x{self.sets}" if self.sets else "")

    @property
    def least(self) -> int:
        """The fewest samples a problem that it needs."""
        return self.k * (self.sets or 1)

    def used(self, policy: TagPolicy, n: int, n_tags: int) -> dict[Asked, int]:
        """Return how many samples of which kind it uses, where a benchmark has n samples a problem (at least `least`).

        pass@k and cons@k use all n; avg@n and cons@kxs use what their names say.
        """
        if self.sets:
            return {asked: count * self.sets for asked, count in policy.split(self.k, n_tags).items()}
        return policy.split(self.k if self.kind == "avg" else n, n_tags)


class Share(NamedTuple):
    """A benchmark, and how many samples of each of its problems are asked under each policy."""

    name: str
    samples: int | None = None
    """None for as many as the protocols need."""

    def protocols(self, asked: Sequence[Protocol]) -> list[Protocol]:
        """Return the protocols that this number of samples allows; avg@n of all samples if it allows none."""
        if self.samples is None:
            return list(asked)
        return [protocol for protocol in asked if protocol.least <= self.samples] or [Protocol("avg", self.samples)]

    def n(self, protocols: Iterable[Protocol]) -> int:
        """Return the number of samples a problem."""
        return self.samples or max(protocol.least for protocol in protocols)


def parse_share(text: str, where: str = "benchmarks") -> Share:
    """Read NAME or NAME:SAMPLES; InputError names `where`.

    >>> parse_share("aime24:66"), parse_share("math500")
    (Share(name='aime24', samples=66), Share(name='math500', samples=None))
    """
    name, colon, number = str(text).strip().partition(":")
    if not name or (colon and not re.fullmatch(r"[1-9]\d*", number)):
        raise InputError(f"{where} has '{text}', expected NAME or NAME:SAMPLES, such as aime24:66")
    return Share(name, int(number) if colon else None)


def needed(policies: Iterable[TagPolicy], protocols: Sequence[Protocol], n: int, n_tags: int) -> dict[Asked, int]:
    """Return how many samples of which kind all policies and protocols need; what two of them share counts once.

    >>> spread, first = TagPolicy.parse("spread"), TagPolicy.parse("tag:1")
    >>> sum(needed([spread, first], [Protocol.parse("cons@6")], 12, 6).values())
    22
    """
    counts: dict[Asked, int] = {}
    for policy in policies:
        for protocol in protocols:
            for asked, count in protocol.used(policy, n, n_tags).items():
                counts[asked] = max(counts.get(asked, 0), count)
    return counts


def unique(texts: Iterable[str]) -> list[str]:
    """Return the parts of comma-separated texts, in order and without repetition.

    >>> unique(["tag:1, spread", "spread"])
    ['tag:1', 'spread']
    """
    return list(dict.fromkeys(part.strip() for text in texts for part in text.split(",") if part.strip()))


class Served(NamedTuple):
    """What the name of a served model asks for."""

    model: str
    policy: TagPolicy | None = None
    protocol: Protocol | None = None


def parse_served(name: str) -> Served:
    """Read NAME, NAME@POLICY or NAME@POLICY/PROTOCOL; NAME itself may hold "@".

    >>> parse_served("a@b@spread/cons@6").model, str(parse_served("m@tag:2").policy), parse_served("m@main").policy
    ('a@b', 'tag:2', None)
    """
    places = [place for place, letter in enumerate(name) if letter == "@"]
    for place in places:
        policy, slash, protocol = name[place + 1 :].partition("/")
        try:
            return Served(name[:place], TagPolicy.parse(policy), Protocol.parse(protocol) if slash else None)
        except InputError:
            continue
    return Served(name)


def disjoint(counts: Mapping[Asked, int], sets: int) -> list[dict[Asked, range]]:
    """Return, for each of some disjoint sets with these counts, the numbers of its samples by kind.

    >>> disjoint({Asked("none"): 2}, 2)
    [{Asked(kind='none', tag=-1): range(0, 2)}, {Asked(kind='none', tag=-1): range(2, 4)}]
    """
    return [{asked: range(s * count, (s + 1) * count) for asked, count in counts.items()} for s in range(sets)]
