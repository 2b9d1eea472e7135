"""What the first rows of special tags do to a pretrained model: the figures of 2026-11-28-pretrained-tags.md.

    python docs/results/pretrained_tags_study.py MODEL TRACES --part rows
    python docs/results/pretrained_tags_study.py MODEL TRACES --part precision
    python docs/results/pretrained_tags_study.py MODEL TRACES --part training --rows words --style special

MODEL is a checkpoint folder, TRACES a JSONL file (gzipped or not) with problem_id, problem, teacher, trace, correct.
"""

import argparse
import gzip
import json
import logging
import time
from collections import defaultdict
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch

from forkpipe import SSFTConfig, SSFTTrainer, add_tags
from forkpipe.core.matching import margins, match_optimal
from forkpipe.core.statistics import mutual_information_bits
from forkpipe.models.adapters import lora_config
from forkpipe.models.checkpoint import Checkpoint
from forkpipe.parameters import LoraSettings
from forkpipe.training.costs import CostSettings, matching_costs

TAGS, TRACES = 6, 4


def trace_sets(path, n, longest):
    """Return the first n problems with short correct traces of four teachers, the same four throughout."""
    by_problem = defaultdict(dict)
    with gzip.open(path, "rt") if str(path).endswith(".gz") else Path(path).open() as lines:
        for row in map(json.loads, lines):
            if row["correct"] and len(row["trace"]) <= longest:
                by_problem[row["problem_id"], row["problem"]].setdefault(row["teacher"], row["trace"])
    counts = defaultdict(int)
    for traces in by_problem.values():
        for teacher in traces:
            counts[teacher] += 1
    teachers = sorted(counts, key=lambda name: (-counts[name], name))[:TRACES]
    return [
        {
            "problem_id": key,
            "problem": problem,
            "traces": [{"text": traces[name], "teacher": name} for name in teachers],
        }
        for (key, problem), traces in by_problem.items()
        if all(name in traces for name in teachers)
    ][:n]


def trainer_of(model, sets, rows="words", style="special", lora=True, **changes):
    """Return a trainer of a pretrained model with tags."""
    checkpoint = Checkpoint(model)
    weights, tokenizer = checkpoint.load_model(), checkpoint.tokenizer
    tags = add_tags(weights, tokenizer, TAGS, style, rows)
    defaults = {
        "output_dir": "study", "report_to": [], "use_cpu": True, "save_strategy": "no", "disable_tqdm": True,
        "dataloader_pin_memory": False, "max_steps": 24, "per_device_train_batch_size": 2, "learning_rate": 5e-4,
        "warmup_steps": 2, "logging_steps": 1, "seed": 0,
    }  # fmt: skip
    return SSFTTrainer(
        weights,
        SSFTConfig(**{**defaults, **changes}),
        processing_class=tokenizer,
        tags=tags,
        train_dataset=sets,
        peft_config=lora_config(LoraSettings(rank=16, alpha=32)) if lora else None,
    )


def study_rows(options):
    """Print what the tags do before training, for each kind of rows."""
    for style, rows in (("special", "mean"), ("special", "words"), ("text", "words")):
        sets = trace_sets(options.traces, options.sets, options.longest)
        check = trainer_of(options.model, sets, rows, style, lora=False).check_tags()
        print(
            f"{style} {rows}: {check.line()}; indistinguishable {check.indistinguishable}, broken {check.broken}",
            flush=True,
        )


@contextmanager
def in_float32(modules):
    """Within the block, modules compute in float32 under autocast."""

    def wrap(forward):
        def exact(*args, **kwargs):
            def up(value):
                if isinstance(value, tuple):
                    return tuple(map(up, value))
                return value.float() if torch.is_tensor(value) and value.is_floating_point() else value

            with torch.autocast("cpu", enabled=False):
                return forward(*map(up, args), **{name: up(value) for name, value in kwargs.items()})

        return exact

    for module in modules:
        module.forward = wrap(module.forward)
    try:
        yield
    finally:
        for module in modules:
            del module.forward


def study_precision(options):
    """Print the error of bf16 costs, and the tags that change, with parts of the forward pass in float32."""
    trainer = trainer_of(options.model, trace_sets(options.traces, options.sets, options.longest), lora=False)
    model, data = trainer.model.eval(), trainer.train_dataset
    tag_ids = torch.tensor(trainer.tags.token_ids)

    def costs(exact, autocast=True):
        started = time.process_time()
        with in_float32(exact), torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
            tables = [
                matching_costs(model, trainer.data_collator([row]), [0], tag_ids, CostSettings(65536, 1024))[0]
                for row in data
            ]
        return tables, time.process_time() - started

    layers = model.model.layers
    parts = {
        "nothing": [],
        "output matrix": [model.lm_head],
        "output matrix, attention": [model.lm_head, *(layer.self_attn for layer in layers)],
        "output matrix, feed-forward": [model.lm_head, *(layer.mlp for layer in layers)],
        "layers": list(layers),
    }
    reference, seconds = costs([], autocast=False)
    tags = [match_optimal(table) for table in reference]
    slack = [m for table, one in zip(reference, tags, strict=True) for m in margins(table, one)]
    print(f"float32: {seconds:.0f} s CPU; margins, quartiles {np.percentile(slack, [25, 50, 75])}", flush=True)
    for name, modules in parts.items():
        tables, seconds = costs(modules)
        errors = [(a - b) - (a - b).mean(axis=0) for a, b in zip(tables, reference, strict=True)]
        rms = np.sqrt(np.mean(np.concatenate([error.ravel() for error in errors]) ** 2))
        same = np.mean(np.concatenate([match_optimal(a) == b for a, b in zip(tables, tags, strict=True)]))
        print(f"bf16, in float32 {name}: error {rms:.2e}, same tags {same:.2f}, {seconds:.0f} s CPU", flush=True)


def study_training(options):
    """Train, and print how far the tags tell the teachers apart."""
    sets = trace_sets(options.traces, options.sets, options.longest)
    trainer = trainer_of(options.model, sets, options.rows, options.style, bf16=True, max_steps=options.steps)
    started = time.process_time()
    trainer.train()
    for logs in trainer.state.log_history:
        if "trace_loss" in logs and logs["step"] % 4 in (0, 1):
            print(logs["step"], {name: round(logs[name], 3) for name in ("trace_loss", "tag_loss", "matching_seconds")})
    rows = trainer.matchings.log
    teachers = sorted({row["teacher"] for row in rows})
    for name, part in (("all", rows), ("second half", [row for row in rows if row["step"] >= options.steps // 2])):
        table = np.zeros((TAGS, len(teachers)))
        for row in part:
            table[row["tag"], teachers.index(row["teacher"])] += 1
        draws = np.random.default_rng(0)
        chance = np.mean([_shuffled(part, teachers, draws) for _ in range(200)])
        print(f"{name}: {mutual_information_bits(table):.3f} bits between tag and teacher, by chance {chance:.3f}")
        print(table.astype(int).tolist())
    print(f"margins, median {np.median([row['margin'] for row in rows]):.2e}; error, median", end=" ")
    print(f"{np.median([row['margin_noise'] for row in rows]):.1e}; {trainer.matchings.measured}")
    print(trainer.check_tags().line())
    print(f"{time.process_time() - started:.0f} s CPU, of them matching {trainer.matching_seconds:.0f} s of the clock")


def _shuffled(rows, teachers, draws):
    """Return the information after each problem's traces got random distinct tags."""
    table = np.zeros((TAGS, len(teachers)))
    for start in range(0, len(rows), TRACES):
        tags = draws.permutation(TAGS)
        for row, tag in zip(rows[start : start + TRACES], tags, strict=False):
            table[tag, teachers.index(row["teacher"])] += 1
    return mutual_information_bits(table)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("traces")
    parser.add_argument("--part", choices=("rows", "precision", "training"), required=True)
    parser.add_argument("--rows", default="words")
    parser.add_argument("--style", default="special")
    parser.add_argument("--sets", type=int, default=6)
    parser.add_argument("--longest", type=int, default=700, help="characters of a trace")
    parser.add_argument("--steps", type=int, default=24)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    logging.basicConfig(level=logging.WARNING)
    {"rows": study_rows, "precision": study_precision, "training": study_training}[arguments.part](arguments)
