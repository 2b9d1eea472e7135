"""Time of an SSFT step over that of an SFT step on the same M sequences, beside the floor that FLOPs set.

    python benchmarks/ssft/overhead.py --pairs 9

A step is forward, backward and optimizer. Both are the same trainer; SFT is `assignment="random"`, without costs.
Steps alternate, a ratio is of two neighbours, and the median and quartiles of the ratios are printed. Every visit is
matched. The floor counts tokens: a backward pass as two forward passes, the prompt once, N M branches of L tokens:
1 + (prompt + N M L) / (3 M (prompt + T)).
"""

import argparse
import statistics
import time

import torch
from synthetic import make_model, make_sets, make_tokenizer, make_trainer

N, M, PROMPT, VOCABULARY = 6, 4, 128, 1024


def floor(length: int, prefix: int) -> float:
    """Return the least ratio that token counts allow."""
    return 1 + (PROMPT + N * M * prefix) / (3 * M * (PROMPT + length))


def step(trainer, batch) -> float:
    """Return the seconds of a training step."""
    started = time.perf_counter()
    trainer.training_step(trainer.model, batch)
    trainer.optimizer.step()
    trainer.optimizer.zero_grad()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - started


def main() -> None:
    """Print a row a shape."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=9)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--hidden", type=int, default=256)
    parser.add_argument("--layers", type=int, default=4)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    print("| T | L | SFT step, s | SSFT step, s | ratio: median (quartiles) | floor | over floor |\n|" + "---|" * 7)
    for length in (512, 2048):
        for prefix in (64, 256):
            model = make_model(VOCABULARY, arguments.hidden, arguments.layers, 4 * arguments.hidden, 8, 4)
            tokenizer = make_tokenizer(VOCABULARY)
            sets = make_sets(4, M, PROMPT, length, 900)
            trainers = [
                make_trainer(model, tokenizer, sets, N, assignment=assignment, prefix_length=prefix)
                for assignment in ("random", "optimal")
            ]
            batches = [trainers[0].data_collator([row]) for row in trainers[0].train_dataset]
            seconds: list[list[float]] = [[], []]
            for pair in range(arguments.pairs + 1):
                order = (0, 1) if pair % 2 else (1, 0)
                for which in order:
                    spent = step(trainers[which], dict(batches[pair % len(batches)]))
                    if pair:  # the first pair warms up
                        seconds[which].append(spent)
            ratios = [ssft / sft for sft, ssft in zip(*seconds, strict=True)]
            low, middle, high = statistics.quantiles(ratios, n=4)
            least = floor(length, prefix)
            print(
                f"| {length} | {prefix} | {statistics.median(seconds[0]):.2f} | {statistics.median(seconds[1]):.2f} "
                f"| {middle:.3f} ({low:.3f} to {high:.3f}) | {least:.3f} | {middle / least:.3f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
