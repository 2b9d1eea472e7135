"""forkpipe: from raw problems to reasoning models trained with global forking tokens.

The method is SSFT and GFPO of Jia et al., "Training Large Language Models to Reason in Parallel with
Global Forking Tokens" (ICLR 2026, arXiv 2510.05132). Nothing heavy is imported here: `import forkpipe`
must stay cheap, because Kedro imports the package for every command. What `forkpipe.api` offers is imported by
its first use: `forkpipe.verify(gold, response)`.
"""

from typing import Any

__version__ = "0.1.0"

_API = ("Verdict", "verify", "verify_batch")


def __getattr__(name: str) -> Any:
    if name in _API:
        from forkpipe import api

        return getattr(api, name)
    raise AttributeError(f"module 'forkpipe' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted([*globals(), *_API])
