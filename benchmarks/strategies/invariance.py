"""How often a trace leaves its strategy when it is only written otherwise.

    python benchmarks/strategies/invariance.py TRACES.jsonl.gz --traces 100

Every trace (rows with problem and trace) is changed in one way and compared with itself as it was: the share whose
distance exceeds the threshold, and the mean distance. `two paragraphs swapped` swaps any two neighbours, dependent ones
too.
"""

import argparse
import random
import re
from collections.abc import Callable
from itertools import islice

from forkpipe.core.read_rows import read_rows
from forkpipe.strategies import compare

SYNONYMS = {
    "therefore": "hence",
    "thus": "so",
    "calculate": "compute",
    "determine": "find",
    "we need to": "we have to",
    "first": "to begin",
    "next": "after that",
    "this gives": "this yields",
    "we get": "we obtain",
    "since": "because",
    "total number of": "number of all",
    "following": "next",
    "simplify": "reduce",
    "given": "stated",
    "remember": "recall",
    "equals": "is equal to",
    "solve for": "find",
    "we can": "one can",
    "the number of": "how many",
    "let": "say",
}
CHATTER = [
    "Okay, let me think about this.", "Hmm, interesting.", "That looks fine so far.", "Wait, let me see.",
    "This is a nice problem.", "Let me continue with care.", "I hope this is right.", "So far so good.",
]  # fmt: skip
CHECKS = [
    "Let me check this again.",
    "To verify, we go through the steps once more and find the same.",
    "We double check.",
]


def paraphrased(problem: str, text: str, draw: random.Random) -> str:
    """Replace common words and phrases."""
    for old, new in SYNONYMS.items():
        text = re.sub(rf"\b{old}\b", new, text, flags=re.IGNORECASE)
    return text


def renamed(problem: str, text: str, draw: random.Random) -> str:
    """Give the unknowns that stand alone in formulas and not in the problem other letters."""
    used = set(re.findall(r"(?<![A-Za-z\\])[b-hj-z](?![A-Za-z])", text))
    free = sorted(set("bcdfghjkmnpqrstuvwxyz") - used)
    draw.shuffle(free)
    kept = set(re.findall(r"(?<![A-Za-z\\])[a-z](?![A-Za-z])", problem))
    others = dict(zip(sorted(used - kept), free, strict=False))
    return re.sub(r"(?<![A-Za-z\\])[b-hj-z](?![A-Za-z])", lambda match: others.get(match[0], match[0]), text)


def chattered(problem: str, text: str, draw: random.Random) -> str:
    """Put a remark before every other paragraph."""
    return _inserted(text, draw, CHATTER)


def checked(problem: str, text: str, draw: random.Random) -> str:
    """Put a check before every other paragraph; taking it out again is what `removed checks` does."""
    return _inserted(text, draw, CHECKS)


def _inserted(text: str, draw: random.Random, remarks: list[str]) -> str:
    parts = text.split("\n\n")
    return "\n\n".join(f"{draw.choice(remarks)}\n\n{part}" if number % 2 else part for number, part in enumerate(parts))


def swapped(problem: str, text: str, draw: random.Random) -> str:
    """Swap two neighbouring paragraphs."""
    parts = text.split("\n\n")
    if len(parts) > 3:
        at = draw.randrange(1, len(parts) - 2)
        parts[at], parts[at + 1] = parts[at + 1], parts[at]
    return "\n\n".join(parts)


CHANGES: dict[str, Callable[[str, str, random.Random], str]] = {
    "paraphrase": paraphrased,
    "renamed unknowns": renamed,
    "added chatter": chattered,
    "added or removed checks": checked,
    "two paragraphs swapped": swapped,
}


def main() -> None:
    """Print a line a change."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("traces")
    parser.add_argument("--traces", dest="count", type=int, default=100)
    given = parser.parse_args()
    rows = [row for _, row in islice(read_rows(given.traces), 0, 8 * given.count, 8)]
    for name, change in CHANGES.items():
        draw = random.Random(0)
        changed = [(row["problem"], row["trace"], change(row["problem"], row["trace"], draw)) for row in rows]
        found = [compare(*one) for one in changed if one[1] != one[2]]
        left = sum(pair.label == "different" for pair in found)
        print(
            f"{name:<26} {left} of {len(found)} leave ({left / len(found):.1%}), "
            f"mean distance {sum(pair.distance for pair in found) / len(found):.3f}"
        )


if __name__ == "__main__":
    main()
