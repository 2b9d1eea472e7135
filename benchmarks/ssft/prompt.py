"""Time of the matching pass with prompts computed once, over that with prompts computed for every branch.

    python benchmarks/ssft/prompt.py --pairs 9

One problem, N = 6, M = 4, L = 64; pairs alternate; median and quartiles of the ratios.
"""

import argparse
import statistics
import time

import torch
from synthetic import make_model, make_sets, make_tokenizer, make_trainer

from forkpipe.training.costs import CostSettings, matching_costs

N, M, L, VOCABULARY = 6, 4, 64, 1024


def main() -> None:
    """Print a row a prompt length."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=9)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    print(
        "| prompt | naive, s | shared, s | naive over shared: median (quartiles) | largest difference |\n|" + "---|" * 5
    )
    for prompt in (32, 128, 512):
        model, tokenizer = make_model(VOCABULARY, 256, 4, 1024, 8, 4), make_tokenizer(VOCABULARY)
        trainer = make_trainer(model, tokenizer, make_sets(1, M, prompt, 256, 900), N, prefix_length=L)
        batch = trainer.data_collator([trainer.train_dataset[0]])
        tags = torch.tensor(trainer.tags.token_ids)
        seconds, tables = {True: [], False: []}, {}
        for pair in range(arguments.pairs + 1):
            for shared in (True, False) if pair % 2 else (False, True):
                started = time.perf_counter()
                (tables[shared],) = matching_costs(model, batch, [0], tags, CostSettings(65536, 4096, shared))
                if pair:
                    seconds[shared].append(time.perf_counter() - started)
        ratios = [naive / shared for shared, naive in zip(seconds[True], seconds[False], strict=True)]
        low, middle, high = statistics.quantiles(ratios, n=4)
        difference = abs(tables[True] - tables[False]).max()
        print(
            f"| {prompt} | {statistics.median(seconds[False]):.3f} | {statistics.median(seconds[True]):.3f} "
            f"| {middle:.2f} ({low:.2f} to {high:.2f}) | {difference:.1e} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
