"""Train variants on pairs of trace sets and training seed, a line of JSON a training, and compare them pair by pair.

    python docs/results/laboratory.py results.jsonl --pairs 100-119 --study seed
    python docs/results/laboratory.py results.jsonl --environments base tight --pairs 7:0 7:1 8 --variants ssft grpo
    python docs/results/laboratory.py results.jsonl --print --against ssft --effect 0.03

7:1 is the trace sets of `seed=7` with training seed 1, 8 is 8:8, 100-119 are twenty pairs. `variants.yml` says what
the names stand for. Trace sets that are missing are made by `kedro run --pipelines=trace_generation`. A process works
on one pair, on one thread. A training that is in the file is not run again; supervised checkpoints are kept beside it.

pass_1 is the accuracy of a single sample as the variant is used: under the tag that is best on validation, or under the
policy's own tag. purity is of the final model's own matching, with neither prior nor labels, of the problems of split
test, which were not trained on: of the traces that their strategies write, the tag of each under the least total cost.
"""

import fcntl
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from studies import Results, Row, in_processes, options, show

from forkpipe.config import ProjectConfigLoader
from forkpipe.core.ids import unit_interval
from forkpipe.core.matching import match_optimal
from forkpipe.core.records import Completion, Problem
from forkpipe.core.statistics import mutual_information_bits, purity
from forkpipe.demo import modular_powers
from forkpipe.evaluation.metrics import compute_metrics
from forkpipe.evaluation.sampling import evaluated, sample_checkpoint
from forkpipe.parameters import Schedule, SupervisedSettings
from forkpipe.parameters.whole import Parameters
from forkpipe.pipelines.training.nodes import make_base_checkpoint, rl_problems, sets_of
from forkpipe.training.phases.base import Verify
from forkpipe.verification.row_verifier import unlimited

NAMES = ("environment", "set", "seed", "variant")
CATALOG = yaml.safe_load(Path(__file__).with_name("variants.yml").read_text())
SUPERVISED, POLICIES = CATALOG["supervised"], CATALOG["policies"]
VARIANTS = [*SUPERVISED, *POLICIES]


def parameters_of(environment: str, seed: int, samples: int | None = None) -> Parameters:
    """Return the parameters of a Kedro environment: one process for verification, so many samples a tag if given."""
    loader = ProjectConfigLoader("conf", env=environment, base_env="base", default_run_env="base",
                                 runtime_params={"seed": seed})  # fmt: skip
    raw = loader["parameters"]
    raw["verification"]["options"]["math"]["workers"] = 1
    if samples is not None:
        raw["evaluation"]["samples_per_tag"] = samples
    return Parameters.model_validate(raw)


def settings_of(parameters: Parameters, changes: Mapping[str, Any]) -> SupervisedSettings:
    """Return the settings of supervised training with some changed."""
    own = {name: value for name, value in changes.items() if name not in ("assignment", "tags")}
    return SupervisedSettings.model_validate({**parameters.supervised.model_dump(), **own})


def set_folder(environment: str, number: int) -> Path:
    """Return the folder with the tables of a set."""
    return Path("data", environment, f"seed{number}")


def make_set(environment: str, number: int) -> None:
    """Make the trace sets of a seed, unless they are there; other processes that need them wait."""
    folder = set_folder(environment, number)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "05_model_input/trace_sets.parquet").exists():
            given = f"--params=seed={number},parallel.workers=1"
            command = [sys.executable, "-m", "kedro", "run", f"--env={environment}", given]
            subprocess.run([*command, "--pipelines=trace_generation"], check=True, capture_output=True)


class Pair:
    """The data of one environment and set, and one training seed."""

    def __init__(
        self, environment: str, number: int, seed: int, kept: Path, samples: int | None, verify: Verify
    ) -> None:
        self.parameters, self.seed, self.verify = parameters_of(environment, number, samples), seed, verify
        self.kept = kept / f"{environment}-{number}-{seed}"
        data = set_folder(environment, number)
        self.problems = pq.read_table(data / "02_intermediate/problems.parquet")
        self.trace_sets = pq.read_table(data / "05_model_input/trace_sets.parquet")
        given = {"problems": self.problems, "parameters": self.parameters, "seed": seed, "verify": verify}
        self._accuracies = partial(accuracies, **given)

    def run(self, variant: str) -> Row:
        """Train and evaluate a variant; return what came of it."""
        started = time.process_time()
        result = self._supervised(variant) if variant in SUPERVISED else self._policy(variant)
        return {"cpu_seconds": time.process_time() - started, **result}

    def supervised(self, variant: str) -> Path:
        """Return the checkpoint of a supervised variant, trained where it is not there yet."""
        from forkpipe.training.supervised import train_supervised

        folder = self.kept / variant.replace(", ", "-").replace(" ", "_")
        if not (folder / "forking.json").exists():
            parameters, changes = self.parameters, SUPERVISED[variant]
            tags = parameters.tags.model_copy(update={"n": changes.get("tags", parameters.tags.n)})
            base = make_base_checkpoint(self.problems, self.trace_sets, parameters.model, tags, self.seed,
                                        work=self.kept / f"base{tags.n}")  # fmt: skip
            train_supervised(
                variant, base, folder, self.kept / "work", sets_of("train", self.trace_sets),
                settings_of(parameters, changes), changes.get("assignment", "optimal"), parameters.model.prompt,
                self.seed,
            )  # fmt: skip
        return folder

    def _supervised(self, variant: str) -> Row:
        started = time.process_time()
        checkpoint = self.supervised(variant)
        trained = time.process_time() - started
        plain = SUPERVISED[variant].get("assignment") == "single"
        result = {"train_cpu_seconds": trained, **self._accuracies(checkpoint)}
        if not plain:
            length = settings_of(self.parameters, SUPERVISED[variant]).prefix_length
            counts = self.held_out_matching(checkpoint, length)
            result |= {"purity": purity(counts), "bits": mutual_information_bits(counts)}
            result["purity_whole"] = purity(self.held_out_matching(checkpoint, None))
        return result

    def _policy(self, variant: str) -> Row:
        from forkpipe.stores.completions import CompletionStore
        from forkpipe.training.phases.base import Context
        from forkpipe.training.phases.schedule import train_policy

        plan = POLICIES[variant]
        parent = self.supervised(plan["parent"])
        phases = Schedule.model_validate(plan.get("phases") or getattr(self.parameters, plan["method"]).train)
        started = time.process_time()
        with tempfile.TemporaryDirectory(dir=self.kept) as folder:
            context = Context(
                variant, rl_problems(self.problems), sets_of("train", self.trace_sets), self.verify,
                self.parameters.rollouts, CompletionStore(None), self.parameters.model.prompt, self.seed,
            )  # fmt: skip
            log = train_policy(parent, Path(folder, "policy"), Path(folder, "work"), phases, context).log
            trained = time.process_time() - started
            plain = SUPERVISED[plan["parent"]].get("assignment") == "single"
            measured = self._accuracies(Path(folder, "policy"), own=not plain)
        return {"train_cpu_seconds": trained, "rollouts": sum(row["rollouts"] for row in log), **measured}

    def held_out_matching(self, checkpoint: Path, length: Any) -> np.ndarray:
        """Return how many traces of each strategy the model itself puts under each tag, (N, strategies)."""
        import torch

        from forkpipe.models.checkpoint import load_checkpoint
        from forkpipe.training.config import SSFTConfig
        from forkpipe.training.costs import CostSettings, matching_costs
        from forkpipe.training.sequences import SetCollator, encode_sets

        model, tokenizer, tags = load_checkpoint(checkpoint)
        config = SSFTConfig(output_dir="", prompt=self.parameters.model.prompt, prefix_length=length,
                            auto_divergence=self.parameters.supervised.auto_divergence, report_to=[])  # fmt: skip
        encoded = encode_sets(self.held_out_sets(), tokenizer, tags, config)
        collate = SetCollator(tag_length=tags.length, pad_id=tokenizer.pad_token_id)
        names = sorted(modular_powers.STRATEGIES)
        counts = np.zeros((tags.n, len(names)))
        for start in range(0, len(encoded), 32):
            rows = [encoded[i] for i in range(start, min(start + 32, len(encoded)))]
            costs = matching_costs(
                model, collate(rows), list(range(len(rows))), torch.tensor(tags.token_ids), CostSettings(16384, 4096)
            )
            for row, cost in zip(rows, costs, strict=True):
                for tag, strategy in zip(match_optimal(cost), row["strategies"], strict=True):
                    counts[tag, names.index(strategy)] += 1
        return counts

    def held_out_sets(self) -> list[Row]:
        """Return sets of M correct traces of the problems of split test, by strategies that fit the tokens allowed."""
        budgets = {
            teacher.strategy: teacher.sampling.max_tokens for teacher in self.parameters.generation.teachers.values()
        }
        sets = []
        for problem in (Problem.from_row(row) for row in self.problems.to_pylist() if row["split"] == "test"):
            power = modular_powers.parse(problem.problem)
            traces = [
                {"text": " ".join(words), "strategy": name, "trace_id": name}
                for name, solve in modular_powers.STRATEGIES.items()
                if len(words := solve(power, modular_powers.no_slip)) <= budgets[name]
            ]
            traces.sort(key=lambda trace: unit_interval("held out", problem.problem_id, trace["strategy"]))
            if len(traces) >= self.parameters.trace_sets.min_strategies:
                kept = traces[: self.parameters.trace_sets.max_traces]
                sets.append({"problem_id": problem.problem_id, "problem": problem.problem, "traces": kept})
        return sets


def accuracies(
    checkpoint: Path, problems: pa.Table, parameters: Parameters, seed: int, verify: Verify, own: bool = False
) -> Row:
    """Sample validation and test; return accuracies on test, under forced tags or under the policy's own.

    pass_n and cons take N samples, one under each tag; under own tags, or one plain tag, any N.
    """
    asked = evaluated(problems.to_pylist(), None)
    total = parameters.evaluation.samples_per_tag * parameters.tags.n
    rows = sample_checkpoint(
        "variant", checkpoint, asked, parameters.evaluation, parameters.model.prompt,
        total // 2 if own else total, own=own, seed=seed, by_tag=not own,
    )  # fmt: skip
    by_id = {problem.problem_id: problem for problem in asked}
    verdicts = verify(
        [by_id[row["problem_id"]] for row in rows],
        [Completion("", text=row["text"], finish_reason=row["finish_reason"]) for row in rows],
    )
    scored = [
        {**row, "verdict": verdict.verdict, "extracted": verdict.extracted, "verifier": "math", "detail": None}
        for row, verdict in zip(rows, verdicts, strict=True)
    ]
    metrics = compute_metrics([pa.Table.from_pylist(scored)], ks=[parameters.tags.n], seed=seed)
    values = {
        (row["protocol"].partition("@")[0], row["policy"], row["k"]): row["value"]
        for row in metrics
        if row["split"] == "test"
    }
    n = max(k for _, _, k in values)
    policy = "own" if own else "native" if ("pass", "native", n) in values else "mixed"
    return {
        "pass_1": values["pass", "best_tag" if policy == "native" else policy, 1],
        "cons": values["cons", policy, n],
        "pass_n": values["pass", policy, n],
        "mixed": None if own else values["pass", "mixed", 1],
    }


def work(path: Path, samples: int | None, variants: Sequence[str], environment: str, number: int, seed: int) -> None:
    """Train and evaluate the variants that the file has not, for one pair."""
    import torch
    from datasets import disable_progress_bars

    from forkpipe.training.phases.rewards import verifying

    torch.set_num_threads(1)
    disable_progress_bars()
    results = Results(path, NAMES)
    missing = [variant for variant in variants if not results.has(environment, number, seed, variant)]
    if not missing:
        return
    make_set(environment, number)
    kept = path.with_suffix(".checkpoints")
    with verifying(unlimited(parameters_of(environment, number).verification)) as verify:
        pair = Pair(environment, number, seed, kept, samples, verify)
        for variant in missing:
            named = dict(zip(NAMES, (environment, number, seed, variant), strict=True))
            results.add({**named, **pair.run(variant)}, ("pass_1", "cpu_seconds"))


def pairs_of(texts: Sequence[str]) -> list[tuple[int, int]]:
    """Return pairs of set and seed; see the module.

    >>> pairs_of(["3", "7:1", "10-11"])
    [(3, 3), (7, 1), (10, 10), (11, 11)]
    """
    pairs = []
    for text in texts:
        first, dash, last = text.partition("-")
        if dash:
            pairs += [(number, number) for number in range(int(first), int(last) + 1)]
        else:
            number, _, seed = text.partition(":")
            pairs.append((int(number), int(seed or number)))
    return pairs


def main() -> None:
    """Run what is missing, or print what there is."""
    parser = options(__doc__)
    parser.add_argument("--pairs", nargs="+", default=["0"])
    parser.add_argument("--study", choices=CATALOG["studies"], default="seed")
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, help="in place of those of a study")
    parser.add_argument("--samples-per-tag", type=int, help="in place of the environment's")
    parser.add_argument("--processes", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--against", default="ssft", help="the variant that others are compared with")
    parser.add_argument("--effect", type=float, default=0.03)
    given = parser.parse_args()
    if not given.print:
        given.results.parent.mkdir(parents=True, exist_ok=True)
        variants = given.variants or CATALOG["studies"][given.study]
        pairs = [(environment, *pair) for pair in pairs_of(given.pairs) for environment in given.environments]
        in_processes(partial(work, given.results, given.samples_per_tag, variants), pairs, given.processes)
    show(Results(given.results, NAMES).rows, given.against, given.effect)


if __name__ == "__main__":
    main()
