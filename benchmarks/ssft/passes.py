"""Time of a training step in passes over that of the same step whole, and the memory of both.

    python benchmarks/ssft/passes.py --pairs 20

A step is forward, backward and optimizer of a batch of `--problems` problems with M traces each, without matching
(`assignment="random"`). Steps alternate, a ratio is of two neighbours, and the median and quartiles of the ratios are
printed. Seconds are those of the process on a CPU, which other programs do not disturb.

The first row has passes of as many tokens as the batch has, so that it fits whole: what that costs is the cost of
the option itself. The other rows have passes of some sequences and of one. On a GPU the peak memory of a step is
printed too.
"""

import argparse
import statistics
import time
from typing import Any

import datasets
import torch
from overhead import PROMPT, VOCABULARY, M
from synthetic import make_model, make_sets, make_tokenizer, make_trainer


def step(trainer: Any, batch: dict[str, Any]) -> float:
    """Return the seconds of a training step."""
    gpu = torch.cuda.is_available()
    clock = time.perf_counter if gpu else time.process_time
    started = clock()
    trainer.training_step(trainer.model, batch)
    trainer.optimizer.step()
    trainer.optimizer.zero_grad()
    if gpu:
        torch.cuda.synchronize()
    return clock() - started


def peak_of(trainer: Any, batch: dict[str, Any]) -> float | None:
    """Return the gigabytes that a step allocates at its peak, None without a GPU."""
    if not torch.cuda.is_available():
        return None
    torch.cuda.reset_peak_memory_stats()
    step(trainer, dict(batch))
    return torch.cuda.max_memory_allocated() / 1e9


def main() -> None:
    """Print a row for each size of passes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--hidden", type=int, default=128)
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--length", type=int, default=256, help="tokens of a trace")
    parser.add_argument("--problems", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    datasets.disable_progress_bars()
    model = make_model(VOCABULARY, arguments.hidden, arguments.layers, 4 * arguments.hidden, 8, 4)
    tokenizer = make_tokenizer(VOCABULARY)
    if torch.cuda.is_available():
        model = model.cuda()
    sets = make_sets(arguments.problems, M, PROMPT, arguments.length, 900)
    sequence = PROMPT + arguments.length + 1  # with the tag
    rows = arguments.problems * M
    plain = make_trainer(model, tokenizer, sets, 6, assignment="random")
    batch = plain.data_collator([plain.train_dataset[i] for i in range(arguments.problems)])
    batch = plain._prepare_inputs(batch)
    print(
        "| sequences in a pass | step whole, s | in passes, s | ratio: median (quartiles) | peak, GB: whole, passes |"
    )
    print("|" + "---|" * 5)
    for at_once in dict.fromkeys((rows, max(1, rows // 4), 1)):
        parts = make_trainer(model, tokenizer, sets, 6, assignment="random", pass_tokens=at_once * sequence)
        seconds: list[list[float]] = [[], []]
        for pair in range(arguments.pairs + 1):
            for which in (0, 1) if pair % 2 else (1, 0):
                spent = step((plain, parts)[which], dict(batch))
                if pair:  # the first pair warms up
                    seconds[which].append(spent)
        low, middle, high = statistics.quantiles([b / a for a, b in zip(*seconds, strict=True)], n=4)
        peaks = [peak_of(trainer, batch) for trainer in (plain, parts)]
        print(
            f"| {at_once} of {rows} | {statistics.median(seconds[0]):.3f} | {statistics.median(seconds[1]):.3f} "
            f"| {middle:.3f} ({low:.3f} to {high:.3f}) "
            f"| {', '.join('not measured' if peak is None else f'{peak:.2f}' for peak in peaks)} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
