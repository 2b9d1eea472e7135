"""From trace sets to tensors: encodes them once, then makes batches of whole problems.

A sequence is prompt, tag, trace, end token. The tag is known only after the matching, so its place is left open and
filled in each batch. Shapes: P problems, M traces (most in the batch), N tags, T tokens, S real sequences.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from datasets import Dataset
from torch import Tensor

from forkpipe.core.errors import InputError
from forkpipe.core.forking import ForkingTags
from forkpipe.core.prefixes import divergence_length
from forkpipe.core.prompts import render
from forkpipe.core.records import TraceSet
from forkpipe.models.checkpoint import encoder, render_prompt
from forkpipe.models.tagging import check_in_context, reserved_ids
from forkpipe.training.config import SSFTConfig

IGNORED = -100
"""Label of positions that are not predicted, as in transformers."""

BLANK = -1
"""`problem_index` of a problem that only fills a batch up."""

Row = dict[str, Any]


def encode_sets(
    sets: Dataset | Iterable[Row],
    tokenizer: Any,
    tags: ForkingTags,
    config: SSFTConfig,
    ends: frozenset[int] = frozenset(),
) -> Dataset:
    """Encode trace sets to token ids.

    Args:
        sets: rows with `problem` (text) and `traces`, a list of texts or of mappings with `text` and, where known,
            `trace_id`, `teacher`, `strategy`; a `problem_id` where there is one.
        tokenizer: the model's tokenizer, with a chat template.
        config: prompt template, `max_length` and the settings of the prefix length.
        ends: the model's end tokens, of which a text must hold none, as of all special tokens.

    Returns:
        One row per problem: index, problem_id, trace_ids, teachers, strategies (M), prompt (token ids), traces (M lists
        of token ids, end token included), prefix_length (L, 0 for whole traces), length (of the longest sequence, for
        transformers' `group_by_length`).

    Raises:
        InputError: names the problem and field if a row is not as above, has more traces than there are tags, has a
            sequence longer than `max_length`, or a text that would become a special token.
    """
    # The columns of a table have one type each, the traces of rows may be texts here and mappings there.
    table = sets if isinstance(sets, Dataset) else Dataset.from_list([_plain(row, n) for n, row in enumerate(sets)])
    if not len(table):
        raise InputError("there are no trace sets, expected at least one problem with its traces")
    if missing := {"problem", "traces"} - set(table.column_names):
        raise InputError(f"trace sets have no column '{min(missing)}', expected columns 'problem' and 'traces'")
    # Drop other columns before `map`: their names could clash with the columns that it adds.
    wanted = [name for name in ("problem_id", "problem", "traces") if name in table.column_names]
    return table.select_columns(wanted).map(
        _encode_row,
        with_indices=True,
        remove_columns=wanted,
        fn_kwargs={
            "tokenizer": tokenizer,
            "tags": tags,
            "config": config,
            "reserved": reserved_ids(tokenizer, tags, ends),
        },
        desc="encode trace sets",
        load_from_cache_file=False,
    )


def _plain(row: Any, index: int) -> Row:
    """Return a row as problem_id (text), problem (text) and traces (mappings of texts); InputError if it cannot be."""
    if not isinstance(row, Mapping):
        raise InputError(f"row {index} of the trace sets is {type(row).__name__}, expected a mapping")
    if missing := {"problem", "traces"} - set(row):
        raise InputError(f"trace sets have no column '{min(missing)}' in row {index}, expected 'problem' and 'traces'")
    problem_id = str(index if row.get("problem_id") is None else row["problem_id"])
    for name, kind, expected in (("problem", str, "text"), ("traces", Sequence, "a list of traces")):
        if not isinstance(row[name], kind) or (kind is Sequence and isinstance(row[name], str)):
            raise InputError(f"problem {problem_id}: field '{name}' is {type(row[name]).__name__}, expected {expected}")
    members = [_member(trace, problem_id, position) for position, trace in enumerate(row["traces"])]
    return {"problem_id": problem_id, "problem": row["problem"], "traces": members}


def _encode_row(
    row: Row, index: int, *, tokenizer: Any, tags: ForkingTags, config: SSFTConfig, reserved: frozenset[int]
) -> Row:
    row = _plain(row, index)
    problem_id, members = row["problem_id"], row["traces"]
    encode = encoder(tokenizer)
    if not members:
        raise InputError(f"problem {problem_id}: field 'traces' is empty, expected at least one trace")
    if len(members) > tags.n and config.assignment in ("optimal", "random"):
        raise InputError(f"problem {problem_id} has {len(members)} traces, expected at most one a tag, {tags.n}")
    # Sorted, so that ties in the matching (equal prefixes) are resolved in the same way whatever the order in the set.
    members.sort(key=lambda trace: (trace["trace_id"], trace["text"]))
    prompt = encode(render_prompt(tokenizer, render(config.prompt, row["problem"])))
    if index == 0:
        check_in_context(render(config.prompt, row["problem"]), tokenizer, tags)
    traces = [[*encode(trace["text"]), tokenizer.eos_token_id] for trace in members]
    for trace, ids in zip(members, traces, strict=True):
        if present := reserved & set(ids[:-1]):
            token = tokenizer.decode([next(token for token in ids if token in present)])
            teacher = f" (teacher {trace['teacher']})" if trace["teacher"] else ""
            raise InputError(
                f"trace {trace['trace_id']} of problem {problem_id}{teacher} holds {token!r} in its text, "
                "which would become that token: expected a text without it"
            )
        length = len(prompt) + tags.length + len(ids)
        if config.max_length is not None and length > config.max_length:
            raise InputError(
                f"trace {trace['trace_id']} of problem {problem_id} has {length} tokens with its prompt, "
                f"expected at most max_length, {config.max_length}"
            )
    return {
        "index": index,
        "problem_id": problem_id,
        "trace_ids": [trace["trace_id"] for trace in members],
        "teachers": [trace["teacher"] for trace in members],
        "strategies": [trace["strategy"] for trace in members],
        "prompt": prompt,
        "traces": traces,
        "prefix_length": _prefix_length(traces, config),
        "length": len(prompt) + tags.length + max(map(len, traces)),
    }


def _member(trace: Any, problem_id: str, position: int) -> dict[str, str]:
    fields = {"text": trace} if isinstance(trace, str) else trace
    if not isinstance(fields, Mapping) or not isinstance(fields.get("text"), str):
        raise InputError(f"problem {problem_id}, trace {position}: field 'text' is missing, expected the trace")
    named = {name: fields.get(name) for name in ("teacher", "strategy")}
    return {
        "text": fields["text"],
        "trace_id": f"{problem_id}/{position}" if fields.get("trace_id") is None else str(fields["trace_id"]),
        **{name: "" if value is None else str(value) for name, value in named.items()},
    }


def _prefix_length(traces: Sequence[Sequence[int]], config: SSFTConfig) -> int:
    if config.prefix_length == "auto":
        return divergence_length(traces, config.auto_divergence, config.auto_cap)
    return int(config.prefix_length or 0)


def set_rows(sets: Sequence[TraceSet]) -> list[Row]:
    """Return rows for `encode_sets`, without strategies: numbers of clusters have no meaning across problems."""
    return [
        {
            "problem_id": trace_set.problem_id,
            "problem": trace_set.problem,
            "traces": [{"text": t.text, "trace_id": t.trace_id, "teacher": t.teacher} for t in trace_set.traces],
        }
        for trace_set in sets
    ]


class SetCollator:
    """Pads whole problems to one batch.

    Returns input_ids, attention_mask, labels (P, M, T); trace_mask (P, M), false where a problem has fewer than M
    traces; prompt_lengths, prefix_lengths, problem_index (P,). The tag's place is padding. transformers counts the
    items of a batch by `labels`.
    """

    def __init__(self, *, tag_length: int, pad_id: int) -> None:
        self.tag_length = tag_length
        self.pad_id = pad_id

    def __call__(self, items: Sequence[Mapping[str, Any]]) -> dict[str, Tensor]:
        """Collate P rows of `encode_sets`."""
        n_traces = max(len(item["traces"]) for item in items)
        length = max(len(item["prompt"]) + self.tag_length + len(trace) for item in items for trace in item["traces"])
        input_ids = torch.full((len(items), n_traces, length), self.pad_id)
        ends = torch.zeros(len(items), n_traces, 1, dtype=torch.long)
        for row, item in enumerate(items):
            input_ids[row, : len(item["traces"]), : len(item["prompt"])] = torch.tensor(item["prompt"])
            start = len(item["prompt"]) + self.tag_length
            for column, trace in enumerate(item["traces"]):
                input_ids[row, column, start : start + len(trace)] = torch.tensor(trace)
                ends[row, column] = start + len(trace)
        prompt_lengths = torch.tensor([len(item["prompt"]) for item in items])
        places = torch.arange(length)
        inside = places < ends
        in_trace = inside & (places >= (prompt_lengths + self.tag_length)[:, None, None])
        return {
            "input_ids": input_ids,
            "attention_mask": inside.long(),
            "labels": input_ids.masked_fill(~in_trace, IGNORED),
            "trace_mask": ends[..., 0] > 0,
            "prompt_lengths": prompt_lengths,
            "prefix_lengths": torch.tensor([item["prefix_length"] for item in items]),
            "problem_index": torch.tensor([item["index"] for item in items]),
        }


def first_problems(batch: dict[str, Tensor], n: int) -> dict[str, Tensor]:
    """Return a batch of `SetCollator` whose problems after the first n are blank: without traces."""
    if n >= len(batch["problem_index"]):
        return batch
    blank = torch.arange(len(batch["problem_index"])) >= n
    values = {"labels": IGNORED, "trace_mask": False, "problem_index": BLANK}
    return batch | {name: _filled(batch[name], blank, value) for name, value in values.items()}


def _filled(tensor: Tensor, rows: Tensor, value: int | bool) -> Tensor:
    return tensor.clone().index_fill_(0, rows.nonzero()[:, 0].to(tensor.device), value)


def matched_sequences(batch: Mapping[str, Tensor], tags: Tensor, tag_ids: Tensor) -> dict[str, Tensor]:
    """Write the tag of each sequence into its place, and drop padding sequences.

    Args:
        batch: of `SetCollator`.
        tags: (P, M) index of each sequence's tag; any tag where `trace_mask` is false.
        tag_ids: (N, length) token ids of the tags.

    Returns:
        input_ids, attention_mask (S, T); trace_labels and tag_labels (S, T): the tokens of the trace or of the tag,
        IGNORED elsewhere. Of blank problems alone, one sequence of two tokens that predicts nothing.
    """
    real = batch["trace_mask"]
    if not real.any():
        ids = batch["input_ids"][:1, 0, :2]
        nothing = torch.full_like(ids, IGNORED)
        return {
            "input_ids": ids,
            "attention_mask": torch.ones_like(ids),
            "trace_labels": nothing,
            "tag_labels": nothing,
        }
    offsets = torch.arange(tag_ids.shape[1], device=tag_ids.device)
    places = (batch["prompt_lengths"][:, None, None] + offsets).expand(*tags.shape, -1)
    input_ids = batch["input_ids"].scatter(2, places, tag_ids[tags])
    tag_labels = torch.full_like(input_ids, IGNORED).scatter(2, places, tag_ids[tags])
    return {
        "input_ids": input_ids[real],
        "attention_mask": batch["attention_mask"][real],
        "trace_labels": batch["labels"][real],
        "tag_labels": tag_labels[real],
    }
