"""Reads replies of OpenAI-compatible servers, without a schema: servers differ in what they leave out."""

import json
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from forkpipe.core.chats import REASONING
from forkpipe.core.rows import FinishReason
from forkpipe.engines.serving.failures import RequestError

FINISHED: dict[str, FinishReason] = {
    "stop": "stop",
    "eos": "stop",
    "eos_token": "stop",
    "end_turn": "stop",
    "stop_sequence": "stop",
    "length": "length",
    "max_tokens": "length",
    "model_length": "length",
}
"""Servers' names for the reason why a text ended. (`content_filter` and `abort` are failures.)"""

THINKING = ("thinking", "reasoning")
"""Types of the parts of a content that hold reasoning; a part of any other type is visible text."""

_SNAPSHOT = re.compile(r"-latest$|[-@](\d{4}-\d\d-\d\d|\d{8}|\d{6}|\d{4}|\d{3})$")


@dataclass(frozen=True, slots=True)
class Reply:
    """A successful reply; token counts are None if the server does not count."""

    text: str
    reasoning: str
    finish_reason: FinishReason
    tokens_in: int | None
    tokens_out: int | None
    token_ids: tuple[int, ...] | None


@dataclass(slots=True)
class _Parts:
    """What has arrived of a reply so far, in one piece or many."""

    model: Any = None
    usage: Any = None
    choices: int = 0
    finish: str | None = None
    last: Any = None
    text: list[str] = field(default_factory=list)
    reasoning: list[str] = field(default_factory=list)
    token_ids: list[int] | None = None

    def add(self, data: Any, message_key: str) -> None:
        """Add a whole reply (message_key "message") or an event of a stream ("delta")."""
        if not isinstance(data, Mapping):
            raise RequestError("invalid reply", f"it is {type(data).__name__}, expected an object")
        if data.get("error"):
            raise RequestError("server error", _message(data["error"]))
        self.last = data
        self.model = data.get("model") or self.model
        self.usage = data.get("usage") or self.usage
        choices = data.get("choices") or []
        if not isinstance(choices, Sequence) or not all(isinstance(choice, Mapping) for choice in choices):
            raise RequestError("invalid reply", "choices is no list of objects")
        for choice in choices[:1]:
            self.choices += 1
            self.finish = _text(choice.get("finish_reason")).lower() or self.finish
            message = choice.get(message_key)
            source = message if isinstance(message, Mapping) else choice
            content = source.get("content" if source is message else "text")
            parts = content if isinstance(content, list) else [content]
            thinking = [part for part in parts if isinstance(part, Mapping) and part.get("type") in THINKING]
            self.text.append(_text([part for part in parts if part not in thinking]))
            # A server may send the same text under several names.
            self.reasoning.append(next(filter(None, map(_text, [*map(source.get, REASONING), thinking])), ""))
            ids = choice.get("token_ids")
            if isinstance(ids, list) and all(isinstance(token, int) for token in ids):
                self.token_ids = [*(self.token_ids or []), *ids]

    def finished(self, model: str, aliases: Sequence[str], limit: int | None = None) -> Reply:
        """Return the reply; RequestError if something is wrong with it.

        Args:
            model: the model that should have answered.
            aliases: patterns of other names it may answer under.
            limit: the token limit of the request: a reply without a finish reason is cut if it is as long.
        """
        if self.choices == 0:
            raise RequestError("empty reply", "it has no choice")
        if self.model and not is_named(str(self.model), model, aliases):
            raise RequestError("wrong model", f"'{self.model}' answered, expected '{model}' or one of options.aliases")
        if self.finish == "content_filter":
            raise RequestError("refused", "the server's content filter", again=False)
        if self.finish == "abort":
            raise RequestError("server error", "the server aborted the request")
        if self.finish is not None and self.finish not in FINISHED:
            raise RequestError(
                "invalid reply", f"finish reason '{self.finish}', expected one of: {', '.join(FINISHED)}"
            )
        usage = self.usage if isinstance(self.usage, Mapping) else {}
        text, reasoning = _whole(self.text), _whole(self.reasoning)
        tokens_out = _count(usage.get("completion_tokens"))
        finish = self.finish or ("stop" if limit is None or (tokens_out or 0) < limit else "length")
        # A model may end at once, or write no visible text: then the server has counted tokens.
        if not text and not reasoning and not (tokens_out and self.finish):
            raise RequestError("empty reply", "it has no text, and counts no tokens or has no finish reason")
        ids = None if self.token_ids is None else tuple(self.token_ids)
        return Reply(text, reasoning, FINISHED[finish], _count(usage.get("prompt_tokens")), tokens_out, ids)


def is_named(answered: str, model: str, aliases: Sequence[str] = ()) -> bool:
    """Return whether a model that was asked by one name may answer by another.

    Servers answer with the name of a snapshot, with or without the model's owner, and in other case.

    >>> is_named("gpt-x-2025-04-14", "gpt-x"), is_named("Owner/X", "x"), is_named("gpt-x-mini", "gpt-x")
    (True, True, False)
    >>> is_named("x-20250414", "x-latest"), is_named("x-20250414", "x-20241022"), is_named("a/x", "b/x")
    (True, False, False)
    """
    if any(fnmatchcase(answered, alias) for alias in aliases):
        return True
    name, asked = answered.lower(), model.lower()
    if ("/" in name) != ("/" in asked):
        name, asked = name.rpartition("/")[2], asked.rpartition("/")[2]
    return name == asked or _SNAPSHOT.sub("", name) in (asked, asked.removesuffix("-latest"))


def read_reply(content: bytes, model: str, aliases: Sequence[str], limit: int | None = None) -> Reply:
    """Read the body of a reply, see `_Parts.finished`; RequestError, which holds the body, if it cannot be read."""
    parts = _Parts()
    try:
        parts.add(json.loads(content), "message")
        return parts.finished(model, aliases, limit)
    except RequestError as failure:
        failure.reply = content.decode(errors="replace")
        raise
    except (ValueError, RecursionError) as error:
        raise RequestError("invalid reply", f"not JSON: {error}", reply=content.decode(errors="replace")) from error


async def read_stream(events: AsyncIterator[Any], model: str, aliases: Sequence[str]) -> Reply:
    """Read the events of a streamed reply, see `read_reply`; a stream without a finish reason was cut."""
    parts = _Parts()
    try:
        async for event in events:
            parts.add(event, "delta")
        if parts.choices and parts.finish is None:
            raise RequestError("cut stream", "the stream ended without a finish reason")
        return parts.finished(model, aliases)
    except RequestError as failure:
        failure.reply = json.dumps(parts.last)
        raise


def _whole(parts: list[str]) -> str:
    """Join the parts; halves of surrogate pairs whose other half is missing are replaced, as no file can hold them."""
    return "".join(parts).encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _text(value: Any) -> str:
    """Return a text, or that of a part or of a list of parts: `{"type": "text", "text": ...}`."""
    if value is None or isinstance(value, str):
        return value or ""
    if isinstance(value, list):
        return "".join(map(_text, value))
    if isinstance(value, Mapping):
        return next(filter(None, map(_text, map(value.get, ("text", *THINKING, "content")))), "")
    raise RequestError("invalid reply", f"{json.dumps(value)} in the place of a text")


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _message(error: Any) -> str:
    return str(error.get("message", error)) if isinstance(error, Mapping) else str(error)
