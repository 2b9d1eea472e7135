"""Resident memory of the run and its processes while two teachers of vLLM answer one after the other.

    python benchmarks/engines/memory.py --models FOLDER FOLDER

With VLLM_ENABLE_V1_MULTIPROCESSING=0 vLLM works in this process, else (the default) in one of its own.
"""

import argparse
import logging
import os

import psutil

from forkpipe.engines.vllm import VLLMEngine
from models import make_requests

os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")
os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")


def resident() -> float:
    """Return GB of this process and all below it; memory they share counts for each."""
    processes = [psutil.Process(), *psutil.Process().children(recursive=True)]
    return sum(one.memory_info().rss for one in processes if one.status() != psutil.STATUS_ZOMBIE) / 1e9


def main() -> None:
    """Print a row a moment."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", required=True)
    parser.add_argument("--requests", type=int, default=16)
    parser.add_argument("--tokens", type=int, default=32)
    arguments = parser.parse_args()
    logging.disable(logging.INFO)
    print(f"| moment | GB |\n|---|---|\n| before | {resident():.2f} |", flush=True)
    import vllm  # noqa: F401

    print(f"| vllm imported | {resident():.2f} |", flush=True)
    for place, model in enumerate(arguments.models, start=1):
        engine = VLLMEngine(model=model, dtype="float32", enforce_eager=True, max_model_len=1024)
        requests = make_requests(arguments.requests, arguments.tokens, unequal=False, temperature=1.0)
        tokens = sum(one.tokens_out for one in engine.generate(requests))
        print(f"| teacher {place} has written {tokens} tokens | {resident():.2f} |", flush=True)
        engine.close()
        print(f"| teacher {place} is closed | {resident():.2f} |", flush=True)


if __name__ == "__main__":
    main()
