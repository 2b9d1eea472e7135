"""One request through the openai client, without what the client would add: retries, keys, slow parsing."""

from collections.abc import Sequence
from typing import Any, Literal

from forkpipe.engines.serving.replies import Reply, read_reply, read_stream

Endpoint = Literal["chat", "completions"]
PATHS: dict[Endpoint, str] = {"chat": "/chat/completions", "completions": "/completions"}

KEEP_ALIVE = 4.0
"""Seconds an idle connection is kept. Servers close theirs after 5 s, and a request sent at that moment is lost."""


def open_client(url: str, key: str | None, *, connections: int, connect_timeout: float) -> Any:
    """Return an openai client of one server.

    Args:
        connections: requests in flight at a time.
        connect_timeout: seconds a connection may take; a reply may take any time.
    """
    import httpx2
    from openai import AsyncOpenAI, DefaultAioHttpClient

    # The client's default transport takes longer per request the more connections there are; aiohttp's does not.
    limits = httpx2.Limits(max_connections=connections + 1, keepalive_expiry=KEEP_ALIVE)
    timeout = httpx2.Timeout(None, connect=connect_timeout)
    # Without a key the client would send the value of OPENAI_API_KEY to whatever server is named.
    return AsyncOpenAI(
        base_url=url,
        api_key=key or "none",
        max_retries=0,
        timeout=timeout,
        http_client=DefaultAioHttpClient(limits=limits, timeout=timeout),
    )


async def send(client: Any, endpoint: Endpoint, body: dict[str, Any], model: str, aliases: Sequence[str]) -> Reply:
    """Send the body of a request and return the reply; `body` says whether it is to be streamed.

    Args:
        aliases: patterns of other names it may answer under.
    """
    import httpx2
    from openai import AsyncStream

    # The client's typed methods take longer to check and build objects than everything else takes.
    path = PATHS[endpoint]
    if not body.get("stream"):
        response = await client.post(path, body=body, cast_to=httpx2.Response)
        limit = body.get("max_tokens", body.get("max_completion_tokens"))
        return read_reply(response.content, model, aliases, limit)
    stream: dict[str, Any] = {"stream": True, "stream_cls": AsyncStream[object]}
    async with await client.post(path, body=body, cast_to=object, **stream) as events:
        return await read_stream(aiter(events), model, aliases)
