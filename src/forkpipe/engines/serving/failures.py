"""Why one try at a request failed, whether another try can help, and how long to wait before it."""

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
"""Kinds that count as a failure of the server; with the others the server has answered."""

LONGEST_MESSAGE = 300


class RequestError(Exception):
    """A try at a request that gave no completion; its text is the kind, a colon and the message, on one line.

    Attributes:
        kind: see `Kind`.
        message: the message of the server or the client.
        again: whether another try can help.
        retry_after: seconds that the server asks to wait, None if it does not say.
        lasting: whether it will not pass, whatever is asked: a refused key, an account without money.
        reply: the reply, if the server has sent one that cannot be read; else empty.
        misconfigured: whether an option may be wrong (the model's name, a right that the key lacks), so that every
            request to this server would fail alike.
    """

    def __init__(
        self,
        kind: Kind,
        message: str,
        *,
        again: bool = True,
        retry_after: float | None = None,
        lasting: bool = False,
        misconfigured: bool = False,
        reply: str = "",
    ) -> None:
        super().__init__(kind)
        self.kind = kind
        self.message = message
        self.again = again
        self.retry_after = retry_after
        self.lasting = lasting
        self.misconfigured = misconfigured
        self.reply = reply

    def __str__(self) -> str:
        return f"{self.kind}: {one_line(self.message)}"

    def hide(self, secret: str | None) -> "RequestError":
        """Remove a secret from the message: some servers repeat the key."""
        if secret:
            self.message, self.reply = self.message.replace(secret, "***"), self.reply.replace(secret, "***")
        return self


def one_line(text: str) -> str:
    """Return a text on one line, cut to `LONGEST_MESSAGE`."""
    return " ".join(text.split())[:LONGEST_MESSAGE]


def from_status(status: int, headers: Mapping[str, str], body: Any, message: str) -> RequestError:
    """Return the failure that an HTTP status other than 2xx stands for.

    Args:
        body: the reply's error object, parsed from JSON.
    """
    fields = body if isinstance(body, Mapping) else {}
    if status in (401, 402) or (status == 429 and fields.get("code") == "insufficient_quota"):
        return RequestError("refused", message, again=False, lasting=True)
    if status == 429:
        return RequestError("rate limit", message, retry_after=retry_after(headers))
    if status in (408, 409, 425) or status >= 500:
        return RequestError("server error", message, retry_after=retry_after(headers))
    # Some servers answer 403 to a prompt that their moderation flags, and say so in `metadata`.
    of_key = status == 404 or (status == 403 and "flagged_input" not in str(fields.get("metadata")))
    return RequestError("refused", message, again=of_key, misconfigured=of_key)


def from_client(error: Exception) -> RequestError:
    """Return the failure that an exception of the openai client or its HTTP client stands for; raise any other."""
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
    message = next((str(cause) for cause in reversed(causes) if str(cause)), type(causes[-1]).__name__)
    if any(isinstance(cause, httpx2.ReadError | httpx2.RemoteProtocolError) for cause in causes):
        return RequestError("cut stream", message)
    # The HTTP client also raises a time-out for a server that hangs up before it answers.
    if any(isinstance(cause, TimeoutError) for cause in causes):
        return RequestError("timeout", f"no connection: {message}")
    if isinstance(error, openai.APIConnectionError):
        return RequestError("connection", message)
    return RequestError("server error", message)  # sent in the middle of a stream


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that a reply asks to wait, None if it does not ask. Reads milliseconds, seconds or a date.

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
    """Return the seconds to wait before the next try. They double, with jitter, and are at least what the server asks.

    Args:
        tries: failed tries so far, from 1.
        asked: seconds that the server asks to wait, None if it does not.
        first: the first wait, before jitter.
        longest: the longest wait, before jitter; the server may ask for longer.
    """
    if asked is not None:
        # Requests that were all told the same time must not come back all at once.
        return asked + random.uniform(0, max(first, asked / 4))
    return float(min(longest, first * 2 ** min(tries - 1, 30)) * random.uniform(0.5, 1))
