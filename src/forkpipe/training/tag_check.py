"""What a model does with its tags before it is trained: how likely they are, what they change, what follows them.

A tag that no trace's cost depends on, or after which the model writes nothing, makes a training of no use, and its loss
does not show that.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from forkpipe.core.forking import ForkingTags
from forkpipe.core.matching import Costs
from forkpipe.core.progress import logger
from forkpipe.training.precision import Costed
from forkpipe.training.scoring import token_nll
from forkpipe.training.sequences import IGNORED

PROBLEMS = 2
"""Problems whose tags are checked, the first of the training."""

WRITTEN_TOKENS = 24
"""Tokens that the model writes after each tag."""

SHOWN = 40
"""Characters of them in the log."""

LEAST_RATIO = 0.05
"""Nats by which the likelihood of a trace's whole prefix must depend on the tag; 0.05 is a ratio of 1.05."""


@dataclass(frozen=True, slots=True)
class TagCheck:
    """What was seen.

    Attributes:
        tags: texts of the N tags.
        log_probs: (N,) mean log p(tag | x) over the problems, nats, of all tokens of the tag.
        spread: median over traces of the largest minus the smallest cost, nats a token; None for a single tag.
        prefix_spread: the same for whole prefixes, nats.
        noise: error of a margin, nats a token, see `training.precision`; None for a single tag.
        written: what greedy decoding writes after each tag of the first problem, and last without a tag: token ids
            without the end.
        texts: the same as texts.
    """

    tags: tuple[str, ...]
    log_probs: np.ndarray
    spread: float | None
    prefix_spread: float | None
    noise: float | None
    written: tuple[tuple[int, ...], ...]
    texts: tuple[str, ...]

    @classmethod
    def of(
        cls,
        model: Any,
        tokenizer: Any,
        tags: ForkingTags,
        rows: Sequence[Mapping[str, Any]],
        costed: Sequence[Costed],
        ends: frozenset[int],
        chunk: int,
    ) -> "TagCheck":
        """Look at the tags of a model that is in eval mode.

        Args:
            rows: problems, of `sequences.encode_sets`.
            costed: their costs; none for a single tag.
            ends: the model's end tokens.
            chunk: see `scoring.token_nll`.
        """
        tag_ids = torch.tensor(tags.token_ids, device=model.device)
        log_probs = tag_log_likelihoods(model, [row["prompt"] for row in rows], tag_ids, chunk)
        written = greedy(model, tokenizer, rows[0]["prompt"], tags, ends)
        lengths = [[min(row["prefix_length"] or len(ids), len(ids)) for ids in row["traces"]] for row in rows]
        spread, whole = spreads([one.costs for one in costed], lengths) if costed else (None, None)
        return cls(
            tags.tags,
            log_probs.mean(axis=0),
            spread,
            whole,
            max(one.noise for one in costed) if costed else None,
            written,
            tuple(tokenizer.decode(list(ids), skip_special_tokens=True) for ids in written),
        )

    @property
    def indistinguishable(self) -> bool:
        """Whether the tag makes no difference to a trace beyond the error of costs, or none to speak of."""
        if self.spread is None or self.prefix_spread is None:
            return False
        return self.spread <= (self.noise or 0.0) or self.prefix_spread < LEAST_RATIO

    @property
    def broken(self) -> list[str]:
        """The tags after which the model writes nothing or repeats itself, though it does not without a tag."""
        *after, without = [not text.strip() or repeats(ids) for ids, text in zip(self.written, self.texts, strict=True)]
        return [] if without else [tag for tag, bad in zip(self.tags, after, strict=True) if bad]

    def line(self) -> str:
        """Return one line for the log."""
        each, total = np.exp(self.log_probs), math.fsum(np.exp(self.log_probs))
        parts = [f"p(tag | x) {each.min():.2g} to {each.max():.2g}, {total:.2g} together"]
        if self.spread is not None and self.noise is not None:
            parts.append(f"costs differ by {self.spread:.2g} nats a token between tags (error {self.noise:.1g})")
        names = [f"after {tag!r}" for tag in self.tags] + ["without a tag"]
        return "; ".join([*parts, *(f"{name}: {_shown(text)}" for name, text in zip(names, self.texts, strict=True))])

    def log(self, name: str) -> None:
        """Write the line, and warnings, to the log."""
        logger.info("%s, before training: %s", name, self.line())
        if self.indistinguishable:
            logger.warning(
                "%s: the model cannot tell its tags apart: the cost of a trace differs by %.2g nats a token between "
                "tags, with an error of %.1g, so the matching is a draw. Begin with other rows (tags.rows: words) or "
                "use tags.style: text",
                name, self.spread, self.noise or 0.0,
            )  # fmt: skip
        if self.broken:
            logger.warning(
                "%s: the model writes nothing or repeats itself after %s, and does not without a tag. Begin with other "
                "rows (tags.rows: words) or use tags.style: text",
                name, ", ".join(map(repr, self.broken)),
            )  # fmt: skip


def _shown(text: str) -> str:
    words = text.strip()
    if not words:
        return "ends at once"
    return repr(words if len(words) <= SHOWN else words[:SHOWN] + "...")


def repeats(ids: Sequence[int], longest: int = 4, times: int = 3) -> bool:
    """Whether a text ends in the same 1 to `longest` tokens, at least `times` times and for 12 tokens or more.

    >>> repeats([5, 6] + [7, 8] * 6)
    True
    """
    tail = list(ids[-max(12, longest * times) :])
    return len(tail) >= 12 and any(tail[period:] == tail[:-period] for period in range(1, longest + 1))


def spreads(costs: Sequence[Costs], lengths: Sequence[Sequence[int]]) -> tuple[float, float]:
    """Return the median over traces of the largest minus the smallest cost: nats a token, and nats of the whole prefix.

    Args:
        costs: of each problem, (N, M), nats a token.
        lengths: of each problem, the tokens that count of each trace.
    """
    ranges = [table.max(axis=0) - table.min(axis=0) for table in costs]
    whole = [by_trace * np.array(tokens) for by_trace, tokens in zip(ranges, lengths, strict=True)]
    return float(np.median(np.concatenate(ranges))), float(np.median(np.concatenate(whole)))


@torch.no_grad()
def tag_log_likelihoods(model: Any, prompts: Sequence[Sequence[int]], tag_ids: Tensor, chunk: int) -> np.ndarray:
    """Return log p of all tokens of each tag after each prompt, (prompts, N), nats, of the whole vocabulary."""
    rows = []
    for prompt in prompts:
        before = torch.tensor(prompt, device=tag_ids.device).expand(len(tag_ids), -1)
        ids = torch.cat([before, tag_ids], dim=1)
        predicted = torch.full_like(ids, IGNORED)
        predicted[:, len(prompt) - 1 : -1] = tag_ids
        nll, _ = token_nll(
            model, predicted, chunk=chunk, input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False
        )
        rows.append(-nll.sum(dim=1).double().cpu().numpy())
    return np.stack(rows)


@torch.no_grad()
def greedy(
    model: Any, tokenizer: Any, prompt: Sequence[int], tags: ForkingTags, ends: frozenset[int]
) -> tuple[tuple[int, ...], ...]:
    """Return what greedy decoding writes after each tag and, last, without one: token ids without the end."""
    written: list[tuple[int, ...]] = []
    for starts in (tags.token_ids, ((),)):
        ids = torch.tensor([[*prompt, *tag] for tag in starts], device=model.device)
        output = model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=WRITTEN_TOKENS,
            do_sample=False,
            eos_token_id=sorted(ends),
            pad_token_id=tokenizer.pad_token_id,
            suppress_tokens=tags.banned_ids,  # as engines do
        )
        for row in output[:, ids.shape[1] :].tolist():
            stop = next((place for place, token in enumerate(row) if token in ends), len(row))
            written.append(tuple(row[:stop]))
    return tuple(written)
