"""The parent of a spread training: arguments are a file of settings and the number of processes."""

import dataclasses
import json
import sys
from pathlib import Path

import torch

from forkpipe.core.records import TraceSet
from forkpipe.parameters import SupervisedSettings
from forkpipe.training import launch
from forkpipe.training.supervised import train_supervised

if __name__ == "__main__":
    torch.set_num_threads(1)
    launch.WORKER = "sharding_worker"
    asked, processes = json.loads(Path(sys.argv[1]).read_text()), int(sys.argv[2])
    place = Path(asked["place"])
    result = train_supervised(
        "ssft",
        Path(asked["base"]),
        place / "checkpoint",
        place / "work",
        [TraceSet.from_row(row) for row in asked["sets"]],
        SupervisedSettings(**asked["settings"], spread={"processes": processes}),
        "optimal",
        "{problem}",
        0,
    )
    (place / "result.json").write_text(json.dumps(dataclasses.asdict(result)))
