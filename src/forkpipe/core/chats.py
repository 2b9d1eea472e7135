"""Chats in rows of data sets: lists of messages with role and content, or as ShareGPT has them, from and value."""

from collections.abc import Mapping, Sequence
from typing import Any

REASONING = ("reasoning_content", "reasoning")
"""Fields for reasoning: of DeepSeek, SGLang and older vLLM; of newer vLLM, OpenRouter and Groq."""

_ROLES = {"human": "user", "gpt": "assistant", "model": "assistant"}
_TEXT_PARTS = ("text", "output_text")


def turns_of(messages: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the assistant's last message as text and reasoning, and the user's last message before it as problem.

    >>> turns_of([{"role": "user", "content": "1 + 1"}, {"from": "gpt", "value": "2"}])
    {'problem': '1 + 1', 'text': '2', 'reasoning': None}
    """
    roles = roles_of(messages)
    last = max((at for at, role in enumerate(roles) if role == "assistant"), default=-1)
    asked = [at for at, role in enumerate(roles[: max(last, 0)]) if role == "user"]
    turns: dict[str, Any] = {"problem": content_of(messages[asked[-1]])[0]} if asked else {}
    turns["text"], turns["reasoning"] = content_of(messages[last]) if last >= 0 else (None, None)
    return turns


def roles_of(messages: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the role of each message: system, user, assistant, or another as it stands there."""
    roles = [str(message.get("role", message.get("from"))) for message in messages]
    return [_ROLES.get(role, role) for role in roles]


def content_of(message: Mapping[str, Any]) -> tuple[Any, Any]:
    """Return (text, reasoning) of a message, each None if it has none."""
    content = message.get("content", message.get("value"))
    reasoning = next((message[name] for name in REASONING if message.get(name)), None)
    if not isinstance(content, list):
        return content, reasoning
    parts = [part for part in content if isinstance(part, Mapping)]
    thoughts = [str(part["thinking"]) for part in parts if part.get("type") == "thinking" and "thinking" in part]
    texts = [str(part["text"]) for part in parts if part.get("type") in _TEXT_PARTS and "text" in part]
    return "".join(texts) if texts else None, "".join(thoughts) or reasoning
