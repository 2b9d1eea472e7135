"""What is flagged in files of problems, by kind and set, and how much of it is false by the labels.

python benchmarks/decontamination/flagged.py --against math500=FILE --problems dapo=FILE [--show]

`labels.tsv` holds what a reader said of every pair that the defaults reject: same (the same problem, reworded or with
another form of the answer), part (the same givens, another question), other (another problem).
"""

import argparse
import csv
from collections import Counter
from pathlib import Path

from files import evaluation_sets, problems, wilson

from forkpipe.parameters import DecontaminationSettings
from forkpipe.problems.decontamination import remove_overlaps

LABELS = Path(__file__).with_name("labels.tsv")


def main() -> None:
    """Print counts by kind and set, then false alarms by kind."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--against", nargs="+", required=True, metavar="NAME=PATH[:COLUMN]")
    parser.add_argument("--problems", nargs="+", required=True, metavar="NAME=PATH[:COLUMN]")
    parser.add_argument("--jaccard", type=float, default=0.4)
    parser.add_argument("--share", type=float, default=0.25)
    parser.add_argument("--within", action="store_true", help="duplicates among the problems instead")
    parser.add_argument("--show", action="store_true", help="print every pair that is rejected")
    given = parser.parse_args()
    settings = DecontaminationSettings.model_validate(
        {"near": {"jaccard": given.jaccard}, "ngram": {"share": given.share}, "within": given.within}
    )
    with LABELS.open(encoding="utf-8") as file:
        labels = {(one["problem"], one["set"], one["id"]): one["label"] for one in csv.DictReader(file, delimiter="\t")}
    evaluation = evaluation_sets(given.against)
    seen: Counter[tuple[str, str]] = Counter()
    for name in given.problems:
        rows = problems(name)
        kept, overlaps, rejected, _ = remove_overlaps(rows, [] if given.within else evaluation, settings)
        print(f"\n{name.split('=')[0]}: {len(rows)} problems, {len(kept)} kept, {len(rejected)} rejected")
        reasons = Counter(one["reason"] for one in rejected)
        for (where, kind, action), count in sorted(
            Counter((r["set"], r["kind"], r["action"]) for r in overlaps).items()
        ):
            print(f"  {where:10} {kind:10} {action:8} {count}")
        print("  " + ", ".join(f"{reason}: {count}" for reason, count in sorted(reasons.items())))
        texts = {one["problem_id"]: one for one in rows}
        for one in overlaps:
            if one["action"] != "rejected":
                continue
            source = texts[one["problem_id"]]["source_id"]
            label = labels.get((source, one["set"], one["other_id"]), "same" if one["kind"] == "exact" else "unread")
            seen[one["kind"], label] += 1
            if given.show:
                print(f"{source}\t{one['set']}\t{one['other_id']}\t{one['kind']}\t{one['score']:.2f}\t{label}")
                print(f"    {' '.join(texts[one['problem_id']]['problem'].split())}")
                print(f"    {' '.join(one['other_problem'].split())}")
    if given.within:
        return
    print("\nkind        same  part  other unread   other of read, with 95 % interval")
    for kind in ("exact", "ngram", "near"):
        same, part, other, unread = (seen[kind, label] for label in ("same", "part", "other", "unread"))
        read = same + part + other
        low, high = wilson(other, read)
        print(f"{kind:10} {same:5} {part:5} {other:6} {unread:6}   {other}/{read} [{low:.2f}, {high:.2f}]")


if __name__ == "__main__":
    main()
