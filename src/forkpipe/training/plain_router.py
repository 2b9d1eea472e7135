"""A router of low-rank layers alone, for servers that know no trained rows of a matrix.

N rows of the output matrix that were moved by D (N x hidden) are a low-rank layer beside it: A = D, and B
(vocabulary x N) says which row each row of D moves. So nothing is approximated.
"""

import json
from pathlib import Path
from typing import Any

from forkpipe.core.errors import InputError
from forkpipe.training.router import ROUTER_FOLDER

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
INDEX, SINGLE = "model.safetensors.index.json", "model.safetensors"


def moves_rows(checkpoint: Path) -> bool:
    """Whether a checkpoint's router has trained rows besides its low-rank layers."""
    return bool(_config(checkpoint).get("trainable_token_indices"))


def largest_rank(checkpoint: Path) -> int:
    """Return the largest rank of a layer of the router as `save_plain_router` writes it."""
    config = _config(checkpoint)
    return max([config["r"], *map(len, (config.get("trainable_token_indices") or {}).values())])


def save_plain_router(checkpoint: Path, folder: Path) -> None:
    """Write a checkpoint's router into a folder, with low-rank layers where it has trained rows."""
    import torch
    from safetensors import safe_open
    from safetensors.torch import save_file

    config = _config(checkpoint)
    source = checkpoint / ROUTER_FOLDER / WEIGHTS
    found: dict[str, Any] = {}
    with safe_open(source, "pt") as weights:
        for name in weights.keys():  # noqa: SIM118, it is no mapping
            found[name] = weights.get_tensor(name)
    for module, rows in (config.pop("trainable_token_indices") or {}).items():
        trained = found.pop(f"base_model.model.{module}.token_adapter.trainable_tokens_delta")
        before, vocabulary = _rows_before(checkpoint, module, rows)
        which = torch.zeros(vocabulary, len(rows), dtype=trained.dtype)
        which[rows, range(len(rows))] = 1.0
        found[f"base_model.model.{module}.lora_A.weight"] = trained - before.to(trained.dtype)
        found[f"base_model.model.{module}.lora_B.weight"] = which
        config["target_modules"] = [*config["target_modules"], module.rpartition(".")[2]]
        # As much as the rank, so that the layer counts once.
        config["rank_pattern"] = {**config["rank_pattern"], module: len(rows)}
        config["alpha_pattern"] = {**config["alpha_pattern"], module: len(rows)}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CONFIG).write_text(json.dumps(config))
    save_file(found, folder / WEIGHTS)


def _config(checkpoint: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((checkpoint / ROUTER_FOLDER / CONFIG).read_text())
    return found


def _rows_before(checkpoint: Path, module: str, rows: list[int]) -> tuple[Any, int]:
    """Return rows of a matrix of the model itself, and how many it has."""
    import torch
    from safetensors import safe_open

    name = f"{module}.weight"
    file = checkpoint / SINGLE
    if (checkpoint / INDEX).exists():
        file = checkpoint / json.loads((checkpoint / INDEX).read_text())["weight_map"][name]
    if not file.exists():
        raise InputError(f"{file}: no such file, expected the weights of the router's model")
    with safe_open(file, "pt") as weights:
        matrix = weights.get_slice(name)
        return torch.cat([matrix[row : row + 1] for row in rows]), matrix.get_shape()[0]
