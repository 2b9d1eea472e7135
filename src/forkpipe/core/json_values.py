"""Values of any source (JSON, Parquet, pandas, Hugging Face) as values that JSON can hold."""

import math
from collections.abc import Mapping
from typing import Any


def json_value(value: Any) -> Any:
    """Return the value as JSON holds it: sequences are lists, missing and not finite numbers null, all else is text.

    Arrays and scalars of numpy and the missing values of pandas are recognised without importing either.

    >>> json_value({"levels": (1, 2), "score": float("nan")})
    {'levels': [1, 2], 'score': None}
    """
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): json_value(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset) or getattr(value, "ndim", 0) > 0:
        return [json_value(item) for item in value]
    dtype = getattr(value, "dtype", None)
    if dtype is not None and getattr(dtype, "kind", "") not in ("m", "M"):  # items of dates may be nanoseconds
        return json_value(value.item())
    text = str(value)
    return None if text in ("NaT", "<NA>") else text
