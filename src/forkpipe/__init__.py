"""forkpipe: from raw problems to reasoning models trained with global forking tokens.

The method is SSFT and GFPO of Jia et al., "Training Large Language Models to Reason in Parallel with Global
Forking Tokens" (ICLR 2026, arXiv 2510.05132). Nothing heavy is imported here: `import forkpipe` must stay cheap,
because Kedro imports the package for every command. What is offered is imported by its first use, so that
`forkpipe.verify(gold, response)` loads no torch.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_OFFERED = {
    "ForkingTags": "core.forking",
    "GFPOConfig": "training.config",
    "GFPOTrainer": "training.gfpo",
    "SSFTConfig": "training.config",
    "SSFTTrainer": "training.ssft",
    "Verdict": "core.records",
    "add_tags": "models.tagging",
    "head_rows": "models.scopes",
    "load_checkpoint": "models.checkpoint",
    "load_tags": "models.checkpoint",
    "load_trace_sets": "api",
    "merged": "models.adapters",
    "save_checkpoint": "models.checkpoint",
    "verify": "api",
    "verify_batch": "api",
}
"""Name -> module, without Kedro."""


def __getattr__(name: str) -> Any:
    """Import a name of `_OFFERED` when it is first used."""
    if name in _OFFERED:
        return getattr(import_module(f"forkpipe.{_OFFERED[name]}"), name)
    raise AttributeError(f"module 'forkpipe' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_OFFERED])
