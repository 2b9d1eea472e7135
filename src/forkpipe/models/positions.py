"""The longest sequence that a model is made for."""

from typing import Any

from forkpipe.core.errors import InputError


def max_positions(config: Any) -> int | None:
    """Return the longest sequence a model is made for, None if its configuration does not say."""
    text = config.get_text_config()
    stated: int | None = getattr(text, "max_position_embeddings", None)
    rope = getattr(text, "rope_parameters", None) or {}
    if stated and rope.get("rope_type") == "yarn" and "factor" in rope:
        # Some configurations state the positions from before they are stretched.
        before = rope.get("original_max_position_embeddings") or stated
        return max(stated, int(before * rope["factor"]))
    return stated


def check_positions(length: int, config: Any, name: str) -> None:
    """Raise InputError if the length that parameter `name` allows is longer than the model is made for."""
    positions = max_positions(config)
    if positions is not None and length > positions:
        raise InputError(
            f"{name} is {length} and the model has {positions} positions (max_position_embeddings), "
            f"expected at most {positions}"
        )
