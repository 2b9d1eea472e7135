"""The transformers engine beside transformers' own `generate`: tokens a second of the same requests.

    python benchmarks/engines/beside_generate.py --work /tmp/engines --size small

equal: all texts have the same length, so that nothing can be gained by taking out what has ended. unequal: limits of a
sixteenth to the whole, most of them short; `generate` stops each row at its own limit and computes the batch to the
end of its longest. greedy, and sampled with temperature 1 and top_p 0.95. Runs alternate; a ratio is of two neighbours.
"""

import argparse
import os
import statistics
import time
from pathlib import Path

import torch

from forkpipe.engines.transformers import TransformersEngine
from models import make_model, make_requests

os.environ.setdefault("HF_HUB_OFFLINE", "1")


def by_generate(engine, requests, rows: int) -> int:
    """Return the tokens that `generate` gives, in batches of `rows`, each row up to its limit."""
    from transformers import GenerationConfig, StoppingCriteria, StoppingCriteriaList

    model, tokenizer = engine._load(), engine._checkpoint.tokenizer
    tokens = 0
    for start in range(0, len(requests), rows):
        batch = requests[start : start + rows]
        inputs = tokenizer([one.prompt for one in batch], return_tensors="pt", padding=True, padding_side="left")
        limits = torch.tensor([one.sampling.max_tokens for one in batch], device=model.device)
        width = inputs["input_ids"].shape[1]

        class Limits(StoppingCriteria):
            def __call__(self, input_ids, scores, limits=limits, width=width, **more):
                return limits <= input_ids.shape[1] - width

        sampled = batch[0].sampling.temperature > 0
        config = GenerationConfig(
            max_new_tokens=int(limits.max()), do_sample=sampled, **({"top_p": 0.95, "top_k": 0} if sampled else {}),
            eos_token_id=2, pad_token_id=1,
        )  # fmt: skip
        output = model.generate(
            input_ids=inputs["input_ids"].to(model.device),
            attention_mask=inputs["attention_mask"].to(model.device),
            generation_config=config,
            stopping_criteria=StoppingCriteriaList([Limits()]),
        )
        tokens += int((output[:, width:] != 1).sum())
    return tokens


def by_engine(engine, requests, rows: int) -> int:
    """Return the tokens of the engine's completions."""
    return sum(one.tokens_out for one in engine.generate(requests))


def main() -> None:
    """Print a row a case."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--size", default="small", choices=["tiny", "small", "half_billion"])
    parser.add_argument("--requests", type=int, default=128)
    parser.add_argument("--rows", type=int, default=64, help="sequences at a time")
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--cpu-time", action="store_true", help="CPU seconds, where other work shares the machine")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    clock = time.process_time if arguments.cpu_time else time.perf_counter
    folder = arguments.work / arguments.size
    make_model(folder, arguments.size)
    engine = TransformersEngine(model=str(folder), batch_rows=arguments.rows)
    print("| lengths | drawing | generate, tok/s | engine, tok/s | ratio: median (quartiles) |\n|---|---|---|---|---|")
    for unequal in (True, False):
        for temperature in (0.0, 1.0):
            requests = make_requests(arguments.requests, arguments.tokens, unequal=unequal, temperature=temperature)
            speeds: dict[str, list[float]] = {"generate": [], "engine": []}
            for pair in range(arguments.pairs + 1):
                order = [("generate", by_generate), ("engine", by_engine)]
                for name, run in order if pair % 2 else order[::-1]:
                    started = clock()
                    tokens = run(engine, requests, arguments.rows)
                    if pair:  # the first warms up
                        speeds[name].append(tokens / (clock() - started))
            ratios = [ours / theirs for ours, theirs in zip(speeds["engine"], speeds["generate"], strict=True)]
            low, middle, high = statistics.quantiles(ratios, n=4)
            case = f"{'unequal' if unequal else 'equal'} | {'sampled' if temperature else 'greedy'}"
            medians = [statistics.median(speeds[name]) for name in ("generate", "engine")]
            print(
                f"| {case} | {medians[0]:.0f} | {medians[1]:.0f} | {middle:.2f} ({low:.2f} to {high:.2f}) |", flush=True
            )


if __name__ == "__main__":
    main()
