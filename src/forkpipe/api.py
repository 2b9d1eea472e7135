"""Functions that `import forkpipe` offers to code without Kedro; each is imported when it is first used."""

import atexit
import json
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from forkpipe.core.errors import InputError
from forkpipe.core.plugins import create
from forkpipe.core.records import Verdict
from forkpipe.parameters import VerificationSettings
from forkpipe.verification.base import Verifier
from forkpipe.verification.dispatch import ResponseRow, verify_by_type
from forkpipe.verification.registry import VERIFIERS

__all__ = ["Verdict", "load_trace_sets", "verify", "verify_batch"]

_verifiers: dict[str, Verifier] = {}
_lock = threading.Lock()


def verify(
    gold: str | float, response: str, *, answer_type: str = "math", truncated: bool = False, **options: Any
) -> Verdict:
    r"""Compare the answer of one response with the gold answer; see `verify_batch`.

    Examples:
        >>> verify("5", r"<think>2 + 3</think>So \boxed{5}.").verdict
        'correct'
    """
    return verify_batch([(gold, response, truncated)], answer_type=answer_type, **options)[0]


def verify_batch(
    pairs: Iterable[tuple[str | float, str | None] | tuple[str | float, str | None, bool]],
    *,
    answer_type: str = "math",
    on_progress: Callable[[int, int], None] | None = None,
    **options: Any,
) -> list[Verdict]:
    r"""Compare the answers of responses with gold answers, several at a time; one verdict a pair, in order.

    Worker processes start when first needed, are kept for the next call and end with the interpreter. Threads may call
    this at the same time, async code by `asyncio.to_thread`, and processes of any kind.

    Args:
        pairs: gold answer, response, and whether the response was cut by a token limit (false where left out). A
            response of None is `failed`: there is none.
        answer_type: math, integer, text, choice, number or reasoning_gym, which picks the verifier; or a verifier of
            your own as "package.module:Class".
        on_progress: called with (pairs done, pairs in all) every few hundred pairs.
        **options: of the verifier, e.g. `timeout_seconds=2`, `without=["units"]` (math) or `relative=0.01` (number).

    Raises:
        InputError: a pair holds something else than text, an option or the answer type is wrong, or the worker
            processes do not start.

    Examples:
        >>> [v.verdict for v in verify_batch([("1/2", r"\boxed{0.5}"), ("1/2", "I do not know."), ("1/2", None)])]
        ['correct', 'unparsed', 'failed']
    """
    rows = [_row(number, answer_type, *pair) for number, pair in enumerate(pairs)]
    verified = verify_by_type({answer_type: verifier_for(answer_type, options)}, rows, on_progress=on_progress)
    return [verdict for verdict, _, _ in verified]


def load_trace_sets(path: str | Path, split: str | None = "train") -> Any:
    """Return a `datasets.Dataset` of trace sets from a Parquet or JSONL file, such as the pipeline writes.

    Args:
        path: the file.
        split: rows to take of a table with a column `split`, as the pipeline writes it; None takes all.

    Raises:
        InputError: no row is of that split.
    """
    from datasets import Dataset

    read = Dataset.from_parquet if Path(path).suffix == ".parquet" else Dataset.from_json
    table = read(str(path))
    if split is None or "split" not in table.column_names:
        return table
    chosen = table.select([i for i, name in enumerate(table["split"]) if name == split])
    if not len(chosen):
        raise InputError(f"{path} holds no set of split {split}, expected at least one")
    return chosen


def _row(
    number: int, answer_type: str, gold: str | float, response: str | None, truncated: bool = False
) -> ResponseRow:
    if isinstance(gold, bool) or not isinstance(gold, str | int | float):
        raise InputError(f"pair {number}: the gold answer is {type(gold).__name__}, expected text or a number")
    if not isinstance(response, str | None):
        raise InputError(f"pair {number}: the response is {type(response).__name__}, expected text or None")
    status = "failed" if response is None else "done"
    return ResponseRow(answer_type, str(gold), response or "", status, "length" if truncated else "stop")


def verifier_for(answer_type: str, options: dict[str, Any]) -> Verifier:
    """Return the verifier of an answer type with these options; the same arguments give the same object."""
    names = VerificationSettings().verifiers | {name: name for name in VERIFIERS}
    name = answer_type if ":" in answer_type else names.get(answer_type)
    if name is None:
        raise InputError(
            f"answer type '{answer_type}' is unknown, expected one of: {', '.join(names)}, or 'package.module:Class'"
        )
    key = json.dumps([name, options], sort_keys=True, default=list)
    with _lock:
        if key not in _verifiers:
            if not _verifiers:
                atexit.register(_close)
            _verifiers[key] = create("verifier", VERIFIERS, name, options, "answer_type")
        return _verifiers[key]


def _close() -> None:
    for verifier in _verifiers.values():
        verifier.close()
