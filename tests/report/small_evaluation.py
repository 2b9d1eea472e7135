"""A small synthetic evaluation of five methods, and the report of it."""

import random

import pyarrow as pa

from forkpipe.core.schemas import SCHEMAS
from forkpipe.evaluation.metrics import compare, compute_metrics
from forkpipe.evaluation.sample_texts import sample_texts
from forkpipe.evaluation.tag_information import tag_information
from forkpipe.parameters import EvaluationSettings
from forkpipe.report.page import make_report

TEACHERS = ("peasant", "cycle", "<script>alert(1)</script>")
SHOWN = (
    *("comparison", "scores", "training_logs", "matchings", "sample_texts"),
    *("problems", "tag_information"),
)
METHODS = {"sft": 0.5, "ssft_random": 0.5, "ssft": 0.6, "grpo": 0.7, "gfpo": 0.75}


def table(name, rows):
    """Return rows as a table of a schema, columns that are not given filled with zeros."""
    zero = {pa.string(): "", pa.int64(): 0, pa.float64(): 0.0, pa.bool_(): False}
    full = [
        {
            field.name: row.get(field.name, None if field.nullable else zero.get(field.type, []))
            for field in SCHEMAS[name]
        }
        for row in rows
    ]
    return pa.Table.from_pylist(full, schema=SCHEMAS[name])


def synthetic(methods=METHODS, teachers=TEACHERS, problems=6, samples=3, n=3, steps=40, seed=0):
    """Return every input of the report: tags of ssft specialise, those of ssft_random do not.

    methods: accuracy of each; 0 gives no correct sample. base is asked without a tag.
    """
    rng = random.Random(seed)
    scores, generations, splits = [], {}, ("validation", "test")
    for method, accuracy in methods.items():
        tags = [-1] if method in ("base", "sft", "grpo") else list(range(n))
        forced = "none" if method == "base" else "by_tag"
        cells = [(forced, tag, s) for tag in tags for s in range(samples if len(tags) > 1 else samples * n)]
        cells += [("own", rng.randrange(n), s) for s in range(samples)] if method == "gfpo" else []
        rows = []
        for split in splits:
            for p in range(problems):
                for policy, tag, s in cells:
                    special = method in ("ssft", "gfpo") and tag == 1
                    correct = rng.random() < min(1.0, accuracy + 0.2 * special * (accuracy > 0))
                    teacher = teachers[(tag if method in ("ssft", "gfpo") else rng.randrange(3)) % len(teachers)]
                    rows.append({
                        "method": method, "problem_id": f"{split}{p}", "split": split, "policy": policy, "tag": tag,
                        "sample": s, "verdict": "correct" if correct else rng.choice(["wrong", "wrong", "truncated"]),
                        "extracted": str(rng.randrange(4)), "tokens": rng.randrange(10, 30) + 8 * special,
                        "text": f"{teacher} says {rng.randrange(9)}",
                    })  # fmt: skip
        scores.append(table("scores", rows))
        generations[method] = table("generations", rows)
    train = [f"train{p}" for p in range(problems)]
    traces = [
        {"trace_id": f"{p}/{t}", "problem_id": p, "teacher": t, "text": f"{t} says 1", "tokens": 9, "strategy": i,
         "status": "done", "verdict": rng.choices(["correct", "wrong", "unparsed", "truncated"], [8, 2, 1, 1])[0]}
        for p in train for i, t in enumerate(teachers)
    ]  # fmt: skip
    correct = [trace for trace in traces if trace["verdict"] == "correct"]
    kept = ("trace_id", "teacher", "text", "strategy", "tokens")
    sets = [
        {"problem_id": p, "split": "train",
         "traces": [{name: t[name] for name in kept} for t in correct if t["problem_id"] == p]}
        for p in train
    ]  # fmt: skip
    matchings, logs = {}, {}
    for method in [name for name in methods if name != "base"]:
        rl = method in ("grpo", "gfpo")
        logs[method] = table("training_log", [
            {"method": method, "step": s, "loss": 3 / (1 + s / steps * 9) + rng.random() / 5,
             **({"reward": 0.5 + 0.3 * s / steps + rng.random() / 9, "entropy": 1.5 - s / steps} if rl else {})}
            for s in range(steps)
        ])  # fmt: skip
        if method.startswith("ssft"):
            matchings[method] = table("matching", [
                {"method": method, "step": s, "visit": s // problems, "problem_id": train[s % problems],
                 "trace_id": f"{s}{t}", "teacher": t, "margin": 0.02 + 0.4 * (s / steps) * (method == "ssft"),
                 "tag": i if method == "ssft" and rng.random() < s / steps else rng.randrange(n)}
                for s in range(steps) for i, t in enumerate(teachers)
            ])  # fmt: skip
    metrics = compute_metrics(scores, ks=[1, 2, 3, 6], seed=0)
    budgets = {m: {"tokens_trained": 9000, "rollouts": 400 * (m in ("grpo", "gfpo"))} for m in methods}
    spent = dict.fromkeys(methods, problems * samples * n)
    all_problems = [
        {"problem_id": f"{split}{p}", "split": split, "problem": "2 < 3?"}
        for split in ("train", *splits)
        for p in range(problems)
    ]
    rejected = [{"stage": "verify", "id": t["trace_id"], "reason": t["verdict"]} for t in traces if t not in correct]
    scored, known = pa.concat_tables(scores), table("problems", all_problems)
    return {
        "comparison": table("comparison", compare(metrics, budgets, spent)),
        "metrics": table("metrics", metrics),
        "scores": scored,
        "sample_texts": sample_texts(generations, scored, known),
        "tag_information": tag_information(
            table("trace_sets", sets), matchings, generations, {"cycle": "<i>cycle</i>"}
        ),
        "matchings": pa.concat_tables([table("matching", []), *matchings.values()]),
        "training_logs": pa.concat_tables([table("training_log", []), *logs.values()]),
        "problems": known,
        "traces": table("traces", traces),
        "verdicts": table("verdicts", traces),
        "strategies": table("strategies", correct),
        "trace_sets": table("trace_sets", sets),
        "rejected": table("rejected", rejected or []),
        "benchmark_metrics": table("benchmark_metrics", []),
    }


def report_of(inputs, figures, agreement=None, **options):
    """Return the page for these inputs and their figures."""
    shared = {name: inputs[name] for name in SHOWN}
    options = {"title": "A & <b>B</b>", "environment": "smoke<x>", "versions": {"torch": "2<3"}} | options
    agreement = agreement or {"v_measure": 0.9, "adjusted_rand": 0.8, "problems": 6}
    options.setdefault("generation_report", table("generation_report", []))
    drawn = {f"figure_{name}": figure for name, figure in figures.items()}
    options.setdefault("settings", EvaluationSettings(bootstrap=100))
    return make_report(strategy_agreement=agreement, seed=0, **shared, **options, **drawn)
