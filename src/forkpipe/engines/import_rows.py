"""The shapes that rows of traces have: a text, a chat, several samples, or a line of a hosted API's batch output."""

from collections.abc import Iterator, Mapping
from typing import Any

from forkpipe.core.chats import content_of, turns_of
from forkpipe.core.read_rows import Row, value_at
from forkpipe.engines.serving.replies import FINISHED

CHATS = ("messages", "conversations", "conversation")


def unfolded(row: Row, text_column: str | None) -> list[Row]:
    """Return a row with its texts under their plain names: several rows for a reply with several choices.

    A line of batch output gets text, reasoning, finish_reason, tokens and error. A chat gets the last message of the
    assistant as text, and the last message of the user before it as problem. What the row itself has wins.

    Args:
        row: the row.
        text_column: the column that the user names as text, if any; it may be a chat.
    """
    if text_column is None and "custom_id" in row and ("response" in row or "result" in row):
        return [{**row, **reply} for reply in _replies(row)]
    for column in (text_column,) if text_column else ("text", *CHATS):
        try:
            value = value_at(row, column)
        except KeyError:
            continue
        if isinstance(value, list) and value and all(isinstance(item, Mapping) for item in value):
            turns = turns_of(value)
            return [{**turns, **row, **({column: turns["text"]} if text_column else {})}]
        break
    return [row]


def _replies(row: Row) -> Iterator[Row]:
    """Yield the samples of a line of batch output, of OpenAI's or Anthropic's form."""
    if "result" in row:
        result = _mapping(row["result"])
        body = _mapping(result.get("message"))
        error = None if result.get("type") == "succeeded" else result.get("error") or result.get("type") or "no result"
    else:
        body = _mapping(_mapping(row["response"]).get("body"))
        error = row.get("error") or body.get("error")
    messages = _messages(body)
    if error or not messages:
        why = _message(error or "it has no reply")
        yield {"text": None, "reasoning": None, "finish_reason": "error", "tokens": None, "error": why}
        return
    usage = _mapping(body.get("usage"))
    tokens = usage.get("completion_tokens", usage.get("output_tokens")) if len(messages) == 1 else None
    for message, finish in messages:
        text, reasoning = content_of(message)
        finish_reason = FINISHED.get(str(finish or "stop"), "error")
        error = f"finish reason {finish}"
        yield {"text": text, "reasoning": reasoning, "finish_reason": finish_reason, "tokens": tokens, "error": error}


def _messages(body: Mapping[str, Any]) -> list[tuple[Mapping[str, Any], Any]]:
    """Return the messages of a reply, each with the reason why it ended."""
    if "choices" in body:
        choices = [_mapping(choice) for choice in body["choices"] or []]
        # The endpoint for completions has the text in the choice itself.
        messages = [_mapping(choice.get("message")) or {"content": choice.get("text")} for choice in choices]
        return [(message, choice.get("finish_reason")) for message, choice in zip(messages, choices, strict=True)]
    if "output" in body:  # of the endpoint for responses
        content = [part for item in body["output"] or [] for part in _mapping(item).get("content") or []]
        status = body.get("status")
        return [({"content": content}, {"completed": "stop", "incomplete": "length"}.get(str(status), status))]
    return [(body, body.get("stop_reason"))] if "content" in body else []


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _message(error: Any) -> str:
    """Return the message of an error, which may lie within others."""
    while isinstance(error, Mapping):
        error = error.get("message") or error.get("error") or error.get("type") or "no message"
    return " ".join(str(error).split())
