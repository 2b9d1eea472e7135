"""How common words are in solutions, whatever the problem: the table of `strategies.objects`.

    python benchmarks/strategies/words.py traces_limo_aime_3teachers.jsonl.gz traces_math100_qwen_8x_rm.jsonl.gz

Counts in how many traces (rows with problem and trace; at most three a problem) a word stands, and prints the stems by
level: 0 in more than e^-1 of them, else the rounded logarithm of one over their share. Unlabelled: no pair is read.
"""

import argparse
import math
import textwrap
from collections import Counter

from forkpipe.core.read_rows import read_rows
from forkpipe.strategies.objects import RAREST, stems
from forkpipe.strategies.sentences import sentences, solution_of

MOST_OF_A_PROBLEM = 3


def main() -> None:
    """Print the levels."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("traces", nargs="+")
    traces = 0
    of_problem: Counter[str] = Counter()
    found: Counter[str] = Counter()
    for path in parser.parse_args().traces:
        for _, row in read_rows(path):
            of_problem[row["problem"]] += 1
            if of_problem[row["problem"]] <= MOST_OF_A_PROBLEM:
                found.update(stems(" ".join(sentences(solution_of(row["trace"])))))
                traces += 1
    levels: dict[int, list[str]] = {}
    for stem, count in found.items():
        rarity = math.log((traces + 1) / (count + 1))
        level = 0 if rarity < 1 else round(rarity)
        if level < RAREST:
            levels.setdefault(level, []).append(stem)
    print(f"{traces} traces")
    for level in sorted(levels):
        print(level, textwrap.fill(" ".join(sorted(levels[level])), 118), sep="\n")


if __name__ == "__main__":
    main()
