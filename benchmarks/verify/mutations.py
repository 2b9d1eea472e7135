"""Count how many changed answers are still called correct, and how many rewritten ones no longer are.

python benchmarks/verify/mutations.py FILE [FILE ...] [--every 1] [--without RULE ...] [--show]

Each file (JSONL, JSONL.gz, Parquet, CSV) holds gold answers in a column gold, answer or expected_answer. Plain numbers
and answers of more than 200 characters are left out. Every gold answer is changed and rewritten as in
`tests/verification/mutated.py`, and the results are verified against it: a changed one should not be correct, a
rewritten one should. `--every 4` takes every fourth gold answer; `--show` prints what is wrong.
"""

import argparse
import sys
from collections import Counter
from pathlib import Path

from forkpipe.core.read_rows import read_rows
from forkpipe.verification.answers import gold_answer
from forkpipe.verification.math import MathVerifier
from forkpipe.verification.plain import parse_decimal

sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "verification"))
from mutated import mutations, rewrites

COLUMNS = ("gold", "answer", "expected_answer")
LONGEST = 200


def golds_of(paths: list[str]) -> list[str]:
    """Return the gold answers of files, each once, without plain numbers."""
    golds: dict[str, None] = {}
    for path in paths:
        for _, row in read_rows(path):
            value = next((row[name] for name in COLUMNS if row.get(name) is not None), None)
            gold = gold_answer(str(value)) if value is not None else ""
            if 0 < len(gold) <= LONGEST and parse_decimal(gold) is None:
                golds[gold] = None
    return list(golds)


def main() -> None:
    """Print a table of the kinds of changes and rewritings."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+")
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--without", nargs="*", default=[])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--show", action="store_true")
    given = parser.parse_args()
    golds = golds_of(given.files)[:: given.every]
    verifier = MathVerifier(timeout_seconds=10, workers=given.workers, without=given.without)
    print(
        f"{len(golds)} gold answers\n| | kind | answers | correct | share | other verdicts |\n|---|---|---|---|---|---|"
    )
    for name, change in (("changed", mutations), ("rewritten", rewrites)):
        rows = [(gold, kind, text) for gold in golds for kind, text in change(gold)]
        responses = [f"\\boxed{{{text}}}" for _, _, text in rows]
        verdicts = verifier.verify([gold for gold, _, _ in rows], responses, [False] * len(rows))
        counts: dict[str, Counter[str]] = {}
        for (gold, kind, text), verdict in zip(rows, verdicts, strict=True):
            for group in (kind, "all"):
                counts.setdefault(group, Counter())[verdict.verdict] += 1
            if given.show and (verdict.verdict == "correct") == (name == "changed"):
                print(f"{name} {kind}: {gold!r} ~ {text!r}: {verdict.verdict} by {verdict.rule}")
        for kind, count in sorted(counts.items()):
            total, correct = count.total(), count.pop("correct", 0)
            print(
                f"| {name} | {kind} | {total} | {correct} | {correct / total:.2%} | {dict(count) or ''} |", flush=True
            )
    verifier.close()


if __name__ == "__main__":
    main()
