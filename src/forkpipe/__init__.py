"""forkpipe: from raw problems to reasoning models trained with global forking tokens.

The method is SSFT and GFPO of Jia et al., "Training Large Language Models to Reason in Parallel with Global
Forking Tokens" (ICLR 2026, arXiv 2510.05132). Nothing heavy is imported here: `import forkpipe`
must stay cheap, because Kedro imports the package for every command.
"""

from typing import Any

__version__ = "0.1.0"

_OFFERED = (
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
)


def __getattr__(name: str) -> Any:
    """Import what `forkpipe.api` offers when it is first asked for."""
    if name in _OFFERED:
        from forkpipe import api

        return getattr(api, name)
    raise AttributeError(f"module 'forkpipe' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_OFFERED])
