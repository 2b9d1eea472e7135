"""Trace sets for the money: the planner beside fixed numbers of samples, at equal spend.

    python benchmarks/planner/compare.py                                      # the embedded teachers
    python benchmarks/planner/compare.py --traces FILE [FILE ...]             # published traces, as if asked one by one

FILE has the columns problem, gold, teacher and trace. A set is a problem with --correct distinct correct traces of
--distinct strategies. The fixed way asks every teacher for k samples of each problem, in an order that is drawn, until
the money is spent; k is the number that gives most sets for the money, chosen with all answers known. With --subsets,
"subset" is the best fixed choice of some of the teachers and k of 1 or 2, chosen with all answers known too, which
nobody can do beforehand. The planner stops at the same spend. A seed draws the order of problems and which of a
teacher's answers comes first, and for the embedded teachers their mistakes. Prices are for a million tokens of output,
equal for all teachers, or 1, 2, 4, 8 in an order that is drawn too.
"""

import argparse
import json
import math
import random
import statistics
import time
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
from pools import CLUSTERER, Answer, Pool, embedded, of_file

from forkpipe.core.ids import content_hash
from forkpipe.generation.planner import Judged, Planner
from forkpipe.parameters.traces import TargetSettings

SEEDS = range(10)
SHARES = (0.25, 0.5, 1.0)
"""Spend, as a share of what all samples of one pass cost: one sample of each teacher for each problem."""
CONF = Path(__file__).parents[2] / "src" / "forkpipe" / "conf"


class Draw:
    """A pool in the order that a seed draws, with prices."""

    def __init__(self, pool: Pool, seed: int, prices: str) -> None:
        self.pool = pool
        chance = random.Random(f"order {seed}")
        self.order = chance.sample(range(len(pool.problems)), len(pool.problems))
        self.answers = [[chance.sample(of, len(of)) for of in teachers] for teachers in pool.answers]
        ranks = random.Random(f"prices {seed}").sample(range(len(pool.teachers)), len(pool.teachers))
        self.prices = [1.0 if prices == "equal" else 2.0 ** (rank % 4) for rank in ranks]

    def cost(self, teacher: int, answer: Answer) -> float:
        """Return the price of an answer."""
        return self.prices[teacher] * answer.tokens / 1e6

    def is_set(self, problem: int, texts: frozenset[int], target: TargetSettings) -> bool:
        """Whether the distinct correct texts of a problem make a set."""
        return len(texts) >= target.correct and self.pool.count(problem, texts) >= target.distinct

    def pass_cost(self) -> float:
        """Return the price of one sample of each teacher for each problem."""
        return sum(self.cost(t, of[0]) for teachers in self.answers for t, of in enumerate(teachers) if of)


def fixed(draw: Draw, teachers: Sequence[int], k: int, target: TargetSettings) -> tuple[np.ndarray, np.ndarray]:
    """Return (sets, spend) after each problem, if the teachers are asked for k samples of each."""
    sets, spent = [], []
    for problem in draw.order:
        asked = [(t, answer) for t in teachers for answer in draw.answers[problem][t][:k]]
        spent.append(sum(draw.cost(t, answer) for t, answer in asked))
        sets.append(draw.is_set(problem, frozenset(it.text for _, it in asked if it.text >= 0), target))
    return np.cumsum(sets), np.cumsum(spent)


def best(ways: Sequence[tuple[np.ndarray, np.ndarray]], money: float) -> tuple[int, float]:
    """Return (sets, spend) of the way that gives most sets for the money; each ends when the money is spent."""
    ends = [min(int(np.searchsorted(spent, money)), len(spent) - 1) for _, spent in ways]
    came = [(int(sets[at]), float(spent[at])) for (sets, spent), at in zip(ways, ends, strict=True)]
    return max(came, key=lambda it: it[0] / it[1] if it[1] else 0)


def planned(draw: Draw, moneys: Sequence[float], target: TargetSettings) -> list[tuple[int, float, int]]:
    """Return (sets, spend, rounds) of the planner for each sum of money, in ascending order.

    A plan does not depend on the money, so one plan shows what comes of each sum: a run ends at the request that spends
    the last of it.
    """
    pool = draw.pool
    most = np.array([[len(of) for of in draw.answers[p]] for p in draw.order], np.int64)
    planner = Planner([content_hash(pool.problems[p], str(draw.order)) for p in draw.order], most, target)
    texts: list[dict[int, int]] = [{} for _ in draw.order]
    came: list[tuple[int, float, int]] = []
    spent, rounds = 0.0, 0

    def ended() -> tuple[int, float, int]:
        sets = sum(draw.is_set(draw.order[at], frozenset(of), target) for at, of in enumerate(texts))
        return sets, spent, rounds

    while len(came) < len(moneys) and (asked := planner.next_round()):
        rounds += 1
        judged, changed = [], set()
        for request in asked:
            answer = draw.answers[draw.order[request.problem]][request.teacher][request.sample]
            cost = draw.cost(request.teacher, answer)
            spent += cost
            fresh = answer.text >= 0 and answer.text not in texts[request.problem]
            if fresh:
                texts[request.problem][answer.text] = request.teacher
                changed.add(request.problem)
            judged.append(Judged(request.problem, request.teacher, answer.text >= 0, fresh, cost))
            while len(came) < len(moneys) and spent >= moneys[len(came)]:
                came.append(ended())
        strategies = {}
        for at in changed:
            labels, distinct = pool.strategies(draw.order[at], list(texts[at]))
            strategies[at] = list(zip(texts[at].values(), labels, strict=True)), distinct
        planner.observe(judged, strategies)
    return came + [ended()] * (len(moneys) - len(came))


def compare(pools: list[Pool], seeds: Sequence[int], prices: str, target: TargetSettings, subsets: bool) -> None:
    """Print a line for each share of the spend: sets of each way, and the ratio of sets for the money by seed.

    Args:
        pools: one for each seed.
        subsets: whether to look for the best choice of teachers too.
    """
    came: dict[float, list[dict[str, float]]] = {share: [] for share in SHARES}
    for pool, seed in zip(pools, seeds, strict=True):
        draw = Draw(pool, seed, prices)
        everybody = range(len(pool.teachers))
        most = max(len(of) for teachers in draw.answers for of in teachers)
        every = [fixed(draw, everybody, k, target) for k in range(1, most + 1)]
        some = [
            fixed(draw, teachers, k, target)
            for n in (everybody if subsets else ())
            for teachers in combinations(everybody, n + 1)
            for k in range(1, min(most, 2) + 1)
        ]
        moneys = [draw.pass_cost() * share for share in SHARES]
        began = time.process_time()
        plans = planned(draw, moneys, target)
        seconds = time.process_time() - began
        for share, money, (own, own_spent, rounds) in zip(SHARES, moneys, plans, strict=True):
            sets, spent = best(every, money)
            row = {
                "fixed": sets, "planner": own, "rounds": rounds, "cpu_seconds": seconds,
                "spend_of_planner": own_spent / money,
                "ratio": own / own_spent / (sets / spent) if sets else math.nan,
            }  # fmt: skip
            if subsets:
                subset, subset_spent = best(some, money)
                row |= {"subset": subset}
                row |= {"ratio_to_subset": own / own_spent / (subset / subset_spent) if subset else math.nan}
            came[share].append(row)
    for share, rows in came.items():
        line: dict[str, object] = {"pool": pools[0].name, "problems": len(pools[0].problems), "prices": prices}
        line |= {"threshold": pools[0].threshold, "spend": share}
        line |= {name: round(statistics.mean(row[name] for row in rows), 3) for name in rows[0]}
        line |= {
            "worst": round(min(row["ratio"] for row in rows), 3),
            "best": round(max(row["ratio"] for row in rows), 3),
        }
        print(json.dumps(line), flush=True)


def main() -> None:
    """Compare what the command line names."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--traces", nargs="*", default=[])
    options.add_argument("--cache", type=Path, default=Path(".planner"), help="folder of what was computed of a file")
    options.add_argument("--problems", type=int, default=400, help="most problems of a pool")
    options.add_argument("--samples", type=int, default=4, help="most samples of an embedded teacher for a problem")
    options.add_argument("--seeds", type=int, nargs="+", default=SEEDS, help="0 to 9 for the published figures")
    options.add_argument("--subsets", action="store_true", help="look for the best choice of teachers too")
    options.add_argument("--correct", type=int, default=3)
    options.add_argument("--distinct", type=int, default=3)
    options.add_argument("--threshold", type=float, default=CLUSTERER.threshold, help="of the clusters")
    given = options.parse_args()
    target = TargetSettings(correct=given.correct, distinct=given.distinct)
    given.cache.mkdir(parents=True, exist_ok=True)
    seeds = list(given.seeds)
    several = [[of_file(path, given.cache, given.problems)] * len(seeds) for path in given.traces] or [
        [embedded(CONF, environment, given.samples, seed, given.problems) for seed in seeds]
        for environment in ("base", "tight")
    ]
    for pools in several:
        for pool in pools:
            pool.threshold = given.threshold
        for prices in ("equal", "spread"):
            compare(pools, seeds, prices, target, given.subsets)


if __name__ == "__main__":
    main()
