"""Tags drawn by a checkpoint's router, for engines that run the model without its router."""

import gc
import sys
from collections.abc import Sequence

from forkpipe.core.progress import logger
from forkpipe.core.records import Request
from forkpipe.models.checkpoint import Checkpoint


def with_routers_tags(checkpoint: str, requests: Sequence[Request]) -> Sequence[Request]:
    """Return the requests with `own_tag` replaced by the tag that the checkpoint's router draws.

    Transformers runs the router here, in one forward pass over the prompts, and frees it: servers support adapters of
    some layers of some models only. The tags are the same as the engine `transformers` draws. If the checkpoint has no
    router, or no request has `own_tag`, the requests are returned unchanged.
    """
    if not Checkpoint(checkpoint).has_router or not any(request.own_tag for request in requests):
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
