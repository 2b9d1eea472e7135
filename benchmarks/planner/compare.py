"""Trace sets for the money: the planner beside a fixed number of samples, at equal spend.

    python benchmarks/planner/compare.py                                      # the embedded teachers
    python benchmarks/planner/compare.py --traces FILE [FILE ...]             # published traces, as if asked one by one

FILE has the columns problem, gold, teacher and trace. A set is a problem with TARGET["correct"] distinct correct traces
of TARGET["distinct"] strategies. The fixed way asks every teacher for k samples of each problem, in the order of a draw,
until the money is spent; k is the number that gives most sets for the money, chosen with all answers known. The planner
stops at the same spend. A seed draws the order of problems and which of a teacher's answers comes first, and for the
embedded teachers their mistakes. Prices are a million tokens of output each: equal for all teachers, or 1, 2, 4, ... in
the order of an other draw.
"""

import argparse
import json
import random
import statistics
import time
from pathlib import Path

import numpy as np
from pools import Answer, Pool, embedded, of_file

from forkpipe.core.ids import content_hash
from forkpipe.generation.planner import Judged, Planner
from forkpipe.parameters.traces import TargetSettings

TARGET = {"correct": 3, "distinct": 3}
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

    def is_set(self, problem: int, texts: list[int], target: TargetSettings) -> bool:
        """Whether the distinct correct texts of a problem make a set."""
        return (
            len(texts) >= target.correct
            and (self.pool.strategies(problem, texts)[1] if texts else 0) >= target.distinct
        )

    def pass_cost(self) -> float:
        """Return the price of one sample of each teacher for each problem."""
        return sum(self.cost(t, of[0]) for teachers in self.answers for t, of in enumerate(teachers) if of)


def fixed(draw: Draw, k: int, money: float, target: TargetSettings) -> tuple[int, float]:
    """Return (sets, spend) of k samples of every teacher for each problem, until the money is spent."""
    sets, spent = 0, 0.0
    for problem in draw.order:
        if spent >= money:
            break
        asked = [(t, answer) for t, of in enumerate(draw.answers[problem]) for answer in of[:k]]
        spent += sum(draw.cost(t, answer) for t, answer in asked)
        texts = list(dict.fromkeys(answer.text for _, answer in asked if answer.text >= 0))
        sets += draw.is_set(problem, texts, target)
    return sets, spent


def planned(draw: Draw, money: float, target: TargetSettings) -> tuple[int, float, int]:
    """Return (sets, spend, rounds) of the planner; what is asked when the money is spent counts."""
    pool = draw.pool
    most = np.array([[len(of) for of in draw.answers[p]] for p in draw.order], np.int64)
    ids = [content_hash(pool.problems[p], str(draw.order)) for p in draw.order]
    planner = Planner(ids, most, target)
    texts: list[dict[int, int]] = [{} for _ in draw.order]
    spent, rounds = 0.0, 0
    while spent < money and (asked := planner.next_round()):
        rounds += 1
        judged, changed = [], set()
        for request in asked:
            if spent >= money:
                break
            answer = draw.answers[draw.order[request.problem]][request.teacher][request.sample]
            cost = draw.cost(request.teacher, answer)
            spent += cost
            fresh = answer.text >= 0 and answer.text not in texts[request.problem]
            if fresh:
                texts[request.problem][answer.text] = request.teacher
                changed.add(request.problem)
            judged.append(Judged(request.problem, request.teacher, answer.text >= 0, fresh, cost))
        strategies = {}
        for at in changed:
            labels, distinct = pool.strategies(draw.order[at], list(texts[at]))
            strategies[at] = list(zip(texts[at].values(), labels, strict=True)), distinct
        planner.observe(judged, strategies)
    sets = sum(draw.is_set(draw.order[at], list(of), target) for at, of in enumerate(texts))
    return sets, spent, rounds


def compare(
    pools: list[Pool], prices: str, shares: tuple[float, ...], target: TargetSettings
) -> list[dict[str, object]]:
    """Return a row for each share of the spend: sets for the money of both ways, by seed, and their ratios.

    Args:
        pools: one for each seed.
    """
    rows: list[dict[str, object]] = []
    for share in shares:
        ratios, planner_sets, fixed_sets, rounds, seconds = [], [], [], [], []
        for seed, pool in enumerate(pools):
            draw = Draw(pool, SEEDS[seed], prices)
            money = draw.pass_cost() * share
            most = max(len(of) for teachers in draw.answers for of in teachers)
            sets, spent = max((fixed(draw, k, money, target) for k in range(1, most + 1)), key=lambda it: it[0] / it[1])
            began = time.process_time()
            own, own_spent, n = planned(draw, money, target)
            seconds.append(time.process_time() - began)
            ratios.append((own / own_spent) / (sets / spent) if sets else float("inf"))
            planner_sets.append(own)
            fixed_sets.append(sets)
            rounds.append(n)
        rows.append(
            {
                "pool": pools[0].name, "problems": len(pools[0].problems), "prices": prices, "spend": share,
                "fixed": statistics.mean(fixed_sets), "planner": statistics.mean(planner_sets),
                "ratio": statistics.mean(ratios), "worst": min(ratios), "best": max(ratios),
                "rounds": statistics.mean(rounds), "cpu_seconds": statistics.mean(seconds),
            }
        )  # fmt: skip
        print(json.dumps({k: round(v, 3) if isinstance(v, float) else v for k, v in rows[-1].items()}), flush=True)
    return rows


def main() -> None:
    """Compare what the command line names."""
    global SEEDS
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--traces", nargs="*", default=[])
    options.add_argument("--cache", type=Path, default=Path(".planner"), help="folder of what was computed of a file")
    options.add_argument("--problems", type=int, default=400, help="problems of the embedded task")
    options.add_argument("--samples", type=int, default=4, help="most samples of an embedded teacher for a problem")
    options.add_argument(
        "--first-seed", type=int, default=0, help="the first of the seeds; 0 for the published figures"
    )
    options.add_argument("--seeds", type=int, default=10)
    given = options.parse_args()
    SEEDS = range(given.first_seed, given.first_seed + given.seeds)
    target = TargetSettings.model_validate(TARGET)
    given.cache.mkdir(parents=True, exist_ok=True)
    several = [[of_file(path, given.cache)] * given.seeds for path in given.traces] or [
        [embedded(CONF, environment, given.samples, seed, given.problems) for seed in SEEDS]
        for environment in ("base", "tight")
    ]
    for pools in several:
        for prices in ("equal", "spread"):
            compare(pools, prices, SHARES, target)


if __name__ == "__main__":
    main()
