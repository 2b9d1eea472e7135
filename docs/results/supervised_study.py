"""Train and evaluate the supervised methods under many settings, a line of JSON a training.

    kedro run --env=base --params=seed=0 --pipelines=trace_generation      # for every environment and seed
    python docs/results/supervised_study.py results.jsonl --environments base tight --seeds 0 1 2 3 4 --study methods
    python docs/results/supervised_study.py results.jsonl --environments base --seeds 0 1 2 --study ablations
    python docs/results/supervised_study.py results.jsonl --print

A training that is in the file already is not run again. Everything runs on one thread.
"""

import json
import statistics
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from studies import Results, options

from forkpipe.core.matching import margins, match_optimal
from forkpipe.core.records import Problem
from forkpipe.core.statistics import mutual_information_bits, purity
from forkpipe.evaluation.metrics import compare, compute_metrics, headline
from forkpipe.evaluation.sampling import sample_checkpoint
from forkpipe.parameters import EvaluationSettings, ModelSettings, SupervisedSettings, TagSettings, VerificationSettings
from forkpipe.parameters.methods import SUPERVISED
from forkpipe.pipelines.evaluation.nodes import score_generations
from forkpipe.pipelines.training.nodes import make_base_checkpoint, sets_of

CONF = Path("conf/base")
CLEAR = 0.02
"""A matching counts for agreement where the next best costs this much more, nats a token, in every trace."""

METHODS = [(method, {}) for method in SUPERVISED]
ABLATIONS = [
    *[("ssft", {"prefix_length": length}) for length in (4, 8, None)],
    *[("ssft", {"prefix_length": "auto", "auto_divergence": d}) for d in (4, 8)],
    *[("ssft", {"rematch_every": k}) for k in (1, 16)],
    *[("ssft", {"tags": n}) for n in (4, 12)],
    *[("ssft", {"tag_weight": weight}) for weight in (0.0, 1.0)],
]
STUDIES = {"methods": METHODS, "ablations": ABLATIONS, "tag_weight": [a for a in ABLATIONS if "tag_weight" in a[1]]}


def settings_of(changes: dict[str, Any]) -> SupervisedSettings:
    """Return the embedded default's settings with some changed."""
    common = yaml.safe_load((CONF / "parameters_training.yml").read_text())["supervised"]
    return SupervisedSettings.model_validate({**common, **{k: v for k, v in changes.items() if k != "tags"}})


def study(environment: str, seed: int, method: str, changes: dict[str, Any]) -> dict[str, Any]:
    """Train one method and return what came of it."""
    # Here and below: processes that verify import this file, and need none of it.
    from forkpipe.training.supervised import train_supervised

    parameters = yaml.safe_load((CONF / "parameters.yml").read_text())
    model = ModelSettings.model_validate(parameters["model"])
    tags = TagSettings(n=changes.get("tags", 6))
    data = Path("data", environment, f"seed{seed}")
    problems = pq.read_table(data / "02_intermediate/problems.parquet")
    trace_sets = pq.read_table(data / "05_model_input/trace_sets.parquet")
    settings = settings_of(changes)
    with tempfile.TemporaryDirectory() as folder:
        base = make_base_checkpoint(problems, trace_sets, model, tags, seed, work=Path(folder, "base"))
        checkpoint, started = Path(folder, method), time.perf_counter()
        result = train_supervised(
            method, base, checkpoint, Path(folder, "work"), sets_of("train", trace_sets), settings,
            SUPERVISED[method], model.prompt, seed,
        )  # fmt: skip
        seconds = time.perf_counter() - started
        found = {
            "environment": environment,
            "seed": seed,
            "method": method,
            "changes": changes,
            "seconds": seconds,
            "step_seconds": sum(row["seconds"] for row in result.training_log),
            "matching_seconds": sum(row["matching_seconds"] for row in result.training_log),
            **evaluated(
                method, checkpoint, problems, parameters, model, tags, seed, own=_asks_for_own_tag(method, changes)
            ),
            **matched(result.matching, tags.n),
        }
        if method == "ssft":
            found |= agreement(checkpoint, trace_sets, settings, model)
    return found


def _asks_for_own_tag(method: str, changes: dict[str, Any]) -> bool:
    """Whether the tag that the model writes by itself is of interest: it doubles the time of sampling."""
    return method != "sft" and (not changes or "tag_weight" in changes)


def evaluated(
    method: str,
    checkpoint: Path,
    problems: pa.Table,
    parameters: dict,
    model: ModelSettings,
    tags: TagSettings,
    seed: int,
    own: bool,
) -> dict[str, Any]:
    """Sample validation and test, return accuracies on test; the best tag is chosen on validation."""
    raw = yaml.safe_load((CONF / "parameters_training.yml").read_text())["evaluation"]
    settings = EvaluationSettings.model_validate(raw)
    chosen = [Problem.from_row(row) for row in problems.to_pylist() if row["split"] in ("validation", "test")]
    total = settings.samples_per_tag * tags.n
    rows = sample_checkpoint(method, checkpoint, chosen, settings, model.prompt, total, own=own, seed=seed)
    verification = VerificationSettings.model_validate(parameters["verification"])
    scores = score_generations(pa.Table.from_pylist(rows), problems, verification)
    metrics = compute_metrics([pa.Table.from_pylist(scores)], ks=[1, 6], seed=seed)
    comparison = compare(metrics, {method: {"tokens_trained": 0, "rollouts": 0}}, {method: 0})
    head = headline(comparison)[0]
    mixed = next(row["value"] for row in comparison if (row["protocol"], row["policy"]) == ("pass@1", "mixed"))
    own = next((row["value"] for row in comparison if (row["protocol"], row["policy"]) == ("pass@1", "own")), None)
    return {"pass_1": head["pass_1"], "cons": head["cons_n"], "pass_n": head["pass_n"], "mixed": mixed, "own": own}


def matched(log: list[dict[str, Any]], n_tags: int) -> dict[str, Any]:
    """Return information and purity of the last matching of every problem; teachers are strategies here."""
    last = {(row["problem_id"], row["trace_id"]): row for row in sorted(log, key=lambda row: row["visit"])}
    if not last:
        return {}
    teachers = sorted({row["teacher"] for row in last.values()})
    counts = np.zeros((n_tags, len(teachers)))
    for row in last.values():
        counts[row["tag"], teachers.index(row["teacher"])] += 1
    return {"bits": mutual_information_bits(counts), "purity": purity(counts)}


def agreement(
    checkpoint: Path, trace_sets: pa.Table, settings: SupervisedSettings, model: ModelSettings
) -> dict[str, Any]:
    """Return how often prefix and whole traces give one matching, where that of whole traces is clear."""
    import torch

    from forkpipe.models.checkpoint import load_checkpoint
    from forkpipe.training.config import SSFTConfig
    from forkpipe.training.costs import CostSettings, matching_costs
    from forkpipe.training.sequences import SetCollator, encode_sets

    trained, tokenizer, tags = load_checkpoint(checkpoint)
    rows = trace_sets.to_pylist()
    tables = {}
    for name, length in (("prefix", settings.prefix_length), ("whole", None)):
        config = SSFTConfig(
            output_dir="unused", prompt=model.prompt, prefix_length=length, auto_divergence=settings.auto_divergence
        )
        encoded = encode_sets(rows, tokenizer, tags, config)
        collate = SetCollator(tag_length=tags.length, pad_id=tokenizer.pad_token_id)
        tables[name] = []
        for start in range(0, len(encoded), 32):
            batch = collate([encoded[i] for i in range(start, min(start + 32, len(encoded)))])
            due = list(range(len(batch["problem_index"])))
            tables[name] += matching_costs(trained, batch, due, torch.tensor(tags.token_ids), CostSettings(65536, 4096))
        tables[name + "_length"] = float(np.mean(encoded["prefix_length"])) if name == "prefix" else None
    same = clear = 0
    for prefix, whole in zip(tables["prefix"], tables["whole"], strict=True):
        tags_found = match_optimal(whole)
        if min(m for m in margins(whole, tags_found) if m is not None) > CLEAR:
            clear += 1
            same += (match_optimal(prefix) == tags_found).all()
    return {"agreement": same / clear if clear else None, "clear": clear, "mean_L": tables["prefix_length"]}


def spread(values: list[float]) -> str:
    """Return mean and standard deviation over seeds."""
    known = [value for value in values if value is not None]
    if not known:
        return "-"
    return f"{statistics.mean(known):.3f}" + (f" ± {statistics.stdev(known):.3f}" if len(known) > 1 else "")


def overhead(row: dict[str, Any]) -> float:
    """Return the time of the steps over what they would take without matching."""
    return row["step_seconds"] / (row["step_seconds"] - row["matching_seconds"])


def show(rows: list[dict[str, Any]]) -> None:
    """Print a table an environment: mean and standard deviation over seeds."""
    groups = defaultdict(list)
    for row in rows:
        groups[row["environment"], row["method"], json.dumps(row["changes"])].append(row)
    for environment in sorted({key[0] for key in groups}):
        print(f"\n### `{environment}`\n")
        print("| | seeds | pass@1, as used | pass@1, mean over tags | own tag | cons@6 | pass@6 | bits | purity "
              "| step time over SFT's | agreement with whole traces | mean L |\n|" + "---|" * 12)  # fmt: skip
        for (where, method, changes), found in groups.items():
            if where != environment:
                continue
            name = ", ".join([method, *(f"{k} {v}" for k, v in json.loads(changes).items())])
            columns = [
                [row.get(column) for row in found]
                for column in ("pass_1", "mixed", "own", "cons", "pass_n", "bits", "purity")
            ]
            columns += [
                [overhead(row) for row in found],
                [row.get("agreement") for row in found],
                [row.get("mean_L") for row in found],
            ]
            print(f"| {name} | {len(found)} | " + " | ".join(map(spread, columns)) + " |")


def main() -> None:
    """Run what is missing, or print what there is."""
    parser = options(__doc__)
    parser.add_argument("--study", choices=STUDIES, default="methods")
    arguments = parser.parse_args()
    results = Results(arguments.results, ("environment", "seed", "method", "changes"))
    if arguments.print:
        show(results.rows)
        return
    import torch

    torch.set_num_threads(1)
    for seed in arguments.seeds:
        for environment in arguments.environments:
            for method, changes in STUDIES[arguments.study]:
                if not results.has(environment, seed, method, changes):
                    results.add(study(environment, seed, method, changes), ("pass_1",))


if __name__ == "__main__":
    main()
