"""API keys: from an environment variable or from Kedro's credentials, and from nowhere else.

A key is looked up when a request is about to be sent, so that a plan, a report or a training needs none. Never log or
write what this module returns.
"""

import os
from collections.abc import Callable, Mapping
from typing import Any

from forkpipe.core.errors import InputError

Credentials = Mapping[str, Any]

_provided: Callable[[], Credentials] = dict


def provide(credentials: Callable[[], Credentials]) -> None:
    """Set the function that returns all credentials; the project sets one that reads conf/local."""
    global _provided
    _provided = credentials


def provided() -> Credentials:
    """Return all credentials, to pass them on to a process that creates engines."""
    return _provided()


def find_key(api_key_env: str | None, credentials: str | None) -> str | None:
    """Return the API key of an environment variable, or of the field `api_key` of an entry of credentials.yml.

    None if neither is named; InputError if the one that is named does not exist.
    """
    if api_key_env is not None:
        key = os.environ.get(api_key_env)
        if not key:
            raise InputError(f"api_key_env names the environment variable {api_key_env}, which is not set")
        return key
    if credentials is None:
        return None
    entry = _provided().get(credentials)
    key = entry.get("api_key") if isinstance(entry, Mapping) else None
    if not isinstance(key, str) or not key:
        raise InputError(
            f"credentials names '{credentials}', expected it in conf/local/credentials.yml with a field api_key"
        )
    return key
