"""Plain data as JSON text, so that a value can leave a process without being unpickled or evaluated.

Numbers below 2^63, text, booleans, None and lists stand for themselves. Everything else is an object with one key:
`i` a larger integer in hexadecimal, `f` nan, inf or -inf, `t` tuple, `s` set, `z` frozenset, `d` dictionary as pairs,
`b` bytes in hexadecimal, `c` complex number as two numbers. Standard library only: it runs beside the program.
"""

import json
import math
from typing import Any

MOST_DEEP = 100


class NotPlainError(TypeError):
    """A value is no plain data; the message is the name of its type."""


def encode(value: Any) -> str:
    """Return JSON text of a value; numpy's scalars and arrays become numbers and lists.

    Raises:
        NotPlainError: the value is or holds something else, or is nested too deeply.

    >>> encode((1, {2: b"x"}, 2**70, 1j, float("inf")))
    '{"t":[1,{"d":[[2,{"b":"78"}]]},{"i":"0x400000000000000000"},{"c":[0.0,1.0]},{"f":"inf"}]}'
    """
    return json.dumps(_tagged(value, 0), separators=(",", ":"))


def _tagged(value: Any, depth: int) -> Any:
    if depth > MOST_DEEP:
        raise NotPlainError("nested too deeply")
    depth += 1
    if value is None or value is True or value is False:
        return value
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        number = int.__int__(value)
        return number if -(2**63) <= number < 2**63 else {"i": hex(number)}
    if isinstance(value, float):
        real = float.__float__(value)
        return real if math.isfinite(real) else {"f": str(real)}
    if isinstance(value, list):
        return [_tagged(item, depth) for item in list.__iter__(value)]
    if isinstance(value, tuple):
        return {"t": [_tagged(item, depth) for item in tuple.__iter__(value)]}
    if isinstance(value, dict):
        return {"d": [[_tagged(key, depth), _tagged(item, depth)] for key, item in dict.items(value)]}
    if isinstance(value, set):
        return {"s": [_tagged(item, depth) for item in set.__iter__(value)]}
    if isinstance(value, frozenset):
        return {"z": [_tagged(item, depth) for item in frozenset.__iter__(value)]}
    if isinstance(value, bytes | bytearray):
        return {"b": bytes(value).hex()}
    if isinstance(value, complex):
        return {"c": [_tagged(value.real, depth), _tagged(value.imag, depth)]}
    kind = type(value)
    if kind.__module__ == "numpy" and hasattr(value, "tolist"):
        return _tagged(value.tolist(), depth)
    raise NotPlainError(str(kind.__name__)[:80])


def decode(text: str | bytes) -> Any:
    """Return the value that `encode` wrote: plain data and nothing else.

    Meant for values of one's own; a hostile text can take time (colliding keys) or memory in proportion to its size.

    Raises:
        ValueError: the text is nothing that `encode` writes.

    >>> decode(encode({(1, 2): {3}})), decode("[1, 2.5]")
    ({(1, 2): {3}}, [1, 2.5])
    """
    try:
        return untagged(json.loads(text))
    except (TypeError, KeyError, RecursionError, OverflowError) as error:
        raise ValueError(f"no value as encode writes it: {type(error).__name__}") from error


def untagged(tagged: Any) -> Any:
    """Return the value of parsed JSON; see `decode`."""
    if isinstance(tagged, list):
        return [untagged(item) for item in tagged]
    if not isinstance(tagged, dict):
        return tagged
    if len(tagged) != 1:
        raise ValueError("an object has more than one key")
    ((tag, inside),) = tagged.items()
    if tag in _MAKERS:
        return _MAKERS[tag]([untagged(item) for item in inside])
    if tag == "d":
        return {untagged(key): untagged(item) for key, item in inside}
    if tag == "i":
        return int(inside, 16)
    if tag == "f" and inside in ("nan", "inf", "-inf"):
        return float(inside)
    if tag == "b":
        return bytes.fromhex(inside)
    if tag == "c":
        return complex(*(untagged(part) for part in inside))
    raise ValueError(f"unknown key {tag!r:.40}")


_MAKERS: dict[str, Any] = {"t": tuple, "s": set, "z": frozenset}
