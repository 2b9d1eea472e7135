"""Tokens a second, model FLOPs utilisation and peak memory of SSFT steps on a GPU: Qwen2 of 0.5B shape, random weights.

    python benchmarks/ssft/gpu.py --peak-tflops 989        # H100: dense bfloat16

One problem a step, N = 6, M = 4, bfloat16, gradient checkpointing, AdamW; sequences of 4k and 16k tokens. FLOPs are 6 a
parameter (without embeddings) and trained token, plus attention (6 layers x hidden x T a token, the causal half); what
matching and checkpointing compute besides is not counted, as is usual for this measure.
"""

import argparse
import statistics

import torch
from overhead import step
from synthetic import make_model, make_sets, make_tokenizer, make_trainer

VOCABULARY, N, M, PROMPT, L = 151_936, 6, 4, 128, 256


def main() -> None:
    """Print a row a length and assignment."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peak-tflops", type=float, required=True)
    parser.add_argument("--steps", type=int, default=7)
    parser.add_argument("--lengths", type=int, nargs="+", default=[4096, 16384])
    parser.add_argument("--layers", type=int, default=24, help="fewer to try the script on a CPU")
    arguments = parser.parse_args()
    on_gpu = torch.cuda.is_available()
    print(f"{torch.cuda.get_device_name() if on_gpu else 'CPU'}, torch {torch.__version__}\n")
    print("| T | assignment | step, s | trained tokens/s | MFU | peak, GB |\n|---|---|---|---|---|---|")
    model, tokenizer = make_model(VOCABULARY, 896, arguments.layers, 4864, 14, 2), make_tokenizer(1000)
    matrices = sum(p.numel() for name, p in model.named_parameters() if "embed_tokens" not in name)
    for length in arguments.lengths:
        sets = make_sets(2, M, PROMPT, length - PROMPT, 900)
        for assignment in ("random", "optimal"):
            trainer = make_trainer(
                model, tokenizer, sets, N, assignment=assignment, prefix_length=L, bf16=True,
                gradient_checkpointing=True,
            )  # fmt: skip
            trainer.model.gradient_checkpointing_enable()
            batches = [trainer._prepare_inputs(trainer.data_collator([row])) for row in trainer.train_dataset]
            step(trainer, dict(batches[0]))
            if on_gpu:
                torch.cuda.reset_peak_memory_stats()
            seconds = statistics.median(step(trainer, dict(batches[i % 2])) for i in range(arguments.steps))
            tokens = M * length
            flops = tokens * (6 * matrices + 6 * arguments.layers * 896 * length)
            mfu = flops / seconds / arguments.peak_tflops / 1e12
            peak = torch.cuda.max_memory_allocated() / 2**30 if on_gpu else float("nan")
            print(
                f"| {length} | {assignment} | {seconds:.3f} | {tokens / seconds:,.0f} | {mfu:.1%} | {peak:.1f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
