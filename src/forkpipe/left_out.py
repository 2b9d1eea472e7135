"""Which errors cost a method its row and not the run: those that waiting and trying again do not change."""

import gc
import sys
import traceback
from collections.abc import Iterator, Mapping

from forkpipe.core.errors import DoesNotFitError, one_line
from forkpipe.parameters.comparison import without_seed
from forkpipe.parameters.methods import METHODS, lineage

OUT_OF_MEMORY = (
    "out of memory",
    "can't allocate memory",
    "not enough memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "No available memory for the cache blocks",
)
"""What torch, CUDA and vLLM say where memory does not suffice; not all have a type of their own for it."""
LONGEST = 200
"""Characters of a message that are kept; CUDA adds a page on how memory is used."""


def methods_lost(node: str, error: BaseException) -> dict[str, str]:
    """Return the methods that an error of this node costs their rows, each with the reason; none if it costs the run.

    A method that cannot be trained takes with it the methods that are trained from it.
    """
    method, _, stage = without_seed(node)[0].partition(".")
    reason = does_not_fit(error) if method in METHODS else ""
    if not reason:
        return {}
    heirs = [name for name in METHODS if method in lineage(name) and name != method] if stage == "train" else []
    return {method: reason} | dict.fromkeys(heirs, f"it is trained from {method}, which is missing")


def listed(missing: Mapping[str, str]) -> str:
    """Return the methods and the reasons in one line."""
    return "; ".join(f"{method} ({reason})" for method, reason in missing.items())


def does_not_fit(error: BaseException) -> str:
    """Return in one line why a method does not fit this machine or model, an empty text for any other error."""
    for cause in _causes(error):
        message = one_line(cause)
        if isinstance(cause, DoesNotFitError):
            return message
        if isinstance(cause, MemoryError) or any(text in message for text in OUT_OF_MEMORY):
            short = message if len(message) <= LONGEST else message[: LONGEST - 1] + "…"
            return short if "memory" in short.lower() else f"out of memory: {short}"
    return ""


def free_memory(error: BaseException) -> None:
    """Free what an error's traceback holds, such as the model and its gradients, so that others have the memory."""
    for cause in _causes(error):
        traceback.clear_frames(cause.__traceback__)
    gc.collect()
    if "torch" in sys.modules and sys.modules["torch"].cuda.is_available():
        sys.modules["torch"].cuda.empty_cache()


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
