"""`forkpipe.training.worker` on a machine without GPUs: `python -m sharding_worker FOLDER`."""

import sys

import torch
from fsdp_on_cpu import shard_on_cpu

from forkpipe.training.worker import main

if __name__ == "__main__":
    torch.set_num_threads(1)
    shard_on_cpu()
    main(sys.argv[1])
