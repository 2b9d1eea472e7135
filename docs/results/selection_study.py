"""Does it matter which traces make a set? SSFT on sets chosen in several ways, a line of JSON a training.

    kedro run --env=base --params=seed=0 --pipelines=trace_generation      # for every environment and seed
    python docs/results/selection_study.py results.jsonl --environments base tight --seeds 0 1 2 3 4 --embedder MODEL
    python docs/results/selection_study.py results.jsonl --print

Four teachers, each of all six strategies: a trace draws its own, so the teacher does not give the strategy away. It
draws a word to begin with too, so that traces of one strategy are not equal. Two traces a problem and teacher; of the
correct ones M = 3 are chosen. What the strategies really are is known and used for the report alone. A training that
is in the file already is not run again. MODEL is the folder of a sentence embedding model whose states are averaged
(all-MiniLM-L6-v2).
"""

import statistics
import tempfile
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from laboratory import accuracies, parameters_of
from studies import Results, options, spread

from forkpipe.core.ids import unit_interval
from forkpipe.core.records import Problem
from forkpipe.core.schemas import SCHEMAS
from forkpipe.core.statistics import mutual_information_bits, purity
from forkpipe.demo.modular_powers import STRATEGIES
from forkpipe.demo.procedural import ProceduralEngine
from forkpipe.generation.asking import trace_row
from forkpipe.generation.clustering import cluster_strategies
from forkpipe.generation.requests import plan_requests
from forkpipe.generation.selection import select_sets
from forkpipe.parameters import (
    GenerationSettings,
    StrategySettings,
    TeacherSettings,
    TraceSetSettings,
)
from forkpipe.parameters.methods import SUPERVISED
from forkpipe.pipelines.trace_generation.nodes import verify_traces
from forkpipe.pipelines.training.nodes import make_base_checkpoint, sets_of
from forkpipe.training.phases.rewards import verifying
from forkpipe.verification.row_verifier import unlimited

TEACHERS, SAMPLES, M = 4, 2, 3
LONGEST = {"base": 28, "tight": 20}
"""Tokens a trace, as in conf/, without the opening."""
OPENINGS = ("well", "so", "first", "now", "then", "thus", "okay", "hence")
MEASURED = ("pass_1", "mixed", "cons", "pass_n", "bits", "purity", "strategies", "traces")
Row = dict[str, Any]


class Traces:
    """The correct traces of one environment and seed."""

    def __init__(self, environment: str, seed: int) -> None:
        self.seed = seed
        self.parameters = parameters_of(environment, seed)
        self.problems = pq.read_table(Path("data", environment, f"seed{seed}", "02_intermediate/problems.parquet"))
        self.asked = [row for row in self.problems.to_pylist() if row["split"] == "train"]
        engine = ProceduralEngine(strategy=list(STRATEGIES), error_rate=0.08, truncation_rate=0.02)
        teacher = TeacherSettings(
            engine="procedural", samples=SAMPLES, revision="1", sampling={"max_tokens": LONGEST[environment]}
        )
        self.rows: list[Row] = []
        self.strategy_of: dict[str, str] = {}
        problems = [Problem.from_row(row) for row in self.asked]
        for name in (f"teacher_{i}" for i in range(TEACHERS)):
            plan = plan_requests(problems, f"{name} of seed {seed}", teacher, engine)
            for request, completion in zip(plan, engine.generate(plan), strict=True):
                opening = OPENINGS[int(unit_interval("opening", request.seed) * len(OPENINGS))]
                said = replace(completion, text=f"{opening} {completion.text}", tokens_out=completion.tokens_out + 1)
                self.rows.append(trace_row(request, said, name, teacher, 0, "study"))
                self.strategy_of[self.rows[-1]["trace_id"]] = engine.strategy_of(request)
        traces = pa.Table.from_pylist(self.rows, schema=SCHEMAS["traces"])
        parameters = self.parameters
        verdicts = verify_traces(traces, self.problems, parameters.verification, parameters.parallel, store=None)
        generation = GenerationSettings(teachers={"teacher_0": teacher})
        clusters, _, _ = cluster_strategies(traces, verdicts.to_table(), self.problems, StrategySettings(), generation)
        self.clusters = clusters.to_table().to_pylist()

    def sets(self, choice: str, embedder: str) -> list[Row]:
        """Return trace sets, however chosen of the same problems: those whose traces hold two strategies."""
        settings = TraceSetSettings(max_traces=M, select="random" if choice == "random" else "divergent")
        found, _ = select_sets(self.asked, self.rows, self.clusters, settings, self.seed)
        if choice != "embedding":
            return found
        kept = {row["problem_id"] for row in found}
        rows = [row for row in self.clusters if row["problem_id"] in kept]
        asked = [row for row in self.asked if row["problem_id"] in kept]
        return select_sets(asked, self.rows, each_alone(rows, self.rows, embedder), settings, self.seed)[0]


def each_alone(clusters: list[Row], traces: list[Row], embedder: str) -> list[Row]:
    """Return rows of `strategies` in which every trace is its own, as far from others as their embeddings are."""
    texts = {row["trace_id"]: row["text"] for row in traces}
    distinct = sorted({texts[row["trace_id"]] for row in clusters})
    place = {text: i for i, text in enumerate(distinct)}
    vectors = embedded(distinct, embedder)
    groups = defaultdict(list)
    for row in clusters:
        groups[row["problem_id"]].append(row)
    rows = []
    for group in groups.values():
        found = vectors[[place[texts[row["trace_id"]]] for row in group]]
        distances = 1 - found @ found.T
        rows += [
            {**row, "strategy": i, "representative": True, "distances": distances[i].tolist()}
            for i, row in enumerate(group)
        ]
    return rows


def embedded(texts: list[str], embedder: str) -> np.ndarray:
    """Return unit vectors: the mean of the last states."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    tokenizer, model = AutoTokenizer.from_pretrained(embedder), AutoModel.from_pretrained(embedder)
    found = []
    with torch.no_grad():
        for start in range(0, len(texts), 64):
            batch = tokenizer(texts[start : start + 64], padding=True, truncation=True, return_tensors="pt")
            mask = batch["attention_mask"].unsqueeze(-1)
            states = (model(**batch).last_hidden_state * mask).sum(dim=1) / mask.sum(dim=1)
            found.append(torch.nn.functional.normalize(states, dim=-1).numpy())
    return np.concatenate(found)


def study(traces: Traces, environment: str, choice: str, embedder: str) -> Row:
    """Train SSFT on one choice of sets and return what came of it."""
    from forkpipe.training.supervised import train_supervised

    sets, seed = traces.sets(choice, embedder), traces.seed
    held = statistics.mean(len({traces.strategy_of[one["trace_id"]] for one in row["traces"]}) for row in sets)
    for row in sets:
        for one in row["traces"]:
            one["teacher"] = traces.strategy_of[one["trace_id"]]  # purity is against the truth
    table = pa.Table.from_pylist(sets, schema=SCHEMAS["trace_sets"])
    parameters = traces.parameters
    model, tags = parameters.model, parameters.tags
    with tempfile.TemporaryDirectory() as folder:
        base = make_base_checkpoint(traces.problems, table, model, tags, seed, work=Path(folder, "base"))
        checkpoint = Path(folder, "ssft")
        result = train_supervised(
            "ssft", base, checkpoint, Path(folder, "work"), sets_of("train", table), parameters.supervised,
            SUPERVISED["ssft"], model.prompt, seed,
        )  # fmt: skip
        with verifying(unlimited(parameters.verification)) as verify:
            measured = accuracies(checkpoint, traces.problems, parameters, seed, verify)
        return {
            "environment": environment,
            "seed": seed,
            "choice": choice,
            "sets": len(sets),
            "traces": statistics.mean(len(row["traces"]) for row in sets),
            "strategies": held,
            **measured,
            **matched(result.matching, tags.n),
        }


def matched(log: list[Row], n_tags: int) -> Row:
    """Return information and purity of the last matching of every problem; teachers are strategies here."""
    last = {(row["problem_id"], row["trace_id"]): row for row in sorted(log, key=lambda row: row["visit"])}
    teachers = sorted({row["teacher"] for row in last.values()})
    counts = np.zeros((n_tags, len(teachers)))
    for row in last.values():
        counts[row["tag"], teachers.index(row["teacher"])] += 1
    return {"bits": mutual_information_bits(counts), "purity": purity(counts)}


def show(rows: list[Row]) -> None:
    """Print a table an environment, and differences paired by seed."""
    for environment in sorted({row["environment"] for row in rows}):
        here = {(row["choice"], row["seed"]): row for row in rows if row["environment"] == environment}
        print(f"\n### `{environment}`\n\n| sets | seeds | " + " | ".join(MEASURED) + " |\n|" + "---|" * 10)
        for choice in CHOICES:
            found = [row for (one, _), row in here.items() if one == choice]
            if found:
                print(f"| {choice} | {len(found)} | "
                      + " | ".join(spread([row[name] for row in found]) for name in MEASURED) + " |")  # fmt: skip
        for other in CHOICES[1:]:
            seeds = sorted(seed for one, seed in here if one == other and ("strategy", seed) in here)
            cells = []
            for name in MEASURED[:6]:
                gains = [here["strategy", seed][name] - here[other, seed][name] for seed in seeds]
                if gains:
                    cells.append(f"{spread(gains)}, {sum(gain > 0 for gain in gains)} of {len(gains)}")
            print(f"| strategy - {other} | {len(seeds)} | " + " | ".join(cells) + " | | |")


CHOICES = ("strategy", "random", "embedding")


def main() -> None:
    """Run what is missing, or print what there is."""
    parser = options(__doc__)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--embedder", help="left out: no sets by embedding")
    arguments = parser.parse_args()
    if unknown := set(arguments.environments) - set(LONGEST):
        parser.error(f"{', '.join(sorted(unknown))}: expected of {', '.join(LONGEST)}")
    results = Results(arguments.results, ("environment", "seed", "choice"))
    if arguments.print:
        show(results.rows)
        return
    import torch

    torch.set_num_threads(1)
    for seed in arguments.seeds:
        for environment in arguments.environments:
            possible = CHOICES if arguments.embedder else CHOICES[:2]
            wanted = [choice for choice in possible if not results.has(environment, seed, choice)]
            traces = Traces(environment, seed) if wanted else None
            for choice in wanted:
                results.add(study(traces, environment, choice, arguments.embedder), MEASURED)


if __name__ == "__main__":
    main()
