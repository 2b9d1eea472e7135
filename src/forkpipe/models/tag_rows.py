"""First rows, in the embeddings of a pretrained model, of the tokens that are added for the tags.

A row that is made like a random word's, or as the mean of all rows, is nothing that a pretrained model can read: the
tags are alike, traces cost the same after each of them, and no tag is ever predicted. So the row of `<think2>` is the
mean of the rows of the words that it stands for, "think" and "2". The output rows also get a part that makes the tags
likely where the assistant's text begins, and nowhere else. Measured in docs/results/2026-11-28-pretrained-tags.md.
"""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from forkpipe.models.checkpoint import encoder, render_prompt

SHARE = 0.1
"""What all tags together get of the probability of the first token, about, on prompts as below."""

APART = 0.2
"""Least distance of two tags' rows, in units of the distance of an average row from the mean of all rows."""

LARGEST = 0.5
"""The longest that the part of a row that makes tags likely may be, in units of the row's length."""

SAMPLE = 8192
"""Rows of the vocabulary of which the mean, and the distance from it, is taken."""

EXAMPLES = (
    ("What is 7 + 5?", "7 + 5 = 12. The answer is 12."),
    ("A train travels 120 km in 2 hours. What is its speed?", "Speed is distance over time: 120 / 2 = 60 km per hour."),
    ("Name the capital of France.", "The capital of France is Paris."),
    ("Solve 3x + 5 = 20 for x. Reason step by step.", "Subtract 5 from both sides:\n3x = 15\nDivide by 3:\nx = 5"),
)
"""Prompts and answers that show the model's states where an answer begins, and elsewhere."""


def set_rows(model: Any, tokenizer: Any, texts: Mapping[int, str]) -> None:
    """Set the rows of added tokens, in place: of the input matrix and, where it is another, of the output matrix.

    Args:
        model: its matrices have a row for every token.
        tokenizer: has a chat template.
        texts: ids of the added tokens and their texts.
    """
    import torch

    if not texts:
        return
    read, written = model.get_input_embeddings().weight, model.get_output_embeddings().weight
    matrices = (read,) if read.data_ptr() == written.data_ptr() else (read, written)
    was_training = model.training
    model.eval()
    with torch.no_grad():
        for matrix in matrices:
            _set(matrix, list(texts), _rows_of_words(matrix, tokenizer, texts))
        _make_likely(model, tokenizer, list(texts), written)
    model.train(was_training)


def _set(matrix: Any, ids: Sequence[int], rows: Any) -> None:
    import torch

    matrix[torch.tensor(ids, device=matrix.device)] = rows.to(matrix)


def _rows_of_words(matrix: Any, tokenizer: Any, texts: Mapping[int, str]) -> Any:
    """Return for each text the mean over its words of the words' rows, float32 (len(texts), d)."""
    import torch

    special = {*tokenizer.added_tokens_decoder, *tokenizer.all_special_ids, *texts}
    known = sorted(i for i in tokenizer.get_vocab().values() if i not in special and i < len(matrix))
    # A sample: the whole matrix of a large model would need as much memory again.
    sample = matrix[known[:: max(1, len(known) // SAMPLE)]].float()
    mean = sample.mean(dim=0)
    words = [_pieces(tokenizer, text, frozenset(known)) for text in texts.values()]
    rows = torch.stack([_row(matrix, pieces, mean) for pieces in words])
    typical = (sample - mean).norm(dim=1).mean()
    return _apart(rows, float(typical))


def _pieces(tokenizer: Any, text: str, ordinary: frozenset[int]) -> list[list[int]]:
    """Return the token ids of each word and number of a text, without special tokens and spaces."""
    encode = encoder(tokenizer)
    words = [[i for i in encode(word) if i in ordinary] for word in re.findall(r"[^\W\d_]+|\d+", text)]
    visible = [[i for i in ids if tokenizer.decode([i]).strip()] for ids in words]
    return [ids for ids in visible if ids]


def _row(matrix: Any, words: Sequence[Sequence[int]], mean: Any) -> Any:
    """Return the mean over words; a word's later pieces weigh more, so that 12 and 21 differ."""
    import torch

    if not words:
        return mean.clone()
    rows = []
    for ids in words:
        weights = torch.arange(1.0, len(ids) + 1, device=matrix.device)
        rows.append((matrix[ids].float() * (weights / weights.sum())[:, None]).sum(dim=0))
    return torch.stack(rows).mean(dim=0)


def _apart(rows: Any, typical: float) -> Any:
    """Return rows of which no two are alike: where some are, each row gets a random part of its own."""
    import torch

    distances = torch.cdist(rows, rows) + torch.eye(len(rows), device=rows.device) * torch.finfo(rows.dtype).max
    if float(distances.min()) >= APART * typical:
        return rows
    noise = torch.randn(rows.shape, generator=torch.Generator().manual_seed(0)).to(rows)
    # Two independent directions of length 1 are sqrt(2) apart.
    return rows + noise / noise.norm(dim=1, keepdim=True) * (APART * typical)


def _make_likely(model: Any, tokenizer: Any, ids: Sequence[int], matrix: Any) -> None:
    """Add to output rows the direction that tells the beginning of an answer from other positions.

    All rows get the same, as much as gives the tags SHARE. With tied embeddings the rows are read too: the direction is
    the shortest one, by ridge regression, and its part of a row is at most `LARGEST`.
    """
    direction = _direction(*_states(model, tokenizer, ids))
    longest = LARGEST * float(matrix[list(ids)].float().norm(dim=1).mean() / direction.norm())
    rows, part, slope = matrix[list(ids)].float(), 0.0, 1.0
    start = now = _share(model, tokenizer, ids)
    for _ in range(2):  # the second time corrects for models that scale their logits
        if now >= SHARE or slope <= 0 or part >= longest:
            return
        part = min(longest, part + math.log(SHARE / now) / slope)
        _set(matrix, ids, rows + part * direction)
        now = _share(model, tokenizer, ids)
        slope = math.log(now / start) / part


def _share(model: Any, tokenizer: Any, ids: Sequence[int]) -> float:
    """Return the probability that the first token of an answer is one of `ids`: the geometric mean over examples."""
    import torch

    encode = encoder(tokenizer)
    logs = []
    for problem, _ in EXAMPLES:
        prompt = torch.tensor([encode(render_prompt(tokenizer, problem))], device=model.device)
        scores = model(input_ids=prompt, use_cache=False).logits[0, -1].float()
        logs.append(float(scores.log_softmax(dim=-1)[list(ids)].logsumexp(dim=0)))
    return math.exp(sum(logs) / len(logs))


def _states(model: Any, tokenizer: Any, ids: Sequence[int]) -> tuple[Any, Any]:
    """Return what the output matrix reads at all positions of the examples (n, d), and which of them is a first one."""
    import torch

    encode = encoder(tokenizer)
    read: list[Any] = []
    first: list[int] = []
    hook = model.get_output_embeddings().register_forward_pre_hook(lambda _, inputs: read.append(inputs[0][0].float()))
    try:
        for number, (problem, answer) in enumerate(EXAMPLES):
            prompt = encode(render_prompt(tokenizer, problem))
            tag = ids[number % len(ids)]
            first.append(sum(len(states) for states in read) + len(prompt) - 1)
            sequence = torch.tensor([[*prompt, tag, *encode(answer)]], device=model.device)
            model(input_ids=sequence, use_cache=False)
    finally:
        hook.remove()
    states = torch.cat(read)
    return states, torch.isin(
        torch.arange(len(states), device=states.device), torch.tensor(first, device=states.device)
    )


def _direction(states: Any, first: Any) -> Any:
    """Return the shortest u, by ridge regression, with u.h = 1 on average at first positions and near 0 at others."""
    import torch

    weights = torch.where(first, float((~first).sum()) / float(first.sum()), 1.0)
    products = states @ states.T
    ridge = float(products.diagonal().mean())
    solved = torch.linalg.solve(products + torch.diag(ridge / weights), first.to(states))
    direction = solved @ states
    return direction / (states[first] @ direction).mean()
