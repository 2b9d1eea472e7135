"""How much memory and disk a supervised training takes, counted from the model's configuration: no model is loaded.

The rules are those of mixed-precision training with AdamW: 16 bytes for each trained weight (the weight, its gradient
and two moments in float32), shared out over the processes of FSDP2; activations by the layers of a decoder with
attention and a gated feed-forward network. tests/training/test_memory.py compares them with real models.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from forkpipe.parameters import LoraSettings, SupervisedSettings

GIGABYTE = 1e9
ROUNDED_UP, CONTEXT = 1.05, 1.5 * GIGABYTE
"""What is added to a GPU's count: fragments of its memory, and the libraries' own."""
PROCESS = 2 * GIGABYTE
"""Host memory of a process apart from the model."""
FULL = 0.95
"""Share of a machine's memory above which a training is refused."""


@dataclass(frozen=True)
class Sizes:
    """Numbers of a decoder's configuration.

    Attributes:
        hidden, inner: width of the residual stream, and of the feed-forward network.
        queries, keys: width of all heads of queries, and of keys.
        extra: weights of a layer beyond its matrices and two norms, such as biases.
    """

    layers: int
    hidden: int
    inner: int
    queries: int
    keys: int
    vocabulary: int
    tied: bool
    extra: int

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> "Sizes | None":
        """Return the sizes of a model's config.json, None for a kind of model whose layers are not known here."""
        text: Mapping[str, Any] = config.get("text_config") or config
        needed = ("num_hidden_layers", "hidden_size", "intermediate_size", "num_attention_heads", "vocab_size")
        if any(not isinstance(text.get(name), int) for name in needed) or _has_experts(text):
            return None
        hidden, heads = text["hidden_size"], text["num_attention_heads"]
        size = text.get("head_dim") or hidden // heads
        queries, keys = heads * size, (text.get("num_key_value_heads") or heads) * size
        kind = text.get("model_type", "")
        biases = queries + 2 * keys if kind == "qwen2" or text.get("attention_bias") else 0
        biases += hidden if text.get("attention_bias") else 0
        norms = 2 * size if kind in ("qwen3", "gemma3_text") else 0
        norms += 2 * hidden if kind in ("gemma2", "gemma3_text") else 0
        # Where config.json is silent, it is the default of the model's kind: tied for Gemma alone.
        tied = text.get("tie_word_embeddings", config.get("tie_word_embeddings", kind.startswith("gemma")))
        layers, inner = text["num_hidden_layers"], text["intermediate_size"]
        return cls(layers, hidden, inner, queries, keys, text["vocab_size"], bool(tied), biases + norms)

    @property
    def matrices(self) -> int:
        """Weights of a layer's matrices."""
        return self.hidden * (2 * self.queries + 2 * self.keys + 3 * self.inner)

    @property
    def layer(self) -> int:
        """Weights of a layer."""
        return self.matrices + 2 * self.hidden + self.extra

    @property
    def output(self) -> int:
        """Weights of the output matrix."""
        return self.vocabulary * self.hidden

    @property
    def weights(self) -> int:
        """All weights."""
        return self.layers * self.layer + self.output * (1 if self.tied else 2) + self.hidden

    def adapter(self, settings: LoraSettings) -> int:
        """Return the weights of an adapter of all matrices of the layers."""
        widths = 2 * (2 * self.hidden + self.queries + self.keys) + 3 * (self.hidden + self.inner)
        return self.layers * settings.rank * widths

    def kept(self) -> int:
        """Return the bytes a token that a layer keeps for its backward pass, in bfloat16."""
        attention = 4 * self.hidden + 2 * (self.queries + 2 * self.keys) + 2 * self.queries
        return 2 * (attention + 4 * self.inner) + 8 * self.hidden

    def passing(self) -> int:
        """Return the bytes a token that a layer holds beside that while it is computed, in bfloat16."""
        return 2 * (3 * self.inner + 2 * self.hidden)


@dataclass(frozen=True)
class Need:
    """Bytes that a training takes: a GPU, the host memory of a machine, disk; `parts` are those of the GPU."""

    parts: dict[str, float]
    host: float
    disk: float

    @property
    def gpu(self) -> float:
        """Bytes of a GPU."""
        return sum(self.parts.values()) * ROUNDED_UP + CONTEXT


def need(sizes: Sizes, settings: SupervisedSettings) -> Need:
    """Return what a training takes.

    With `pass_tokens` that is the most; without, it is the least: one sequence of `max_length` at once, and nothing for
    activations if that is not set either.
    """
    spread, half = settings.spread, settings.bf16 is not False
    trained = sizes.adapter(settings.lora) if settings.lora else sizes.weights
    frozen_bytes = (2 if settings.lora.frozen == "bfloat16" else 4) if settings.lora else 0
    whole = 4 * sizes.weights
    share = spread.total if spread.sharded else 1
    width = 2 if half else 4
    stream = 2 if half and (spread.sharded or frozen_bytes == 2) else 4
    tokens = max(settings.pass_tokens or 0, settings.max_length or 0)
    boundary: float = tokens * sizes.hidden * stream * sizes.layers
    layer: float = tokens * (sizes.kept() + sizes.passing()) * width / 2
    if not settings.gradient_checkpointing:
        boundary, layer = tokens * sizes.kept() * width / 2 * sizes.layers, tokens * sizes.passing() * width / 2
    elif "activations" in spread.offload:
        boundary /= sizes.layers
    cache = 2 * width * sizes.keys * sizes.layers
    matched = settings.matching_tokens if settings.pass_tokens else min(settings.matching_tokens, tokens)
    matching = matched * (sizes.passing() * width / 2 + stream * sizes.hidden + cache)
    states = 16 * trained + frozen_bytes * sizes.weights
    parts = {
        "weights, gradients and optimizer": 0.0 if "states" in spread.offload else states / share,
        "gathered weights": _gathered(sizes, width, settings),
        "activations": max(boundary + layer, float(matching)),
        "logits": 3.0 * 4 * sizes.vocabulary * min(settings.logit_chunk, tokens),
    }
    offloaded = states / share if "states" in spread.offload else 0.0
    kept = tokens * sizes.hidden * stream * sizes.layers if "activations" in spread.offload else 0.0
    host = spread.processes * (PROCESS + offloaded + kept) + whole
    return Need(parts, host, (2 * 12 * trained if settings.save_every else 0) + whole)


def _gathered(sizes: Sizes, width: int, settings: SupervisedSettings) -> float:
    """Return the bytes of weights beside the states: gathered from all processes, or rounded to bfloat16."""
    if not settings.spread.sharded:
        whole_in_bfloat16 = settings.lora is not None and settings.lora.frozen == "bfloat16"
        return 2.0 * sizes.weights if width == 2 and not whole_in_bfloat16 else 0.0
    gradients = 0 if settings.lora else (width + 4) * (sizes.layer + sizes.output)
    return float(width * (2 * sizes.layer + sizes.output) + gradients)


def _has_experts(text: Mapping[str, Any]) -> bool:
    return any(text.get(name) for name in ("num_local_experts", "num_experts", "n_routed_experts"))


@dataclass(frozen=True)
class Machine:
    """Bytes that a machine has; `gpu` of its smallest GPU, None without any; `cards`: its GPUs, 0 if not known."""

    gpu: float | None
    host: float
    disk: float
    cards: int = 0

    @classmethod
    def here(cls, folder: Path) -> "Machine":
        """Return this machine, and the disk of a folder."""
        existing = next(path for path in (folder, *folder.resolve().parents) if path.exists())
        host = float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
        cards = gpus()
        return cls(min(cards, default=None), host, float(shutil.disk_usage(existing).free), len(cards))


def gpus() -> list[float]:
    """Return the bytes of each GPU, as nvidia-smi says: this process must not take memory of them."""
    command = ["nvidia-smi", "--query-gpu=memory.total", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return [float(line) * 2**20 for line in done.stdout.split() if line.isdigit()] if done.returncode == 0 else []


def line_of(needed: Need, settings: SupervisedSettings, machine: Machine) -> str:
    """Return in a line what a training takes and what the machine has."""
    total = settings.spread.total
    least = "" if settings.pass_tokens else "at least "
    gpu, host = (f" of {_gb(machine.gpu)}", f" of {_gb(machine.host)}") if machine.gpu else ("", "")
    takes = (
        f"{_gb(needed.gpu)}{gpu} a GPU, {_gb(needed.host)}{host} of host memory a machine, {_gb(needed.disk)} of disk"
    )
    return f"{f'{total} processes' if total > 1 else '1 process'}; {least}{takes}"


def lacking(needed: Need, settings: SupervisedSettings, machine: Machine) -> str | None:
    """Return what a training takes too much of, None if it fits, or if the machine has no GPU: then it may be another
    one that trains."""
    if machine.gpu is None:
        return None
    for name, takes, has in (
        ("of each GPU", needed.gpu, machine.gpu),
        ("of host memory", needed.host, machine.host),
        ("of disk", needed.disk, machine.disk),
    ):
        if takes > FULL * has:
            return f"takes {_gb(takes)} {name}, and {_gb(has)} are there"
    return None


def levers(settings: SupervisedSettings, cards: int = 0) -> Iterator[dict[str, Any]]:
    """Yield changes of settings that take less memory and change a result by rounding at most, the cheapest first.

    Args:
        cards: GPUs of the machine, 0 if not known.
    """
    length = settings.max_length or 0
    for name in ("pass_tokens", "matching_tokens") if length else ():
        if (getattr(settings, name) or 0) > length:
            yield {name: length}
    if not settings.gradient_checkpointing:
        yield {"gradient_checkpointing": True}
    if settings.lora is not None and settings.lora.frozen == "float32":
        yield {"lora": {"frozen": "bfloat16"}}
    offloaded = list(settings.spread.offload)
    for name in ("activations", "states") if settings.spread.sharded else ():
        if name not in offloaded:
            yield {"spread": {"offload": [*settings.spread.offload, name]}}
    batch = settings.problems_per_step * settings.gradient_accumulation
    most = batch // settings.spread.machines
    if cards and settings.spread.launcher == "torchrun":
        most = min(most, cards)
    for processes in range(settings.spread.processes + 1, most + 1):
        if batch % (processes * settings.spread.machines) == 0:
            yield {"spread": {"processes": processes}}


def remedy(sizes: Sizes, settings: SupervisedSettings, machine: Machine) -> str:
    """Return the cheapest changes of settings with which a training fits: one, or as many as it takes."""

    def fits(changes: list[dict[str, Any]]) -> bool:
        values = settings.model_dump()
        for change in changes:
            for name, value in change.items():
                values[name] = {**(values[name] or {}), **value} if isinstance(value, dict) else value
        try:
            changed = SupervisedSettings.model_validate(values)
        except ValueError:  # changes that only go together with others
            return False
        return lacking(need(sizes, changed), changed, machine) is None

    offered = list(levers(settings, machine.cards))
    singly, together = [[change] for change in offered], [offered[:count] for count in range(2, len(offered) + 1)]
    # Adapters last: they are another training.
    adapters = [{"lora": {"frozen": "bfloat16"}}] if settings.lora is None else []
    for changes in [*singly, *together, adapters, [*offered, *adapters]]:
        if fits(changes):
            return " and ".join(map(_named, changes))
    return "a smaller model, or larger GPUs"


def _named(change: dict[str, Any]) -> str:
    (name, value), *_ = change.items()
    while isinstance(value, dict):
        (field, value), *_ = value.items()
        name = f"{name}.{field}"
    return f"{name}: {'true' if value is True else value}"


def _gb(size: float) -> str:
    return f"{size / GIGABYTE:.3g} GB"
