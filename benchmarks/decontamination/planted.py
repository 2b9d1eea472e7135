"""Copies of evaluation problems, changed in known ways, among real problems: how many are found, and as what.

python benchmarks/decontamination/planted.py --against math500=FILE --hosts math=FILE

Changes, each to every evaluation problem, by one seed:
exact       letter case, spaces, other delimiters of formulas, other names of the same LaTeX command
reworded p  every p-th word in a hundred of the prose dropped, replaced by another word, or swapped with the next
renumbered  one number changed; all numbers changed
inside      between two real problems
"""

import argparse
import random
import re
from collections import Counter
from collections.abc import Callable

from files import Row, evaluation_sets, problems, row, wilson

from forkpipe.parameters import DecontaminationSettings
from forkpipe.problems.decontamination import remove_overlaps
from forkpipe.problems.normalisation import normalise

NUMBER = re.compile(r"\d+")
REWORDED = (0.02, 0.05, 0.1, 0.15, 0.2, 0.3)
PROSE = re.compile(r"[A-Za-z]{2,}[,.?]?")

Change = Callable[[str, random.Random], str]


def exact(text: str, draw: random.Random) -> str:
    """Change what normalisation undoes."""
    text = re.sub(r"(?<!\\)\$([^$\\]+)\$", r"\\(\1\\)", text).replace("\\frac", "\\dfrac").replace("\\le ", "\\leq ")
    text = re.sub(r" ", lambda _: draw.choice([" ", "  ", "\n"]), text)
    return text[0].swapcase() + text[1:]


def reworded(share: float, vocabulary: list[str]) -> Change:
    """Return a change of a share of the words of prose, never of formulas or numbers; one word at least."""

    def change(text: str, draw: random.Random) -> str:
        words = text.split(" ")
        places = [place for place, word in enumerate(words) if PROSE.fullmatch(word)]
        chosen = draw.sample(places, min(len(places), max(1, round(share * len(places)))))
        for place in chosen:
            how = draw.choice(["drop", "replace", "swap"])
            if how == "drop":
                words[place] = ""
            elif how == "replace" or place + 1 == len(words):
                words[place] = draw.choice(vocabulary)
            else:
                words[place], words[place + 1] = words[place + 1], words[place]
        return " ".join(word for word in words if word)

    return change


def renumbered(how_many: int | None) -> Change:
    """Return a change of so many numbers, None for all, to others of as many digits."""

    def change(text: str, draw: random.Random) -> str:
        places = [found.span() for found in NUMBER.finditer(text)]
        for start, end in sorted(draw.sample(places, min(len(places), how_many or len(places))), reverse=True):
            old, digits = text[start:end], end - start
            while (new := str(draw.randrange(10 ** (digits - 1), 10**digits))) == old:
                pass
            text = text[:start] + new + text[end:]
        return text

    return change


def inside(around: list[str]) -> Change:
    """Return a change that puts a text between two others."""
    return lambda text, draw: f"{draw.choice(around)} {text} {draw.choice(around)}"


def main() -> None:
    """Print, for every change, how many copies are found and as what kind."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--against", nargs="+", required=True, metavar="NAME=PATH[:COLUMN]")
    parser.add_argument(
        "--hosts", required=True, metavar="NAME=PATH[:COLUMN]", help="real problems, for words and text"
    )
    parser.add_argument("--jaccard", type=float, default=0.4)
    parser.add_argument("--share", type=float, default=0.25)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--show", action="store_true", help="print the copies that are missed")
    given = parser.parse_args()
    settings = DecontaminationSettings.model_validate(
        {"near": {"jaccard": given.jaccard}, "ngram": {"share": given.share}, "within": False}
    )
    evaluation = evaluation_sets(given.against)
    hosts = [one["problem"] for one in problems(given.hosts)]
    vocabulary = sorted({word for host in hosts for word in host.split() if PROSE.fullmatch(word)})
    changes: dict[str, Change] = {
        "exact": exact,
        **{f"reworded {share:.0%}": reworded(share, vocabulary) for share in REWORDED},
        "renumbered one": renumbered(1),
        "renumbered all": renumbered(None),
        "inside longer": inside(hosts),
    }
    print(f"{len(evaluation)} evaluation problems, jaccard {given.jaccard}, share {given.share}")
    print("change           planted   exact   ngram    near  renumbered  missed   rejected, 95 % interval")
    for name, change in changes.items():
        draw = random.Random(f"{given.seed} {name}")
        planted: list[Row] = []
        for number, one in enumerate(evaluation):
            text = change(one.problem, draw)
            # A change that changed nothing, or a renumbering without numbers, plants no such copy.
            if name != "exact" and normalise(text) == normalise(one.problem):
                continue
            planted.append(row(text, "", str(number)))
        _, overlaps, _, _ = remove_overlaps(planted, evaluation, settings)
        targets = {one["problem_id"]: evaluation[int(one["source_id"])] for one in planted}
        found: dict[str, str] = {}
        for one in overlaps:
            target = targets[one["problem_id"]]
            if (one["set"], one["other_id"]) == (target.set, target.id):
                found[one["problem_id"]] = one["kind"]
        if given.show:
            for one in planted:
                if one["problem_id"] not in found:
                    print("missed:", " ".join(one["problem"].split()))
        kinds = Counter(found.values())
        caught = sum(kinds[kind] for kind in ("exact", "ngram", "near"))
        low, high = wilson(caught, len(planted))
        print(
            f"{name:16} {len(planted):7} {kinds['exact']:7} {kinds['ngram']:7} {kinds['near']:7} "
            f"{kinds['renumbered']:11} {len(planted) - len(found):7}   "
            f"{caught / len(planted):.3f} [{low:.3f}, {high:.3f}]"
        )


if __name__ == "__main__":
    main()
