"""Requests by token ids to a server: the prompt is sent as ids, with the forking tag if any; tags are banned after it.

With tags the server must support prompts as token ids, `logit_bias`, `allowed_token_ids` and `return_token_ids`, as
vLLM's completions endpoint does. A model without tags needs prompts as token ids alone.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from forkpipe.core.forking import ForkingTags
from forkpipe.core.ids import derived_seed
from forkpipe.core.records import Request
from forkpipe.engines.routed import with_routers_tags
from forkpipe.engines.serving.failures import RequestError
from forkpipe.engines.serving.replies import Reply
from forkpipe.models.checkpoint import Checkpoint

BAN = -100.0
"""The lowest bias that the protocol allows."""

Ask = Callable[[dict[str, Any]], Awaitable[Reply]]
"""Sends a request with these fields in addition to those that all requests have, and returns its reply."""


class TaggedPrompts:
    """Sends requests by token ids to a server that runs a checkpoint.

    Args:
        checkpoint: folder of the checkpoint; tokenizer, forking.json and router are read from it, the server has the
            weights.
        tags: tags of a checkpoint without forking.json, or "none", see `Checkpoint.tags_given`.
    """

    def __init__(self, checkpoint: str, tags: str | None = None) -> None:
        self._checkpoint = Checkpoint(checkpoint, tags_given=tags)

    def prepared(self, requests: Sequence[Request]) -> Sequence[Request]:
        """Return the requests, with tags drawn by the checkpoint's router if it has one.

        InputError if a request has a tag and the checkpoint has none.
        """
        checkpoint = self._checkpoint
        _ = checkpoint.stop_ids  # read now, not in the event loop
        if checkpoint.has_tags or any(request.prefix_ids or request.own_tag for request in requests):
            _ = checkpoint.tags
        return with_routers_tags(str(checkpoint.name), requests) if checkpoint.has_router else requests

    async def ask(self, request: Request, ask: Ask) -> tuple[Reply, int | None]:
        """Return the reply to a request and the index of its tag, None if it has none of the checkpoint's tags.

        The reply's token ids do not include the end token. For `own_tag`, the tag is drawn token by token among the
        tags only, with one small request for each token at which they differ: the policy is normalised over the tags.
        """
        ends = sorted(self._checkpoint.stop_ids)
        prompt = [*self._checkpoint.encode(request.prompt), *request.prefix_ids]
        if not self._checkpoint.has_tags:
            reply = await ask({"prompt": prompt, "stop_token_ids": ends})
            return (reply if reply.token_ids is None else _without_end(reply, reply.token_ids, ends)), None
        tags = self._checkpoint.tags
        tag = tags.index_of(request.prefix_ids)
        if request.own_tag:
            drawn = await self._draw(request, prompt, tags, ask)
            prompt += drawn
            tag = tags.index_of(drawn)
        bias = {str(token): BAN for token in tags.banned_ids}
        # A server stops at the model's end token only, the other engines also at the tokenizer's.
        reply = await ask({"prompt": prompt, "logit_bias": bias, "stop_token_ids": ends})
        ids = _ids(reply)
        if not set(ids).isdisjoint(tags.banned_ids):
            raise RequestError("invalid reply", "it holds a forking tag, which logit_bias was to prevent")
        return _without_end(reply, ids, ends), tag

    async def _draw(self, request: Request, prompt: list[int], tags: ForkingTags, ask: Ask) -> list[int]:
        drawn: list[int] = []
        while len(drawn) < tags.length:
            place = len(drawn)
            open_ids = sorted({ids[place] for ids in tags.token_ids if list(ids[:place]) == drawn})
            if len(open_ids) == 1:
                drawn += open_ids
                continue
            # Not the seed of the text: the same number would tie the text to the tag.
            seed = derived_seed("tag", request.seed, place)
            body = {"prompt": prompt + drawn, "max_tokens": 1, "seed": seed, "allowed_token_ids": open_ids}
            ids = _ids(await ask(body))
            if len(ids) != 1 or ids[0] not in open_ids:
                raise RequestError(
                    "invalid reply", f"token ids {list(ids)}, expected one of {open_ids}: allowed_token_ids"
                )
            drawn += ids
        return drawn


def _without_end(reply: Reply, ids: tuple[int, ...], ends: Sequence[int]) -> Reply:
    if ids and reply.finish_reason == "stop" and ids[-1] in ends:
        ids = ids[:-1]
    return Reply(reply.text, reply.reasoning, reply.finish_reason, reply.tokens_in, len(ids), ids)


def _ids(reply: Reply) -> tuple[int, ...]:
    if reply.token_ids is None:
        raise RequestError(
            "invalid reply", "no token_ids, which tags need: expected vLLM's return_token_ids", again=False
        )
    return reply.token_ids
