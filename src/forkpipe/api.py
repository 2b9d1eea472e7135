"""What `import forkpipe` offers to those who do not use Kedro. Importing this module imports torch."""

from pathlib import Path
from typing import Any

from forkpipe.core.forking import ForkingTags
from forkpipe.training.checkpoint import load_checkpoint, load_tags
from forkpipe.training.config import SSFTConfig
from forkpipe.training.gfpo import GFPOConfig, GFPOTrainer
from forkpipe.training.scopes import head_rows
from forkpipe.training.ssft import SSFTTrainer
from forkpipe.training.tagging import add_tags


def load_trace_sets(path: str | Path) -> Any:
    """Return a `datasets.Dataset` of trace sets from a Parquet or JSONL file, for example of the pipeline's output."""
    from datasets import Dataset

    read = Dataset.from_parquet if Path(path).suffix == ".parquet" else Dataset.from_json
    return read(str(path))


__all__ = [
    "ForkingTags",
    "GFPOConfig",
    "GFPOTrainer",
    "SSFTConfig",
    "SSFTTrainer",
    "add_tags",
    "head_rows",
    "load_checkpoint",
    "load_tags",
    "load_trace_sets",
]
