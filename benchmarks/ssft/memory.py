"""Peak memory of an SSFT step with Qwen's vocabulary, by the number of positions whose logits exist at once.

    python benchmarks/ssft/memory.py --tokens 2048 4096 16384

Four traces share the tokens; small layers, so that what is seen is the loss. Each measurement is a process of its own;
what is printed is the peak resident memory of the step less what the process held before it (model, optimizer state
after a first small step, libraries). `whole` takes the plain path, the operations of transformers' own loss; it is not
tried where the logits and the two copies that the loss makes of them would not fit into `--limit`.
"""

import argparse
import resource
import subprocess
import sys
import time

import torch

VOCABULARY, N, M, PROMPT = 151_936, 6, 4, 128
COPIES = 3
"""Logits, log-probabilities and their gradient."""


def measure(tokens: int, chunk: int) -> None:
    """Run one step and print seconds and gigabytes."""
    from synthetic import make_model, make_sets, make_tokenizer, make_trainer

    torch.set_num_threads(1)
    model, tokenizer = make_model(VOCABULARY, 64, 2, 128, 4, 2), make_tokenizer(1000)
    sets = make_sets(1, M, PROMPT, tokens // M - PROMPT, 900)
    trainer = make_trainer(model, tokenizer, sets, N, prefix_length=64, logit_chunk=chunk)
    small = make_trainer(model, tokenizer, make_sets(1, M, 4, 8, 900), N, prefix_length=4, logit_chunk=64)
    small.training_step(model, small.data_collator([small.train_dataset[0]]))
    small.optimizer.step()
    batch = trainer.data_collator([trainer.train_dataset[0]])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.perf_counter()
    trainer.training_step(model, batch)
    seconds = time.perf_counter() - started
    print(seconds, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 2**20)


def main() -> None:
    """Print a table of tokens by chunk."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, nargs="+", default=[2048, 4096, 16384])
    parser.add_argument("--chunks", type=int, nargs="+", default=[1024, 4096, 0], help="0 is whole")
    parser.add_argument("--limit", type=float, default=14.0, help="gigabytes that a step may take")
    parser.add_argument("--one", type=int, nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        measure(*arguments.one)
        return
    print("| tokens | logits at once | peak, GB | seconds | logits of the whole step, GB |\n|---|---|---|---|---|")
    for tokens in arguments.tokens:
        logits = tokens * VOCABULARY * 4 / 2**30
        for chunk in arguments.chunks:
            row = f"| {tokens} | {chunk or 'whole'} |"
            if not chunk and COPIES * logits > arguments.limit:
                print(f"{row} not tried: {COPIES} x {logits:.1f} expected | | {logits:.1f} |")
                continue
            command = [sys.executable, __file__, "--one", str(tokens), str(chunk or 10**9)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            seconds, peak = map(float, done.stdout.split()[-2:])
            print(f"{row} {peak:.2f} | {seconds:.1f} | {logits:.1f} |", flush=True)


if __name__ == "__main__":
    main()
