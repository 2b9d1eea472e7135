"""Reads replies of OpenAI-compatible servers, without a schema: servers differ in what they leave out."""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

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

REASONING = ("reasoning_content", "reasoning")
"""Fields for reasoning: of DeepSeek, SGLang and older vLLM; of newer vLLM, OpenRouter and Groq."""


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
    text: list[str] = field(default_factory=list)
    reasoning: list[str] = field(default_factory=list)
    token_ids: list[int] | None = None

    def add(self, data: Any, message_key: str) -> None:
        """Add a whole reply (message_key "message") or an event of a stream ("delta")."""
        if not isinstance(data, Mapping):
            raise RequestError("invalid reply", f"it is {type(data).__name__}, expected an object")
        if data.get("error"):
            raise RequestError("server error", _message(data["error"]))
        self.model = data.get("model") or self.model
        self.usage = data.get("usage") or self.usage
        choices = data.get("choices") or []
        if not isinstance(choices, Sequence) or not all(isinstance(choice, Mapping) for choice in choices):
            raise RequestError("invalid reply", "choices is no list of objects")
        for choice in choices[:1]:
            self.choices += 1
            self.finish = _text(choice, "finish_reason") or self.finish
            message = choice.get(message_key)
            source = message if isinstance(message, Mapping) else choice
            self.text.append(_text(source, "content" if source is message else "text"))
            # A server may send the same text under both names.
            self.reasoning.append(next(filter(None, (_text(source, name) for name in REASONING)), ""))
            ids = choice.get("token_ids")
            if isinstance(ids, list) and all(isinstance(token, int) for token in ids):
                self.token_ids = [*(self.token_ids or []), *ids]

    def finished(self, model: str, aliases: Sequence[str]) -> Reply:
        """Return the reply; RequestError if something is wrong with it."""
        if self.choices == 0:
            raise RequestError("empty reply", "it has no choice")
        if self.model != model and not any(fnmatchcase(str(self.model), alias) for alias in aliases):
            raise RequestError("wrong model", f"'{self.model}' answered, expected '{model}' or one of options.aliases")
        if self.finish is None:
            raise RequestError("cut stream", "the reply has no finish reason")
        if self.finish == "content_filter":
            raise RequestError("refused", "the server's content filter", again=False)
        if self.finish == "abort":
            raise RequestError("server error", "the server aborted the request")
        if self.finish not in FINISHED:
            raise RequestError(
                "invalid reply", f"finish reason '{self.finish}', expected one of: {', '.join(FINISHED)}"
            )
        usage = self.usage if isinstance(self.usage, Mapping) else {}
        text, reasoning = _whole(self.text), _whole(self.reasoning)
        tokens_out = _count(usage.get("completion_tokens"))
        # A model may end at once, or write no visible text: then the server has counted tokens.
        if not text and not reasoning and not tokens_out:
            raise RequestError("empty reply", "it has no text, and counts no tokens")
        ids = None if self.token_ids is None else tuple(self.token_ids)
        return Reply(text, reasoning, FINISHED[self.finish], _count(usage.get("prompt_tokens")), tokens_out, ids)


def read_reply(content: bytes, model: str, aliases: Sequence[str]) -> Reply:
    """Read the body of a reply; RequestError if something is wrong with it.

    Args:
        aliases: patterns of other names it may answer under.
    """
    try:
        data = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise RequestError("invalid reply", f"not JSON: {error}") from error
    parts = _Parts()
    parts.add(data, "message")
    return parts.finished(model, aliases)


async def read_stream(events: AsyncIterator[Any], model: str, aliases: Sequence[str]) -> Reply:
    """Read the events of a streamed reply, see `read_reply`; a stream without a finish reason was cut."""
    parts = _Parts()
    async for event in events:
        parts.add(event, "delta")
    if parts.choices and parts.finish is None:
        raise RequestError("cut stream", "the stream ended without a finish reason")
    return parts.finished(model, aliases)


def _whole(parts: list[str]) -> str:
    """Join the parts; halves of surrogate pairs whose other half is missing are replaced, as no file can hold them."""
    return "".join(parts).encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _text(source: Mapping[str, Any], name: str) -> str:
    value = source.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise RequestError("invalid reply", f"{name} is {type(value).__name__}, expected text")
    return value


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _message(error: Any) -> str:
    return str(error.get("message", error)) if isinstance(error, Mapping) else str(error)
