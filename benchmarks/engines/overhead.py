"""Tokens a second through the pipeline over those of the engine alone, on the same requests.

    python benchmarks/engines/overhead.py --engine vllm --work /tmp/engines
    python benchmarks/engines/overhead.py --engine transformers --work /tmp/engines

alone:    vLLM's own loop (add_request, step), without text; for transformers the iteration over `generate`.
pipeline: `ask_teacher`: tokens become text, rows and lines of the trace store, with progress.

Both use one loaded engine. Runs alternate; a ratio is of two neighbours. CPU seconds are given beside wall seconds,
for a machine that does other work too: with one thread and vLLM in this process (VLLM_ENABLE_V1_MULTIPROCESSING=0) they
hold all of the work and none of the waiting. Where neighbours differ by more than what is to be measured, look at the
last column: the share of the pipeline's own wall seconds that passed inside the engine (vLLM's add_request and step;
the iteration over `generate`), which compares a run with itself.
"""

import argparse
import itertools
import logging
import os
import statistics
import time
from pathlib import Path

from forkpipe.generation.asking import ask_teacher
from forkpipe.parameters import TeacherSettings
from forkpipe.stores.trace_store import TraceStore
from models import make_model, make_requests

os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")
os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")


class Counting:
    """An engine that counts the tokens that pass through it."""

    def __init__(self, engine) -> None:
        self.engine, self.tokens = engine, 0

    def __getattr__(self, name):
        return getattr(self.engine, name)

    def generate(self, requests):
        """Yield what the engine yields."""
        for one in self.engine.generate(requests):
            self.tokens += one.tokens_out
            yield one


def vllm_alone(engine, requests) -> int:
    """Return the tokens of vLLM's own loop over what this engine would hand it."""
    model = engine._load()
    loop = model.loop
    for request in requests:
        ids = model.tokenizer(request.prompt, add_special_tokens=False)["input_ids"]
        loop.add(request.request_id, ids, model.sampling(request))
    tokens = 0
    vllm = loop._engine
    while vllm.has_unfinished_requests():
        tokens += sum(len(output.outputs[0].token_ids) for output in vllm.step())
    return tokens


def iterated(engine, requests) -> int:
    """Return the tokens of the engine's completions."""
    return sum(one.tokens_out for one in engine.generate(requests))


class Inside:
    """Sums the wall seconds that pass inside the engine's own calls."""

    def __init__(self, engine) -> None:
        self.seconds = 0.0
        if hasattr(engine, "_forward"):
            generate = engine.generate
            engine.generate = lambda requests: self._iterated(generate(requests))
        else:
            vllm = engine._load().loop._engine
            vllm.step, vllm.add_request = self._timed(vllm.step), self._timed(vllm.add_request)

    def _timed(self, call):
        def timed(*args, **kwargs):
            started = time.perf_counter()
            try:
                return call(*args, **kwargs)
            finally:
                self.seconds += time.perf_counter() - started

        return timed

    def _iterated(self, completions):
        following = self._timed(lambda: next(completions, None))
        while (one := following()) is not None:
            yield one


def main() -> None:
    """Print a row a pair, then medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", choices=["vllm", "transformers"], required=True)
    parser.add_argument("--work", type=Path, required=True, help="folder for the model and the stores")
    parser.add_argument("--size", default="tiny", help="tiny, small, or a model folder")
    parser.add_argument("--requests", type=int, default=64)
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--pairs", type=int, default=9)
    arguments = parser.parse_args()
    import torch

    torch.set_num_threads(1)
    logging.disable(logging.INFO)
    folder = Path(arguments.size)
    if not folder.exists():
        folder = arguments.work / arguments.size
        make_model(folder, arguments.size)
    options = {"model": str(folder)}
    if arguments.engine == "vllm":
        from forkpipe.engines.vllm import VLLMEngine as Engine

        options |= {"dtype": "float32", "enforce_eager": True, "max_model_len": 2048}
        alone = vllm_alone
    else:
        from forkpipe.engines.transformers import TransformersEngine as Engine

        alone = iterated
    engine = Engine(**options)
    requests = make_requests(arguments.requests, arguments.tokens, unequal=False, temperature=1.0)
    teacher = TeacherSettings(engine=arguments.engine, sampling={"max_tokens": arguments.tokens, "top_p": 0.95})
    number = itertools.count()

    def pipeline(engine, requests) -> int:
        path = arguments.work / f"store-{os.getpid()}-{next(number)}"
        counting = Counting(engine)
        ask_teacher("benchmark", teacher, requests, counting, TraceStore(path), "run")
        return counting.tokens

    def measure(what) -> tuple[float, float, float]:
        inside.seconds = 0.0
        wall, cpu = time.perf_counter(), time.process_time()
        tokens = what(engine, requests)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        return tokens / wall, tokens / cpu, inside.seconds / wall

    for warm in (alone, pipeline):
        warm(engine, requests)
    inside = Inside(engine)
    ratios: list[tuple[float, float, float]] = []
    print("| pair | alone, tok/s | pipeline, tok/s | ratio | ratio by CPU time | inside |\n|---|---|---|---|---|---|")
    for pair in range(arguments.pairs):
        order = (alone, pipeline) if pair % 2 else (pipeline, alone)
        found = {what: measure(what) for what in order}
        ratio = (*(found[pipeline][i] / found[alone][i] for i in (0, 1)), found[pipeline][2])
        ratios.append(ratio)
        speeds = f"{found[alone][0]:.0f} | {found[pipeline][0]:.0f}"
        print(f"| {pair + 1} | {speeds} | {' | '.join(f'{one:.3f}' for one in ratio)} |", flush=True)
    for name, values in zip(("wall", "CPU", "inside"), zip(*ratios, strict=True), strict=True):
        low, middle, high = statistics.quantiles(values, n=4)
        print(f"{name}: median {middle:.3f}, quartiles {low:.3f} to {high:.3f}, of {len(values)} pairs")
    engine.close()


if __name__ == "__main__":
    main()
