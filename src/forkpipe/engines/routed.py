"""Tags of a checkpoint with a router, for engines that run the model behind it and no router."""

import gc
import sys
from collections.abc import Sequence
from pathlib import Path

from forkpipe.core.progress import logger
from forkpipe.core.records import Request


def with_routers_tags(checkpoint: str, requests: Sequence[Request]) -> Sequence[Request]:
    """Return requests of which those that want a tag of their own have the one that the checkpoint's router draws.

    The router is run here, by transformers, in one forward pass over the prompts, and freed: servers take adapters of
    some layers of some models, a router is one of any. The tags are those that the engine `transformers` draws.
    Requests stay as they are where the checkpoint has no router, or none wants a tag.
    """
    from forkpipe.models.router import has_router

    if not has_router(Path(checkpoint)) or not any(request.own_tag for request in requests):
        return requests
    from forkpipe.engines.transformers import TransformersEngine

    logger.info("the router of %s draws tags for %d requests", checkpoint, len(requests))
    engine = TransformersEngine(model=checkpoint)
    try:
        return engine.routed(requests)
    finally:
        engine.close()
        gc.collect()
        sys.modules["torch"].cuda.empty_cache()
