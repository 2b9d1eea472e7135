"""Checks of an engine's options; each raises an InputError that says in one line what is expected."""

from collections.abc import Collection, Sequence
from typing import Any
from urllib.parse import urlsplit

from forkpipe.core.errors import InputError


def check_urls(urls: Sequence[Any]) -> None:
    """Refuse values that are no web address, and addresses with a password: parameters are written to records."""
    if not urls:
        raise InputError("base_url is an empty list, expected at least one address")
    for url in urls:
        parts = urlsplit(url) if isinstance(url, str) else None
        if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
            raise InputError(f"base_url is {url!r}, expected an address such as http://localhost:8000/v1")
        if parts.username or parts.password:
            raise InputError(
                f"base_url of {parts.hostname} holds a name or password, expected api_key_env or credentials instead"
            )


def check_choice(name: str, value: Any, known: Collection[str]) -> None:
    """Refuse a value that is not among the known ones."""
    if value not in known:
        raise InputError(f"{name} is {value!r}, expected one of: {', '.join(known)}")


def check_count(name: str, value: Any) -> None:
    """Refuse anything but a whole number from 1."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise InputError(f"{name} is {value!r}, expected a whole number from 1")


def check_seconds(**values: Any) -> None:
    """Refuse anything but numbers above 0."""
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
            raise InputError(f"{name} is {value!r}, expected seconds above 0")
