"""Memory of a measurement: many long samples through a fake engine, from requests to metrics.

`python benchmarks/evaluation/memory.py --samples 100000 --tokens 8000` prints the peak memory of the process and the
seconds of each step. The samples are never all in memory: they go into the store as they come, and from there to the
table one batch at a time.
"""

import argparse
import json
import random
import resource
import tempfile
import time
from pathlib import Path

from forkpipe.core.protocols import Asked, Protocol, Share, TagPolicy
from forkpipe.core.records import Completion, Problem, Sampling
from forkpipe.evaluation import benchmark_samples
from forkpipe.evaluation.benchmark_metrics import benchmark_metrics
from forkpipe.evaluation.benchmark_samples import Measurement, sample_subject
from forkpipe.evaluation.benchmark_scores import COLUMNS, score_benchmarks
from forkpipe.parameters import EngineSettings, VerificationSettings
from forkpipe.stores.completions import CompletionStore
from forkpipe.stores.tables import Batches, StoredTable, read_table, write_table


class FakeEngine:
    """Answers each request with as many token ids, in an order of its own, and an answer in a box."""

    version, identity = "1", "fake"

    def __init__(self, tokens: int) -> None:
        self.tokens = tokens
        self.ids = random.Random(0).choices(range(150_000), k=tokens)
        self.words = "word " * tokens

    def generate(self, requests):
        """Yield one completion a request."""
        for request in requests:
            first = request.seed % self.tokens
            ids = tuple(self.ids[first:] + self.ids[:first])
            text = f"{self.words}\\boxed{{{request.seed % 4}}}"
            yield Completion(request.request_id, text=text, token_ids=ids, tokens_out=self.tokens)

    def close(self) -> None:
        """Do nothing."""


class FakeSubject:
    """A model of which nothing is on disk."""

    name, digest, n_tags, folder = "fake", "0" * 16, 0, Path("fake")

    def engine_tags(self, asked: Asked) -> None:
        """It has no tags."""

    def prompt(self, content: str, asked: Asked) -> str:
        """Return the content, without a chat template."""
        return content

    def prefix(self, asked: Asked) -> tuple[int, ...]:
        """Return no ids."""
        return ()


def peak_gb() -> float:
    """Return the largest resident memory of this process so far, in GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def measure(folder: Path, samples: int, tokens: int, problems: int = 100) -> dict[str, float]:
    """Return the seconds of each step and the peak memory after it."""
    benchmark_samples.create_completing = lambda *_: FakeEngine(tokens)
    benchmark_samples.unnamed_engine = lambda *_: FakeEngine(tokens)
    made = [
        Problem.create(f"problem {i}", str(i % 4), answer_type="integer", source="b", source_id=str(i), split="test")
        for i in range(problems)
    ]
    rows = [{**problem.to_row(), "benchmark": "b", "prompt": problem.problem, "subsets": []} for problem in made]
    measurement = Measurement(
        [Share("b", samples // problems)],
        [TagPolicy("none")],
        [Protocol("avg", samples // problems), Protocol("cons", 8)],
        Sampling(max_tokens=tokens),
    )
    found: dict[str, float] = {"peak_before_gb": peak_gb()}

    def done(step: str, started: float) -> float:
        found[f"{step}_seconds"] = round(time.monotonic() - started, 1)
        found[f"{step}_peak_gb"] = round(peak_gb(), 3)
        return time.monotonic()

    started = time.monotonic()
    store = CompletionStore(folder / "completions.jsonl")
    table = str(folder / "benchmark_generations.parquet")
    tables = sample_subject(FakeSubject(), rows, measurement, EngineSettings(), store)
    write_table(table, "benchmark_generations", Batches(lambda: tables))
    started = done("sample", started)
    stored = StoredTable(table, "benchmark_generations")
    settings = VerificationSettings(options={"math": {"workers": 1}})
    scores = score_benchmarks(stored.batches(COLUMNS), rows, settings, stored.num_rows)
    write_table(str(folder / "benchmark_scores.parquet"), "benchmark_scores", scores)
    del scores
    started = done("score", started)
    held = read_table(str(folder / "benchmark_scores.parquet"), "benchmark_scores")
    metrics = benchmark_metrics(held, rows, measurement)
    done("metrics", started)
    found["rows"] = stored.num_rows
    found["avg"] = round(metrics[0]["value"], 4)
    found["store_gb"] = round((folder / "completions.jsonl").stat().st_size / 1e9, 3)
    found["table_gb"] = round(Path(table).stat().st_size / 1e9, 3)
    return found


def main() -> None:
    """Print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=100_000)
    parser.add_argument("--tokens", type=int, default=8_000)
    parser.add_argument("--folder", help="where files lie while it runs, by default a temporary folder")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as place:
        print(json.dumps(measure(Path(place), given.samples, given.tokens), indent=1))


if __name__ == "__main__":
    main()
