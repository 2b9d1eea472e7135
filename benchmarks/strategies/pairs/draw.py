"""Pairs of correct traces of one problem: drawn to be read, and put together with what their reader found.

python benchmarks/strategies/pairs/draw.py draw QUEUE --seed 0 [--set NAME --without PAIRS ...] FILE [FILE ...]
python benchmarks/strategies/pairs/draw.py join QUEUE READINGS FOLDER

`draw` writes a queue of pairs, in the order in which they are to be read. A unit is a problem, the pool of its two
teachers and a stratum of wording; every unit gives one pair, drawn among its pairs. Units stand in random order within
their stratum, strata are interleaved by `SHARES`. `join` takes the labels, tab-separated (number in the queue, label,
reason), of the first pairs of a half of the queue and writes tuning.jsonl and test.jsonl; a weight is one over the
probability of the draw. With `--set NAME` the queue is one set, NAME.jsonl, in place of two halves; `--without` leaves
out the problems of earlier sets.
"""

import argparse
import gzip
import hashlib
import itertools
import json
import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from forkpipe.strategies.reading import split_thinking

Row = dict[str, Any]

# Characters: a shorter one states the answer and no way to it, a longer one is more than a reader follows with care.
SHORTEST, LONGEST = 250, 12_000
# A trace that gives several solutions has no one approach.
SEVERAL = re.compile(r"\bsolution\s*(2|ii|two)\b|\balternat(iv)?e(ly)? (solution|method|approach)", re.IGNORECASE)
# The headings of a page that collects solutions, and a solution that leans on another of them.
HEADING = re.compile(r"^[ \t]*solution[ \t]+\d+\b.*$", re.IGNORECASE | re.MULTILINE)
LEANS = re.compile(
    r"\b(solutions?|method|approach)[ \t]+(\d|above|one\b|two\b)|\b(above|previous|first) solution", re.IGNORECASE
)
# Characters at the end of one of several solutions that have to hold the answer.
ENDING = 150
# Easier problems of MATH have one way.
HARD = ("Level 5", "Level 4")
# Of about 100 pairs read, how many come from a pool and a stratum of wording (0 the least alike third of its pool).
SHARES = {
    ("human, model", 0): 50,
    ("human, model", 1): 22,
    ("human, model", 2): 6,
    ("human, human", 0): 4,
    ("human, human", 1): 4,
    ("human, human", 2): 4,
    ("model, model", 0): 7,
    ("model, model", 1): 2,
    ("model, model", 2): 1,
    ("one model", 0): 8,
    ("one model", 1): 3,
    ("one model", 2): 1,
}
TOKEN = re.compile(r"\\?[a-z]+|\d+|[^\sa-z\d]")
BETWEEN_EQUATIONS = re.compile(r"[$,;:\n]|\\[\[\]()]|\\\\")


def read(path: Path) -> Iterator[Row]:
    """Yield the rows of a file of JSON lines, gzipped or not."""
    with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def write(path: Path, rows: list[Row]) -> None:
    """Write rows as JSON lines."""
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def correct(row: Row) -> bool:
    """Tell whether the file says so; where it has no label, whether its extracted answer is the integer expected."""
    if row["correct"] is not None:
        return bool(row["correct"])
    found = re.findall(r"\d+", row["pred"] or "")
    return len(found) == 1 and row["gold"].isdigit() and int(found[0]) == int(row["gold"])


def drawable(row: Row, behind: bool = False) -> bool:
    """Tell whether a trace can be compared with another: correct, of one solution, of readable length.

    With `behind` what stands behind the thinking has to be so, however long the thinking is.
    """
    if row.get("level", HARD[0]) not in HARD:
        return False
    text = split_thinking(row["trace"])[1] if behind else row["trace"]
    return correct(row) and SHORTEST <= len(text) <= LONGEST and not SEVERAL.search(text)


def solutions(row: Row) -> list[Row]:
    """Return the solutions of a page that collects them under headings, those that stand alone and end in the answer.

    A page without headings stays one row.
    """
    starts = [0, *(match.start() for match in HEADING.finditer(row["trace"])), len(row["trace"])]
    parts = [HEADING.sub("", row["trace"][start:end]).strip() for start, end in itertools.pairwise(starts)]
    parts = [part for part in parts if part]
    if len(parts) < 2:
        return [row]
    return [
        row | {"trace": part, "pred": row["gold"]}
        for part in parts
        if not LEANS.search(part) and int(row["gold"]) in map(int, re.findall(r"\d+", part[-ENDING:]))
    ]


def overlap(a: set[Any], b: set[Any]) -> float:
    """Return the share of the smaller set that is in the other; length alone does not make traces unlike."""
    return len(a & b) / (min(len(a), len(b)) or 1)


def wording(text: str) -> tuple[set[tuple[str, ...]], set[str]]:
    """Return the trigrams of tokens, and the numbers and equations."""
    text = text.lower()
    tokens = TOKEN.findall(text)
    equations = {re.sub(r"\s|\\left|\\right|&", "", part) for part in BETWEEN_EQUATIONS.split(text) if "=" in part}
    return set(zip(tokens, tokens[1:], tokens[2:], strict=False)), equations | set(re.findall(r"\d+", text))


def likeness(a: str, b: str) -> float:
    """Return how alike two texts are worded, 0 to 1: the mean over trigrams and over numbers and equations."""
    return sum(itertools.starmap(overlap, zip(wording(a), wording(b), strict=True))) / 2


def letters(problem: str) -> str:
    """Return the letters and digits of a problem, by which it is known in several files."""
    return re.sub(r"[^a-z0-9]", "", problem.lower())


def half(problem: str) -> str:
    """Return the half of a problem; a problem in two files is in one half."""
    return "test" if hashlib.sha256(letters(problem).encode()).digest()[0] % 2 else "tuning"


def pool(a: Row, b: Row) -> str:
    """Return which kinds of teachers wrote a pair."""
    if a["teacher"] == b["teacher"]:
        return "human, human" if "human" in a["teacher"] else "one model"
    return "human, model" if any("human" in row["teacher"] for row in (a, b)) else "model, model"


def pairs(rows: list[Row], name: str | None = None) -> list[Row]:
    """Return all pairs of drawable traces of one problem, with half, pool and stratum, a third of its half's pool each.

    Where a name is given, all pairs are of that set and its thirds.
    """
    problems = defaultdict(list)
    for row in rows:
        problems[row["problem_id"]].append(row)
    found = [
        {
            "half": name or half(a["problem"]),
            "pool": pool(a, b),
            "likeness": likeness(a["trace"], b["trace"]),
            "rows": (a, b),
        }
        for same in problems.values()
        for a, b in itertools.combinations(same, 2)
    ]
    groups = defaultdict(list)
    for pair in found:
        groups[pair["half"], pair["pool"]].append(pair)
    for group in groups.values():
        for rank, pair in enumerate(sorted(group, key=lambda pair: pair["likeness"])):
            pair["stratum"] = 3 * rank // len(group)
    return found


def draw(rows: list[Row], seed: int, name: str | None = None) -> list[Row]:
    """Return one pair a unit, half by half, in the order in which they are to be read."""
    random_ = random.Random(seed)
    units = defaultdict(list)
    for pair in pairs(rows, name):
        units[pair["half"], pair["pool"], pair["stratum"], pair["rows"][0]["problem_id"]].append(pair)
    strata = defaultdict(list)
    for (half_, pool_, stratum, _), unit in sorted(units.items(), key=lambda item: item[0]):
        chosen = random_.choice(unit)
        a, b = random_.sample(chosen["rows"], 2)
        strata[half_, pool_, stratum].append(
            {
                "half": half_,
                "stratum": [pool_, stratum],
                "pairs_of_unit": len(unit),
                "likeness": round(chosen["likeness"], 4),
                "problem_id": a["problem_id"],
                "problem": a["problem"],
                "a": a["trace"],
                "b": b["trace"],
                "teacher_a": a["teacher"],
                "teacher_b": b["teacher"],
                "source": a["dataset"] if a["dataset"] == b["dataset"] else f"{a['dataset']}, {b['dataset']}",
            }
        )
    queue = []
    for (half_, *stratum), drawn in strata.items():
        random_.shuffle(drawn)
        share = SHARES[tuple(stratum)]
        queue += [
            (half_ == "test", (place + 0.5) / share, row | {"units_of_stratum": len(drawn)})
            for place, row in enumerate(drawn)
        ]
    queue.sort(key=lambda item: item[:2])
    return [{"number": number, **row} for number, (*_, row) in enumerate(queue)]


def join(queue: list[Row], readings: dict[int, tuple[str, str]], half_: str) -> list[Row]:
    """Return the labelled pairs of a half; their weights estimate all pairs of the half.

    Raises ValueError where a stratum was not read in the order drawn, for then the weights would not hold.
    """
    of_half = [row for row in queue if row["half"] == half_]
    read_ = Counter(tuple(row["stratum"]) for row in of_half if row["number"] in readings)
    seen: Counter[tuple[str, int]] = Counter()
    labelled = []
    for row in of_half:
        stratum = tuple(row["stratum"])
        if seen[stratum] == read_[stratum]:
            continue
        if row["number"] not in readings:
            raise ValueError(f"pair {row['number']} of stratum {stratum} was passed over")
        seen[stratum] += 1
        label, reason = readings[row["number"]]
        if label not in ("same", "different") or not reason:
            raise ValueError(f"pair {row['number']}: a label, same or different, and a reason are expected")
        labelled.append(
            {
                "problem_id": row["problem_id"],
                "problem": row["problem"],
                "a": row["a"],
                "b": row["b"],
                "label": label,
                "weight": round(row["pairs_of_unit"] * row["units_of_stratum"] / read_[stratum], 4),
                "reason": reason,
                "teacher_a": row["teacher_a"],
                "teacher_b": row["teacher_b"],
                "source": row["source"],
                "pool": stratum[0],
                "stratum": stratum[1],
            }
        )
    return labelled


def main() -> None:
    """Draw a queue, or join it with readings."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    drawing = commands.add_parser("draw")
    drawing.add_argument("queue", type=Path)
    drawing.add_argument("--seed", type=int, default=0)
    drawing.add_argument("--set", help="draw one set of this name, not two halves")
    drawing.add_argument("--without", type=Path, nargs="*", default=[], help="pairs whose problems are left out")
    drawing.add_argument("--without-source", help="leave out traces whose source holds this text")
    drawing.add_argument("--solutions", action="store_true", help="take the solutions of a page one by one")
    drawing.add_argument("--behind-thinking", action="store_true", help="judge lengths without the thinking")
    drawing.add_argument("files", type=Path, nargs="+")
    joining = commands.add_parser("join")
    joining.add_argument("queue", type=Path)
    joining.add_argument("readings", type=Path)
    joining.add_argument("folder", type=Path)
    options = parser.parse_args()
    if options.command == "draw":
        rows = [row | {"dataset": file.name.split(".")[0]} for file in options.files for row in read(file)]
        used = {letters(pair["problem"]) for file in options.without for pair in read(file)}
        rows = [row for row in rows if letters(row["problem"]) not in used]
        if options.without_source:
            rows = [row for row in rows if options.without_source not in row["source"]]
        if options.solutions:
            rows = [solution for row in rows for solution in solutions(row)]
        rows = [row for row in rows if drawable(row, options.behind_thinking)]
        queue = draw(rows, options.seed, options.set)
        write(options.queue, queue)
        print(Counter((row["half"], *row["stratum"]) for row in queue))
        return
    lines = [line.split("\t") for line in options.readings.read_text(encoding="utf-8").splitlines() if line]
    readings = {int(number): (label, reason) for number, label, reason in lines}
    queue = list(read(options.queue))
    for half_ in sorted({row["half"] for row in queue}):
        labelled = join(queue, readings, half_)
        if not labelled:
            continue
        write(options.folder / f"{half_}.jsonl", labelled)
        print(half_, Counter(row["label"] for row in labelled))


if __name__ == "__main__":
    main()
