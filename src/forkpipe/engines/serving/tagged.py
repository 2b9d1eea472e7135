"""Forking tags through a server: the prompt as token ids with the tag behind it, the tags banned from what follows.

That takes a server that knows token ids, `logit_bias`, `allowed_token_ids`, `return_token_ids`: vLLM's completions.
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
"""The lowest bias that the protocol knows."""

Ask = Callable[[dict[str, Any]], Awaitable[Reply]]
"""Fields of a request's body, over those that every request has -> its reply."""


class TaggedPrompts:
    """Puts requests with forking tags to a server that serves a checkpoint of ours.

    Args:
        checkpoint: its folder; tokenizer and forking.json are read here, the weights are the server's.
    """

    def __init__(self, checkpoint: str) -> None:
        self._checkpoint = Checkpoint(checkpoint)

    def prepared(self, requests: Sequence[Request]) -> Sequence[Request]:
        """Return the requests, with tags drawn by the checkpoint's router if it has one; InputError without tags."""
        _ = self._checkpoint.tags, self._checkpoint.stop_ids  # read now, not in the event loop
        return with_routers_tags(str(self._checkpoint.name), requests)

    async def ask(self, request: Request, ask: Ask) -> tuple[Reply, int | None]:
        """Return the reply to a request and the index of its tag, None where it has none of the checkpoint's.

        The reply's token ids lack the end token. An own tag is drawn token by token among the tags only, one
        small request for each token at which they differ, so the policy is normalised over the tags.
        """
        tags, ends = self._checkpoint.tags, sorted(self._checkpoint.stop_ids)
        prompt = [*self._checkpoint.encode(request.prompt), *request.prefix_ids]
        tag = tags.index_of(request.prefix_ids)
        if request.own_tag:
            drawn = await self._draw(request, prompt, tags, ask)
            prompt += drawn
            tag = tags.index_of(drawn)
        bias = {str(token): BAN for token in tags.banned_ids}
        # A server ends a text by the model's end token alone, the other engines by the tokenizer's too.
        reply = await ask({"prompt": prompt, "logit_bias": bias, "stop_token_ids": ends})
        ids = _ids(reply)
        if not set(ids).isdisjoint(tags.banned_ids):
            raise RequestError("invalid reply", "it holds a forking tag, which logit_bias was to prevent")
        if ids and reply.finish_reason == "stop" and ids[-1] in ends:
            ids = ids[:-1]
        return Reply(reply.text, reply.reasoning, reply.finish_reason, reply.tokens_in, len(ids), ids), tag

    async def _draw(self, request: Request, prompt: list[int], tags: ForkingTags, ask: Ask) -> list[int]:
        drawn: list[int] = []
        while len(drawn) < tags.length:
            place = len(drawn)
            open_ids = sorted({ids[place] for ids in tags.token_ids if list(ids[:place]) == drawn})
            if len(open_ids) == 1:
                drawn += open_ids
                continue
            # Another seed than the text's: the same number would tie the text to the tag.
            seed = derived_seed("tag", request.seed, place)
            body = {"prompt": prompt + drawn, "max_tokens": 1, "seed": seed, "allowed_token_ids": open_ids}
            ids = _ids(await ask(body))
            if len(ids) != 1 or ids[0] not in open_ids:
                raise RequestError(
                    "invalid reply", f"token ids {list(ids)}, expected one of {open_ids}: allowed_token_ids"
                )
            drawn += ids
        return drawn


def _ids(reply: Reply) -> tuple[int, ...]:
    if reply.token_ids is None:
        raise RequestError(
            "invalid reply", "no token_ids, which tags need: expected vLLM's return_token_ids", again=False
        )
    return reply.token_ids
