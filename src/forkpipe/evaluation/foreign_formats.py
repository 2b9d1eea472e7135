"""Readers of generations that other evaluation programs wrote, one a format; each yields `ForeignSample`s.

Formats, as their projects write them: lighteval's details (Parquet; the columns doc and model_response, before 0.10
full_prompt and predictions), Inspect's logs (`.eval`, a zip of samples, or `.json`), lm-eval's `samples_*.jsonl`
(`--log_samples`), and rows of one's own, with the shapes that the engine `import` reads.
"""

import json
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from forkpipe.core.errors import InputError
from forkpipe.core.protocols import parse_served
from forkpipe.core.read_rows import check_path, read_rows
from forkpipe.engines.import_rows import unfolded
from forkpipe.evaluation.foreign_sample import (
    ForeignSample,
    as_text,
    checked_text,
    column_of,
    finish_reason_of,
    first_text,
    flat,
    literal,
    tag_index,
    whole_number,
)

_TAG = re.compile(r"\s*(?:<\|im_start\|>)?<think([1-9]\d*)>\n?")
"""A tag at the beginning of a text, in either style."""
_PROBLEM = ("problem", "question", "prompt")
_TEXT = ("text", "response", "trace", "completion", "output")
_ID = ("id", "source_id", "unique_id", "custom_id")
_OTHERS: dict[str, tuple[str, ...]] = {
    **{"problem": _PROBLEM, "id": _ID},
    **{name: (name,) for name in ("reasoning", "finish_reason", "tokens", "tag", "benchmark")},
}
"""Field -> columns that may hold it."""
FIELDS = ("text", *_OTHERS)


def read_foreign(path: str, form: str, fields: Mapping[str, str] | None = None) -> Iterator[ForeignSample]:
    """Yield the generations of a file in its order, tags that begin a text taken out of it.

    Args:
        path: the file.
        form: a key of `FORMATS`.
        fields: for jsonl: names of columns by field (problem, text, id, tag, finish_reason, tokens, benchmark).

    Raises:
        InputError: the file cannot be read in this format; names the row.
    """
    if form not in FORMATS:
        raise InputError(f"--format is '{form}', expected one of: {', '.join(FORMATS)}")
    for name in fields or ():
        if name not in FIELDS:
            raise InputError(f"--field names '{name}', expected one of: {', '.join(FIELDS)}")
    if form != "inspect":
        check_path(path)
    found = False
    for sample in FORMATS[form](path, dict(fields or {})):
        found = True
        if sample.finish_reason == "error":
            raise InputError(f"{sample.place}: the sample failed, expected one that was answered")
        match = _TAG.match(sample.text)
        if match is not None:
            named = int(match[1]) - 1
            if sample.tag not in (None, named):
                raise InputError(f"{sample.place}: tag is {sample.tag} and the text begins with {match[0].strip()!r}")
            sample = _with(sample, text=sample.text[match.end() :], tag=named)
        yield sample
    if not found:
        raise InputError(f"{path}: holds no generations")


def _with(sample: ForeignSample, **changes: Any) -> ForeignSample:
    return ForeignSample(**{name: changes.get(name, getattr(sample, name)) for name in ForeignSample.__slots__})


def _jsonl(path: str, fields: Mapping[str, str]) -> Iterator[ForeignSample]:
    for number, row in read_rows(path):
        place = f"{path} row {number}"
        for item in unfolded(row, fields.get("text")):
            column = fields.get("text") or next((name for name in _TEXT if name in item), "text")
            texts = column_of(item, column, place)
            several = texts if isinstance(texts, list) else [texts]
            others = {name: _given(item, name, fields, place) for name in _OTHERS}
            for at, text in enumerate(several):
                here = {
                    name: value[at] if isinstance(value, list) and len(value) == len(several) else value
                    for name, value in others.items()
                }
                yield ForeignSample(
                    place,
                    as_text(here["problem"]),
                    checked_text(text, place, column),
                    id=as_text(here["id"]),
                    reasoning=as_text(here["reasoning"]),
                    finish_reason=finish_reason_of(here["finish_reason"], place),
                    tokens=whole_number(here["tokens"]),
                    tag=tag_index(here["tag"], place),
                    benchmark=as_text(here["benchmark"]),
                )


def _given(row: Mapping[str, Any], name: str, fields: Mapping[str, str], place: str) -> Any:
    """Return a field of a row: the column that the user names, or the first that may be it; None without one."""
    if name in fields:
        return column_of(row, fields[name], place)
    return next((row[column] for column in _OTHERS[name] if row.get(column) is not None), None)


def _lm_eval(path: str, fields: Mapping[str, str]) -> Iterator[ForeignSample]:
    seen: set[str] = set()
    for number, row in read_rows(path):
        place = f"{path} row {number}"
        document = row.get("doc")
        if "resps" not in row or not isinstance(document, Mapping):
            raise InputError(f"{place}: no doc and resps, expected a row of lm-eval's samples file (--log_samples)")
        key = str(row.get("doc_id", number))
        if key in seen:  # a row for each filter, with the same responses
            continue
        seen.add(key)
        asked = first_text(document, _PROBLEM) or _lm_eval_prompt(row.get("arguments"))
        for response in flat(row["resps"]):
            yield ForeignSample(
                place,
                asked,
                checked_text(response, place, "resps"),
                id=first_text(document, _ID),
                tag=tag_index(document.get("tag"), place),
            )


def _lm_eval_prompt(arguments: Any) -> str:
    """Return the prompt of [[prompt, ...]] or {"gen_args_0": {"arg_0": prompt, ...}}; a chat is one text in a list."""
    while isinstance(arguments, Mapping | list) and arguments:
        arguments = next(iter(arguments.values())) if isinstance(arguments, Mapping) else arguments[0]
    text = as_text(arguments)
    try:
        turns = json.loads(text)
    except ValueError:
        return text
    return "\n".join(as_text(turn.get("content")) for turn in turns if isinstance(turn, Mapping)) or text


def _lighteval(path: str, fields: Mapping[str, str]) -> Iterator[ForeignSample]:
    for number, row in read_rows(path):
        place = f"{path} row {number}"
        # Details that do not fit one type are written as the text of Python objects.
        cells = {name: literal(value) for name, value in row.items()}
        if isinstance(cells.get("model_response"), Mapping) and isinstance(cells.get("doc"), Mapping):
            document, response = cells["doc"], cells["model_response"]
            texts, asked = response.get("text"), as_text(document.get("query"))
            ids, reasonings = response.get("output_tokens"), response.get("reasonings")
            specific = literal(document.get("specific"))
        elif "predictions" in cells:
            texts, asked = cells["predictions"], as_text(cells.get("full_prompt") or cells.get("example"))
            ids, reasonings, specific = cells.get("cont_tokens"), None, cells.get("specifics")
        else:
            raise InputError(f"{place}: no doc and model_response, expected a row of lighteval's details")
        tag = specific.get("tag") if isinstance(specific, Mapping) else None
        listed = flat(texts)
        for at, text in enumerate(listed):
            counted = ids[at] if isinstance(ids, list) and len(ids) == len(listed) else None
            yield ForeignSample(
                place,
                asked,
                checked_text(text, place, "text"),
                reasoning=as_text(reasonings[at]) if isinstance(reasonings, list) and len(reasonings) > at else "",
                tokens=len(counted) if isinstance(counted, list) else None,
                tag=tag_index(tag, place),
            )


def _inspect(path: str, fields: Mapping[str, str]) -> Iterator[ForeignSample]:
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as log:
                names = [name for name in log.namelist() if re.fullmatch(r"samples/[^/]+\.json", name)]
                header = json.loads(log.read("header.json")) if "header.json" in log.namelist() else {}
                samples = [json.loads(log.read(name)) for name in names]
        else:
            with open(path, encoding="utf-8") as file:
                header = json.load(file)
            samples = header["samples"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: cannot be read as a log of Inspect (.eval or .json): {error}") from error
    policy = parse_served(as_text((header.get("eval") or {}).get("model"))).policy
    named = policy.tag if policy is not None and policy.kind == "tag" else None
    for sample in sorted(samples, key=lambda sample: int(sample.get("epoch", 1))):
        place = f"{path} sample {sample.get('id')} epoch {sample.get('epoch')}"
        if sample.get("error"):
            raise InputError(f"{place}: ended with an error, expected a whole log")
        choices = (sample.get("output") or {}).get("choices") or []
        if not choices:
            raise InputError(f"{place}: has no output")
        content, held = choices[0].get("message", {}).get("content"), sample.get("attachments") or {}
        parts = content if isinstance(content, list) else [{"type": "text", "text": content}]
        given = tag_index((sample.get("metadata") or {}).get("tag"), place)
        yield ForeignSample(
            place,
            _attached(_inspect_input(sample.get("input")), held),
            _attached("".join(as_text(part.get("text")) for part in parts if part.get("type") == "text"), held),
            id=as_text(sample.get("id")),
            reasoning="".join(as_text(part.get("reasoning")) for part in parts if part.get("type") == "reasoning"),
            finish_reason=finish_reason_of(choices[0].get("stop_reason"), place),
            tokens=whole_number(((sample.get("output") or {}).get("usage") or {}).get("output_tokens")),
            tag=named if given is None else given,
        )


def _inspect_input(given: Any) -> str:
    if not isinstance(given, list):
        return as_text(given)
    contents = [turn.get("content") for turn in given if isinstance(turn, Mapping) and turn.get("role") == "user"]
    return "\n".join(
        as_text(content) if not isinstance(content, list) else "".join(as_text(part.get("text")) for part in content)
        for content in contents
    )


def _attached(text: str, attachments: Mapping[str, str]) -> str:
    """Return a text that a log keeps apart, by reference."""
    return (
        as_text(attachments.get(text.removeprefix("attachment://"), text)) if text.startswith("attachment://") else text
    )


FORMATS: dict[str, Callable[[str, Mapping[str, str]], Iterator[ForeignSample]]] = {
    "jsonl": _jsonl,
    "lighteval": _lighteval,
    "inspect": _inspect,
    "lm-eval": _lm_eval,
}
