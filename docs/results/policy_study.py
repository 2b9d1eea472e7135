"""Train and evaluate policies from supervised checkpoints, a line of JSON a training.

    kedro run --env=base --params=seed=0 --pipelines=trace_generation      # for every environment and seed
    python docs/results/policy_study.py results.jsonl --environments base tight --seeds 0 1 2 3 4 --study main
    python docs/results/policy_study.py results.jsonl --print

A training that is in the file already is not run again; parents are kept beside it. Everything runs on one thread, and
every policy draws the same number of rollouts.
"""

import shutil
import statistics
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from studies import Results, options
from supervised_study import CONF, settings_of

from forkpipe.core.metrics import cons_at_k, pass_at_k
from forkpipe.core.records import Problem
from forkpipe.core.statistics import paired_difference
from forkpipe.evaluation.sampling import sample_checkpoint
from forkpipe.parameters import (
    EvaluationSettings,
    ModelSettings,
    RolloutSettings,
    Schedule,
    TagSettings,
    VerificationSettings,
)
from forkpipe.pipelines.evaluation.nodes import score_generations
from forkpipe.pipelines.training.nodes import make_base_checkpoint, rl_problems, sets_of

PARENTS = {
    "sft": ("single", {}),
    "ssft": ("optimal", {}),
    "ssft, tag weight 1": ("optimal", {"tag_weight": 1.0}),
    "ssft_random": ("random", {}),
}
PLAIN = {"kind": "traces", "learning_rate": 1e-4}
OWN = {"kind": "traces", "tag": "own", "learning_rate": 1e-4}
HEAD = {"kind": "tags", "scope": "head", "learning_rate": 1e-2}
ROUTER = {"kind": "tags", "scope": "router", "learning_rate": 3e-3}
FULL = {"kind": "tags", "scope": "full", "learning_rate": 1e-3, "refresh_every": 15}
LORA = {**FULL, "scope": "lora", "learning_rate": 3e-3}
TRACES = {"kind": "traces", "tag": "router", "learning_rate": 1e-4, "router_learning_rate": 1e-3}
FORK_RL = {"router": {**ROUTER, "steps": 15}, "traces": TRACES}
FOLD = {"kind": "fold", "steps": 300, "learning_rate": 1e-3}


def anchored(phase: dict[str, Any], kind: str) -> dict[str, Any]:
    """Return the schedule of one phase with an anchor."""
    return {"tags": {**phase, "anchor": {"kind": kind}}}


MAIN = {
    "grpo": ("sft", {"traces": PLAIN}),
    "gfpo head": ("ssft", {"tags": HEAD}),
    "gfpo router": ("ssft", {"tags": ROUTER}),
    "fork_rl": ("ssft", FORK_RL),
    "grpo from ssft": ("ssft", {"traces": OWN}),
}
MORE = {
    "fork_rl, tag weight 1": ("ssft, tag weight 1", FORK_RL),
    "grpo from ssft_random": ("ssft_random", {"traces": OWN}),
    "gfpo head, tag weight 1": ("ssft, tag weight 1", {"tags": HEAD}),
    "gfpo full, kl": ("ssft", anchored(FULL, "kl")),
    "gfpo full, replay": ("ssft", anchored(FULL, "replay")),
    "gfpo lora, kl": ("ssft", anchored(LORA, "kl")),
    "gfpo lora, replay": ("ssft", anchored(LORA, "replay")),
    "fork_rl, folded": ("ssft", {**FORK_RL, "fold": FOLD}),
}
RATES = {
    **{f"grpo {rate:g}": ("sft", {"traces": {**PLAIN, "learning_rate": rate}}) for rate in (3e-5, 3e-4, 6e-4)},
    **{f"grpo from ssft {rate:g}": ("ssft", {"traces": {**OWN, "learning_rate": rate}}) for rate in (3e-4,)},
    **{f"gfpo head {rate:g}": ("ssft", {"tags": {**HEAD, "learning_rate": rate}}) for rate in (3e-3,)},
    **{f"gfpo router {rate:g}": ("ssft", {"tags": {**ROUTER, "learning_rate": rate}}) for rate in (1e-3,)},
    **{
        f"fork_rl {rate:g}": ("ssft", {**FORK_RL, "traces": {**TRACES, "learning_rate": rate}}) for rate in (3e-5, 3e-4)
    },
}
STUDIES = {"main": MAIN, "more": MORE, "rates": RATES}
EVERY = {**MAIN, **MORE, **RATES}
DRAWS = 12
"""Samples a problem for evaluation."""


class Setting:
    """The data and parameters of one environment and seed."""

    def __init__(self, environment: str, seed: int, kept: Path) -> None:
        self.environment, self.seed, self.kept = environment, seed, kept / f"{environment}-{seed}"
        self.parameters = yaml.safe_load((CONF / "parameters.yml").read_text())
        training = yaml.safe_load((CONF / "parameters_training.yml").read_text())
        self.model = ModelSettings.model_validate(self.parameters["model"])
        self.rollouts = RolloutSettings.model_validate(training["rollouts"])
        self.evaluation = EvaluationSettings.model_validate(training["evaluation"])
        self.verification = VerificationSettings.model_validate(self.parameters["verification"])
        data = Path("data", environment, f"seed{seed}")
        self.problems = pq.read_table(data / "02_intermediate/problems.parquet")
        self.trace_sets = pq.read_table(data / "05_model_input/trace_sets.parquet")

    def parent(self, name: str) -> Path:
        """Return the supervised checkpoint of this name, trained where it is not there yet."""
        from forkpipe.training.supervised import train_supervised

        folder = self.kept / name.replace(", ", "-").replace(" ", "_")
        if not (folder / "forking.json").exists():
            base = make_base_checkpoint(
                self.problems, self.trace_sets, self.model, TagSettings(), self.seed, work=self.kept / "base"
            )
            assignment, changes = PARENTS[name]
            work = self.kept / "work"
            sets = sets_of("train", self.trace_sets)
            train_supervised(
                name, base, folder, work, sets, settings_of(changes), assignment, self.model.prompt, self.seed
            )
        return folder

    def train(self, name: str) -> dict[str, Any]:
        """Train one policy and return what came of it."""
        from forkpipe.stores.completions import CompletionStore
        from forkpipe.training.phases.base import Context
        from forkpipe.training.phases.rewards import verifying
        from forkpipe.training.phases.schedule import train_policy

        parent_name, phases = EVERY[name]
        parent = self.parent(parent_name)
        folder, work = self.kept / "policy", self.kept / "policy_work"
        shutil.rmtree(folder, ignore_errors=True)
        started = time.perf_counter()
        with verifying(self.verification) as verify:
            context = Context(
                name,
                rl_problems(self.problems),
                sets_of("train", self.trace_sets),
                verify,
                self.rollouts,
                CompletionStore(self.kept / "rollouts.jsonl"),
                self.model.prompt,
                self.seed,
            )
            result = train_policy(parent, folder, work, Schedule.model_validate(phases), context)
        seconds = time.perf_counter() - started
        drawn = sum(row["rollouts"] for row in result.log)
        return {"seconds": seconds, "rollouts": drawn, **self.evaluate(folder, plain=parent_name == "sft")}

    def evaluate(self, folder: Path, plain: bool) -> dict[str, Any]:
        """Return accuracies by draws of the policy: on validation, and on test by problem."""
        found: dict[str, Any] = {}
        for split in ("validation", "test"):
            chosen = [Problem.from_row(row) for row in self.problems.to_pylist() if row["split"] == split]
            # A plain model's samples are under its one tag, a policy's under the tags that it draws.
            rows = sample_checkpoint(
                "policy", folder, chosen, self.evaluation, self.model.prompt, DRAWS, own=not plain, seed=self.seed,
                by_tag=plain,
            )  # fmt: skip
            scores = score_generations(pa.Table.from_pylist(rows), self.problems, self.verification)
            by_problem = defaultdict(list)
            for row in scores:
                by_problem[row["problem_id"]].append(row)
            measured = [self._measured(by_problem[one.problem_id]) for one in chosen]
            for position, name in enumerate(("pass_1", "cons_6", "pass_6")):
                found[f"{split}_{name}"] = statistics.mean(one[position] for one in measured)
            if split == "test":
                found["by_problem"] = [one[0] for one in measured]
        return found

    def _measured(self, rows: list[dict[str, Any]]) -> tuple[float, float, float]:
        right = [row["verdict"] == "correct" for row in rows]
        # All correct answers are one vote; what is neither right nor wrong abstains.
        votes = [{"correct": "correct", "wrong": f"wrong {row['extracted']}"}.get(row["verdict"]) for row in rows]
        return (
            sum(right) / len(right),
            cons_at_k(votes, right, 6, seed=self.seed),
            pass_at_k(len(right), sum(right), 6),
        )


def show(rows: list[dict[str, Any]]) -> None:
    """Print a table an environment: mean and standard deviation over seeds, and paired differences to grpo."""
    for environment in sorted({row["environment"] for row in rows}):
        here = [row for row in rows if row["environment"] == environment]
        baseline = {row["seed"]: row for row in here if row["policy"] == "grpo"}
        print(
            f"\n### `{environment}`\n\n| | seeds | validation pass@1 | test pass@1 | cons@6 | pass@6 "
            "| pass@1 - grpo, by seed | better seeds | 95 % over problems | seconds |\n|" + "---|" * 10
        )
        for policy in EVERY:
            found = [row for row in here if row["policy"] == policy]
            if not found:
                continue
            columns = [spread([row[f"{name}"] for row in found]) for name in
                       ("validation_pass_1", "test_pass_1", "test_cons_6", "test_pass_6")]  # fmt: skip
            pairs = [(row, baseline[row["seed"]]) for row in found if row["seed"] in baseline]
            gains = [a["test_pass_1"] - b["test_pass_1"] for a, b in pairs]
            a = [value for row, _ in pairs for value in row["by_problem"]]
            b = [value for _, row in pairs for value in row["by_problem"]]
            _, low, high = paired_difference(a, b, 2000, 0) if pairs else (0, 0, 0)
            compared = policy != "grpo" and pairs
            columns += [spread(gains, signed=True) if compared else "",
                        f"{sum(gain > 0 for gain in gains)} of {len(gains)}" if compared else "",
                        f"[{low:+.3f}, {high:+.3f}]" if compared else "",
                        f"{statistics.median(row['seconds'] for row in found):.0f}"]  # fmt: skip
            print(f"| {policy} | {len(found)} | " + " | ".join(columns) + " |")


def spread(values: list[float], signed: bool = False) -> str:
    """Return mean and standard deviation over seeds."""
    plus = "+" if signed else ""
    mean = f"{statistics.mean(values):{plus}.3f}"
    return mean + (f" ± {statistics.stdev(values):.3f}" if len(values) > 1 else "")


def main() -> None:
    """Run what is missing, or print what there is."""
    parser = options(__doc__)
    parser.add_argument("--study", choices=STUDIES, default="main")
    parser.add_argument("--only", nargs="+", help="names of policies within the study")
    arguments = parser.parse_args()
    results = Results(arguments.results, ("environment", "seed", "policy"))
    if arguments.print:
        show(results.rows)
        return
    import torch

    torch.set_num_threads(1)
    kept = arguments.results.with_suffix(".checkpoints")
    for seed in arguments.seeds:
        for environment in arguments.environments:
            for policy in arguments.only or STUDIES[arguments.study]:
                if not results.has(environment, seed, policy):
                    named = {"environment": environment, "seed": seed, "policy": policy}
                    row = {**named, **Setting(environment, seed, kept).train(policy)}
                    results.add(row, ("validation_pass_1", "test_pass_1", "seconds"))


if __name__ == "__main__":
    main()
