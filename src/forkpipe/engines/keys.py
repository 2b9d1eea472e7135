"""Keys of servers: from an environment variable or from Kedro's credentials, and from nowhere else.

They are looked up when a request is to be sent, so that a plan, a report or a training needs none. Nothing here may be
logged or written.
"""

import os
from collections.abc import Callable, Mapping
from typing import Any

from forkpipe.core.errors import InputError

Credentials = Mapping[str, Any]

_provided: Callable[[], Credentials] = dict


def provide(credentials: Callable[[], Credentials]) -> None:
    """Set where `credentials` of an engine's options are looked up; the project does so from conf/local."""
    global _provided
    _provided = credentials


def provided() -> Credentials:
    """Return all credentials, to hand to a process that makes engines in turn."""
    return _provided()


def find_key(api_key_env: str | None, credentials: str | None) -> str | None:
    """Return a key, None where neither source is named.

    Args:
        api_key_env: name of an environment variable.
        credentials: name of an entry of credentials.yml, with a field `api_key`.

    Raises:
        InputError: what is named is not there.
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
