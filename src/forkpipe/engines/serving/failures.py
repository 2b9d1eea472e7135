"""What went wrong with one try at a request, whether another can help, and how long to wait before it."""

import json
import random
import time
from collections.abc import Mapping
from contextlib import suppress
from email.utils import parsedate_to_datetime
from typing import Any, Literal

Kind = Literal[
    "timeout",
    "connection",
    "cut stream",
    "server error",
    "rate limit",
    "invalid reply",
    "empty reply",
    "wrong model",
    "refused",
]

OF_SERVER: tuple[Kind, ...] = ("timeout", "connection", "cut stream", "server error", "invalid reply", "wrong model")
"""Kinds that speak against the server; the others are said by one that lives."""

LONGEST_MESSAGE = 300
"""Characters of what a server said that are kept."""


class RequestError(Exception):
    """One try at a request that gave no completion; its text is the kind, a colon and what was said, on one line.

    Attributes:
        kind: see `Kind`.
        said: what the server or the client said.
        again: whether another try can help.
        retry_after: seconds that the server asks to wait, None where it names none.
        misconfigured: whether every request to this server would fail like this (key, quota, name of the model).
    """

    def __init__(
        self,
        kind: Kind,
        said: str,
        *,
        again: bool = True,
        retry_after: float | None = None,
        misconfigured: bool = False,
    ) -> None:
        super().__init__(kind)
        self.kind = kind
        self.said = said
        self.again = again
        self.retry_after = retry_after
        self.misconfigured = misconfigured

    def __str__(self) -> str:
        return f"{self.kind}: {' '.join(self.said.split())[:LONGEST_MESSAGE]}"

    def hide(self, secret: str | None) -> "RequestError":
        """Take a secret out of what was said: servers have been seen to echo the key."""
        if secret:
            self.said = self.said.replace(secret, "***")
        return self


def from_status(status: int, headers: Mapping[str, str], body: Any, said: str) -> RequestError:
    """Return what an HTTP status other than 2xx means.

    Args:
        status: the status.
        headers: of the reply.
        body: the error object of the reply, as JSON gave it.
        said: the reply's message.
    """
    code = body.get("code") if isinstance(body, Mapping) else None
    if status == 429 and code == "insufficient_quota":
        return RequestError("rate limit", said, again=False, misconfigured=True)
    if status == 429:
        return RequestError("rate limit", said, retry_after=retry_after(headers))
    if status in (408, 409, 425) or status >= 500:
        return RequestError("server error", said, retry_after=retry_after(headers))
    return RequestError("refused", said, again=False, misconfigured=status in (401, 404))


def from_client(error: Exception) -> RequestError:
    """Return what an exception of the openai client, or of the HTTP client below it, means; raise any other."""
    import aiohttp
    import httpx2
    import openai

    if isinstance(error, openai.APIStatusError):
        return from_status(error.status_code, error.response.headers, error.body, error.message)
    if isinstance(error, UnicodeEncodeError):
        return RequestError("refused", f"the prompt is no text that can be sent: {error}", again=False)
    if isinstance(error, json.JSONDecodeError | UnicodeDecodeError | RecursionError):
        return RequestError("invalid reply", f"not JSON: {error}")
    if not isinstance(error, openai.OpenAIError | httpx2.HTTPError | aiohttp.ClientError | OSError):
        raise error
    causes: list[BaseException] = [error]
    while causes[-1].__cause__ is not None:
        causes.append(causes[-1].__cause__)
    said = next((str(one) for one in reversed(causes) if str(one)), type(causes[-1]).__name__)
    if any(isinstance(one, httpx2.ReadError | httpx2.RemoteProtocolError) for one in causes):
        return RequestError("cut stream", said)
    # The HTTP client calls a server that hangs up before it answers a time-out too.
    if any(isinstance(one, TimeoutError) for one in causes):
        return RequestError("timeout", f"no connection: {said}")
    if isinstance(error, openai.APIConnectionError):
        return RequestError("connection", said)
    return RequestError("server error", said)  # said in the midst of a stream


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that a reply asks to wait: milliseconds, seconds or an HTTP date; None where it asks nothing.

    >>> retry_after({"retry-after-ms": "1500", "retry-after": "9"}), retry_after({"retry-after": "2.5"})
    (1.5, 2.5)
    >>> retry_after({"retry-after": "Sun, 06 Nov 1994 08:49:37 GMT"}), retry_after({"retry-after": "soon"})
    (0.0, None)
    """
    with suppress(ValueError):
        if "retry-after-ms" in headers:
            return max(0.0, float(headers["retry-after-ms"]) / 1000)
    given = headers.get("retry-after")
    if given is None:
        return None
    with suppress(ValueError):
        return max(0.0, float(given))
    with suppress(ValueError):
        return max(0.0, parsedate_to_datetime(given).timestamp() - time.time())
    return None


def wait_before(tries: int, asked: float | None, first: float, longest: float) -> float:
    """Return the seconds to wait after `tries` failed tries: doubling, with jitter, and no less than the server asks.

    Args:
        tries: failed tries so far, from 1.
        asked: seconds the server asked for, None where it did not.
        first: the first wait, before jitter.
        longest: the longest, before jitter; what a server asks for may be longer.
    """
    if asked is not None:
        # Those that were all told the same time would come back all at once.
        return asked + random.uniform(0, max(first, asked / 4))
    return float(min(longest, first * 2 ** min(tries - 1, 30)) * random.uniform(0.5, 1))
