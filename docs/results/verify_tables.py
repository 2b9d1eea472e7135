"""Hold verdicts against labels: tables of (gold, pred, equal) and traces with authoritative labels.

python docs/results/verify_tables.py VERIFY_FOLDER TRACES_FOLDER [--baseline] [--show] [--pairs FILE ...]

`--baseline` asks math-verify alone: gold in `$...$`, prediction in `\\boxed{}`, texts with mathematics of their own
as they come. `--show` prints every disagreement. `--pairs` adds files of pairs with kind, gold, pred and equal; `--off`
switches all rewrite rules off. A table or folder that is "-" is left out.
"""

import argparse
import logging
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from forkpipe.core.read_rows import read_rows


class Pair(NamedTuple):
    """A labelled pair; `kind` is the table and its test, or the label's source."""

    table: str
    kind: str
    gold: str
    pred: str
    equal: bool


def tables(folder: Path) -> Iterator[Pair]:
    """Yield the labelled pairs of a folder of tables; rows without a label or with a partial score are left out."""
    for path in sorted(folder.glob("*.jsonl")):
        for _, row in read_rows(str(path)):
            label = row.get("equal", row.get("expected"))
            if label in (True, False, 1.0, 0.0):
                yield Pair(path.stem, row.get("test", ""), row["gold"], row["pred"], bool(label))


def traces(folder: Path) -> Iterator[Pair]:
    """Yield traces whose label is not the naive one."""
    for path in sorted(folder.glob("*.jsonl.gz")):
        for _, row in read_rows(str(path)):
            name = path.name.removesuffix(".jsonl.gz")
            if "ground_truth" in row:
                gold = re.split(r"\nA: |####", row["ground_truth"])[-1].strip()
                for model, said in row.items():
                    if isinstance(said, dict) and "is_correct" in said:
                        yield Pair(name, model, gold, said["solution"], said["is_correct"])
            elif isinstance(row.get("correct"), bool) and "NOT authoritative" not in row["label_source"]:
                yield Pair(name, row["label_source"], row["gold"], row["trace"], row["correct"])


def _own_math(text: str) -> bool:
    bare = text.replace("\\$", "")
    return any(mark in bare for mark in ("$", "\\boxed", "\\(", "\\["))


def _response(pred: str) -> str:
    """Return what both are given: an answer in a box, a text with mathematics or marks of its own as it comes."""
    bare = (
        len(pred) <= 300
        and "\n" not in pred.strip()
        and not _own_math(pred)
        and "answer" not in pred.lower()
        and "think" not in pred
    )
    return f"\\boxed{{{pred}}}" if bare else pred


def ask_math_verify(pairs: list[Pair]) -> list[tuple[str, str, str]]:
    """Return (verdict, rule, extracted) by math-verify alone, in this process with its own time-outs."""
    import math_verify

    logging.getLogger("math_verify").setLevel(logging.CRITICAL)
    found = []
    for pair in pairs:
        try:
            gold = math_verify.parse(pair.gold if _own_math(pair.gold) else f"${pair.gold}$")
            pred = math_verify.parse(_response(pair.pred))
            verdict = "correct" if math_verify.verify(gold, pred) else "wrong"
        except Exception as error:
            verdict, pred = "failed", [repr(error)]
        found.append((verdict, "math-verify", str(pred)[:80]))
    return found


def ask_forkpipe(pairs: list[Pair], options: dict[str, object]) -> list[tuple[str, str, str]]:
    """Return (verdict, rule, extracted) by the verifier; a prediction is given as a response."""
    from forkpipe.verification.math import MathVerifier

    verifier = MathVerifier(**options)  # type: ignore[arg-type]
    verdicts = verifier.verify([p.gold for p in pairs], [_response(p.pred) for p in pairs], [False] * len(pairs))
    verifier.close()
    return [(verdict.verdict, verdict.rule, verdict.extracted) for verdict in verdicts]


def main() -> None:
    """Print agreement, false positives and false negatives by table and kind."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verify", type=Path)
    parser.add_argument("traces", type=Path)
    parser.add_argument("--baseline", action="store_true")
    parser.add_argument("--off", action="store_true")
    parser.add_argument("--show", action="store_true")
    parser.add_argument("--pairs", type=Path, nargs="*", default=[])
    given = parser.parse_args()
    pairs = [] if str(given.verify) == "-" else list(tables(given.verify))
    pairs += [] if str(given.traces) == "-" else list(traces(given.traces))
    for path in given.pairs:
        rows = [row for _, row in read_rows(str(path))]
        pairs += [Pair(path.stem, r["kind"], r["gold"], f"\\boxed{{{r['pred']}}}", r["equal"]) for r in rows]
    options: dict[str, object] = {"without": ["all"]} if given.off else {}
    verdicts = ask_math_verify(pairs) if given.baseline else ask_forkpipe(pairs, options)
    counts: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for pair, (verdict, rule, extracted) in zip(pairs, verdicts, strict=True):
        correct = verdict == "correct"
        outcome = "agree" if correct == pair.equal else "false positive" if correct else "false negative"
        for kind in ("", pair.kind):
            counts[pair.table, kind].update((outcome, verdict))
        if given.show and outcome != "agree":
            print(
                f"{outcome}: {pair.table} {pair.kind}: gold {pair.gold[-80:]!r}, pred {pair.pred[-100:]!r}, "
                f"{verdict} by {rule}, read {extracted[:80]!r}"
            )
    print(
        "| table | kind | pairs | agree | false positives | false negatives | verdicts |\n|---|---|---|---|---|---|---|"
    )
    for (table, kind), count in sorted(counts.items()):
        outcomes = [count.pop(name, 0) for name in ("agree", "false positive", "false negative")]
        spread = ", ".join(f"{n} {name}" for name, n in count.most_common())
        print(f"| {table} | {kind or 'all'} | {sum(outcomes)} | {' | '.join(map(str, outcomes))} | {spread} |")


if __name__ == "__main__":
    main()
