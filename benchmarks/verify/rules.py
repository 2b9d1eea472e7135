"""Count the verdicts that each rule and guard decides: those that change when it is switched off.

python benchmarks/verify/rules.py FILE [FILE ...] [--gold gold] [--response pred]

Each file holds gold answers and bare answers. A rule that decides nothing in pairs that others labelled rests on our
own pairs alone; those are listed in `rules.OWN_PAIRS_ONLY` and switched off by `without: [own-pairs-only]`.
"""

import argparse
from collections import Counter

from forkpipe.core.read_rows import read_rows
from forkpipe.verification.math import MathVerifier
from forkpipe.verification.rules import NAMES


def verdicts_of(pairs: list[tuple[str, str]], without: list[str]) -> list[tuple[str, str]]:
    """Return (verdict, rule) of each pair."""
    verifier = MathVerifier(without=without, timeout_seconds=10)
    found = verifier.verify([gold for gold, _ in pairs], [text for _, text in pairs], [False] * len(pairs))
    verifier.close()
    return [(verdict.verdict, verdict.rule) for verdict in found]


def main() -> None:
    """Print each name with the number of verdicts in which it stands and that change without it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+")
    parser.add_argument("--gold", default="gold")
    parser.add_argument("--response", default="pred")
    given = parser.parse_args()
    pairs = []
    for path in given.files:
        for _, row in read_rows(path):
            text = row[given.response]
            pairs.append((row[given.gold], text if "boxed" in text or len(text) > 300 else f"\\boxed{{{text}}}"))
    pairs = list(dict.fromkeys(pairs))
    base = verdicts_of(pairs, [])
    counts: Counter[str] = Counter()
    decided: Counter[str] = Counter()
    for name in NAMES:
        named = [index for index, (_, rule) in enumerate(base) if name in rule.split("+")]
        counts[name] = len(named)
        if named:
            without = verdicts_of([pairs[index] for index in named], [name])
            decided[name] = sum(base[i][0] != other[0] for i, other in zip(named, without, strict=True))
    print(f"{len(pairs)} pairs\n| rule or guard | stands in | decides |\n|---|---|---|")
    for name in NAMES:
        print(f"| {name} | {counts[name]} | {decided[name]} |")


if __name__ == "__main__":
    main()
