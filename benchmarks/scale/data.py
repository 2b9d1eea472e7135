"""Writes problems and traces of any number and size, and a project that imports them.

    python benchmarks/scale/data.py FOLDER --problems 500

Each problem has four teachers with two traces each, of 6,000 characters in the mean: sentences with equations, in one
of four ways of working, so that clustering reads as much as it does in real traces. About a quarter of the answers are
wrong; two in five answers are fractions or roots, which math-verify compares. Nothing is random: rows follow from their
numbers, so a larger file begins with the rows of a smaller one.
"""

import argparse
import json
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

TEACHERS = ("amber", "birch", "cedar", "delta")
SAMPLES = 2
WORDS = [
    start + end
    for start in ("mar", "tel", "kor", "bin", "sol", "fen", "gar", "lim")
    for end in ("ta", "ro", "vex", "lo", "nik", "du", "sha", "pe", "wi", "que")
]
WAYS = {
    "substitution": (
        "We substitute {v} = {a} into the equation, so {v} * {b} = {c}.",
        "Now factor the expression: {a} * {b} + {d} = {e}.",
    ),
    "recursion": (
        "By recursion, the next term is {v}_{n} = {a} + {b} = {f}.",
        "The recurrence gives {e} after {n} steps, since {c} + {d} = {e}.",
    ),
    "counting": (
        "By inclusion-exclusion we count {a} + {b} - {d} cases.",
        "There are \\(\\binom{{{n}}}{{2}}\\) pairs, and {a} * {b} = {c} choices remain.",
    ),
    "modular": (
        "Modulo {n}, the remainder of {c} is small, since {c} = {a} * {b}.",
        "By the Chinese remainder theorem {v} = {f} works, and {c} + {d} = {e}.",
    ),
}


def problem(number: int) -> dict[str, str]:
    """Return a problem; its words are drawn, so that no two are near duplicates."""
    draw = random.Random(f"problem {number}")
    words = " ".join(draw.choice(WORDS) for _ in range(24))
    a, b = draw.randrange(2, 900), draw.randrange(2, 90)
    kind = number % 5
    answer = str(a * b) if kind < 3 else f"\\frac{{{7 * a + 1}}}{{7}}" if kind == 3 else f"{b}\\sqrt{{3}}"
    return {
        "id": f"n{number}",
        "problem": f"Item {number}: {words}. Find the value for {a} and {b}.",
        "expected_answer": answer,
    }


def trace(number: int, teacher: int, sample: int, characters: int) -> str:
    """Return a trace of a problem."""
    draw = random.Random(f"trace {number} {teacher} {sample}")
    answer = problem(number)["expected_answer"]
    way = WAYS[list(WAYS)[(teacher + (draw.random() < 0.3)) % len(WAYS)]]
    length, sentences, size = characters * draw.uniform(0.4, 1.6), [], 0
    while size < length:
        a, b, d, n = (draw.randrange(2, 300) for _ in range(4))
        numbers = {"a": a, "b": b, "c": a * b, "d": d, "e": a * b + d, "f": a + b, "n": n, "v": draw.choice("xyzkmt")}
        words = " ".join(draw.choice(WORDS) for _ in range(draw.randrange(4, 12)))
        sentences.append(f"{draw.choice(way).format(**numbers)} So the {words} holds.")
        size += len(sentences[-1]) + 1
    if draw.random() < 0.26:
        answer = str(draw.randrange(10**6))
    elif "frac" in answer and teacher % 2:
        answer = answer.replace("\\frac{", "").replace("}{", "/").rstrip("}")
    return " ".join(sentences) + f"\n\nThe answer is \\boxed{{{answer}}}."


def rows(problems: range, characters: int, teachers: int = len(TEACHERS)) -> Iterator[dict[str, str]]:
    """Yield the rows of the file of traces."""
    for number in problems:
        for teacher in range(teachers):
            for sample in range(SAMPLES):
                text = trace(number, teacher, sample, characters)
                yield {"problem": problem(number)["problem"], "teacher": TEACHERS[teacher], "trace": text}


def make_project(
    folder: Path, problems: int, characters: int, teachers: int = len(TEACHERS), clusterer: str = "steps"
) -> None:
    """Make a project that imports these traces, or write its data and environment anew."""
    if not (folder / "pyproject.toml").exists():
        command = str(Path(sys.executable).with_name("forkpipe"))
        subprocess.run([command, "new", str(folder)], check=True, stdout=subprocess.DEVNULL)
    raw = folder / "data" / "01_raw"
    raw.mkdir(parents=True, exist_ok=True)
    for name, lines in (
        ("problems.jsonl", (problem(number) for number in range(problems))),
        ("traces.jsonl", rows(range(problems), characters, teachers)),
    ):
        with (raw / name).open("w") as file:
            file.writelines(json.dumps(row) + "\n" for row in lines)
    base = (folder / "conf" / "import_traces").glob("*.yml")
    target = folder / "conf" / "scale"
    target.mkdir(exist_ok=True)
    for path in base:
        (target / path.name).write_text(path.read_text())
    (target / "catalog.yml").write_text(
        "raw_problems: {type: forkpipe.datasets.records.RecordsDataset, filepath: data/01_raw/problems.jsonl}\n"
    )
    options = "{path: data/01_raw/traces.jsonl, fields: {problem: problem, text: trace}, where: {teacher: %s}}"
    named = {
        name: f"{{engine: import, samples: 100, sampling: {{max_tokens: 32768}}, options: {options % name}}}"
        for name in TEACHERS[:teachers]
    }
    (target / "parameters_generation.yml").write_text(
        f"generation:\n  splits: [train]\n  use: [{', '.join(named)}]\n  teachers:\n"
        + "".join(f"    {name}: {settings}\n" for name, settings in named.items())
        + f"strategies: {{clusterer: {clusterer}}}\n"
    )
    # A clusterer that costs nothing, for runs that ask what the rest of the pipeline takes.
    (folder / "src" / "cheap_clusterer.py").write_text(
        'from forkpipe.strategies.base import Clusters\n\n\nclass Cheap:\n    name = "cheap"\n    version = "1"\n\n'
        "    def cluster(self, problem, texts):\n        labels = [len(text) % 3 for text in texts]\n"
        "        order = sorted(set(labels), key=lambda label: (-labels.count(label), labels.index(label)))\n"
        "        firsts = [labels.index(label) for label in order]\n"
        "        return Clusters([order.index(label) for label in labels], firsts, [0.0] * len(texts))\n"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--problems", type=int, default=500)
    parser.add_argument("--characters", type=int, default=6000)
    parser.add_argument("--teachers", type=int, default=len(TEACHERS))
    parser.add_argument("--clusterer", default="steps", help="steps, or cheap_clusterer:Cheap")
    given = parser.parse_args()
    make_project(given.folder, given.problems, given.characters, given.teachers, given.clusterer)
