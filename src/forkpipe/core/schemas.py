"""The public tables: declared Arrow schemas, each with a version.

`stores.tables` enforces them when a table is saved. A column is required (never null) unless listed as optional.
Every table ends with `run_id`, the session that wrote the row. To change a table, change it here and raise its
version; tests hold the column names that users rely on.
"""

import pyarrow as pa

_TEXT = pa.string()
_INT = pa.int64()
_FLOAT = pa.float64()


def _schema(name: str, version: int, required: dict[str, pa.DataType], optional: dict[str, pa.DataType]) -> pa.Schema:
    fields = [pa.field(column, kind, nullable=False) for column, kind in required.items()]
    fields += [pa.field(column, kind, nullable=True) for column, kind in optional.items()]
    fields.append(pa.field("run_id", _TEXT, nullable=False))
    return pa.schema(fields, metadata={"forkpipe.table": name, "forkpipe.schema_version": str(version)})


_TRACE_IN_SET = pa.struct(
    [
        pa.field("trace_id", _TEXT, nullable=False),
        pa.field("teacher", _TEXT, nullable=False),
        pa.field("text", _TEXT, nullable=False),
        pa.field("strategy", _INT, nullable=False),
        pa.field("tokens", _INT, nullable=False),
    ]
)

_VERDICT = {
    "extracted": _TEXT,
    "extracted_from": _TEXT,  # box, tag, hash, stated, whole, formula; empty where nothing was found
    "verdict": _TEXT,
    "rule": _TEXT,
    "verifier": _TEXT,
    "verifier_version": _TEXT,
}

_SAMPLE = {
    "method": _TEXT,
    "problem_id": _TEXT,
    "split": _TEXT,
    "policy": _TEXT,  # by_tag: every tag forced in turn; own: the model writes its tag
    "tag": _INT,  # index from 0; -1 where the method has one plain tag
    "tag_source": _TEXT,  # forced, own
    "sample": _INT,  # index within (problem, policy, tag), or within (problem, policy) for own
}

SCHEMAS: dict[str, pa.Schema] = {
    "problems": _schema(
        "problems",
        1,
        {
            "problem_id": _TEXT,
            "problem": _TEXT,
            "answer": _TEXT,
            "answer_type": _TEXT,
            "source": _TEXT,
            "source_id": _TEXT,
            "split": _TEXT,
            "metadata": _TEXT,
        },
        {},
    ),
    "overlaps": _schema(
        "overlaps",
        1,
        {
            "problem_id": _TEXT,
            "set": _TEXT,  # name of the evaluation set; problems: another of these problems
            "kind": _TEXT,  # exact, ngram, near, renumbered
            "score": _FLOAT,  # 0 to 1, by kind
            "other_id": _TEXT,
            "other_problem": _TEXT,
            "action": _TEXT,  # rejected, kept
        },
        {},
    ),
    "traces": _schema(
        "traces",
        1,
        {
            "request_id": _TEXT,
            "attempt": _INT,
            "trace_id": _TEXT,
            "problem_id": _TEXT,
            "teacher": _TEXT,
            "teacher_revision": _TEXT,
            "sample": _INT,
            "seed": _INT,
            "prompt": _TEXT,
            "prompt_hash": _TEXT,
            "sampling": _TEXT,
            "text": _TEXT,
            "reasoning": _TEXT,
            "tokens_in": _INT,
            "tokens_out": _INT,
            "finish_reason": _TEXT,
            "status": _TEXT,  # done, failed
            "error": _TEXT,
            "seconds": _FLOAT,
        },
        {},
    ),
    "generation_report": _schema(
        "generation_report",
        1,
        {
            "teacher": _TEXT,
            "requests": _INT,
            "asked": _INT,  # attempts of the run that wrote the row
            "not_asked": _INT,  # requests without an attempt: a limit was reached
            "attempts": _INT,  # of all runs; tokens, seconds and errors are theirs
            "tokens_in": _INT,
            "tokens_out": _INT,
            "seconds": _FLOAT,
            "failed": _INT,
            "truncated": _INT,
            "errors": _TEXT,  # JSON: kind -> attempts that ended so
            "correct": _INT,
            "kept": _INT,  # traces in trace sets
        },
        {
            "tokens_per_kept": _FLOAT,  # tokens out
            "price": _FLOAT,  # null where the teacher has none
            "price_per_kept": _FLOAT,
        },
    ),
    "verdicts": _schema("verdicts", 2, {"trace_id": _TEXT, **_VERDICT}, {}),
    "strategies": _schema(
        "strategies",
        2,
        {
            "trace_id": _TEXT,
            "problem_id": _TEXT,
            "strategy": _INT,  # index of the cluster within its problem, the largest first
            "representative": pa.bool_(),
            "distance": _FLOAT,  # to the representative of the cluster, 0 to 1
        },
        {"distances": pa.list_(_FLOAT)},  # to the representatives of clusters 0, 1, ..., where they are measured
    ),
    "trace_sets": _schema(
        "trace_sets",
        2,
        {
            "problem_id": _TEXT,
            "problem": _TEXT,
            "answer": _TEXT,
            "source": _TEXT,
            "split": _TEXT,
            "traces": pa.list_(pa.field("element", _TRACE_IN_SET, nullable=False)),
        },
        {"strategies": _INT},  # distinct ones among its traces
    ),
    "rejected": _schema("rejected", 1, {"stage": _TEXT, "id": _TEXT, "reason": _TEXT, "detail": _TEXT}, {}),
    "training_log": _schema(
        "training_log",
        2,
        {"method": _TEXT, "step": _INT, "loss": _FLOAT, "learning_rate": _FLOAT, "tokens": _INT, "seconds": _FLOAT},
        {
            "matching_seconds": _FLOAT,
            "trace_loss": _FLOAT,
            "tag_loss": _FLOAT,
            "eval_loss": _FLOAT,  # of trace sets that are not trained on, where evaluation during training is on
            "tag_purity": _FLOAT,  # of the matching of those sets, by teacher
            "tag_information_bits": _FLOAT,
            "reward": _FLOAT,
            "entropy": _FLOAT,
            "kl": _FLOAT,
            "tag_usage": pa.list_(_FLOAT),
            "groups_skipped": _INT,
            "rollouts": _INT,
            "phase": _TEXT,  # of reinforcement learning, see parameters/policy.py
            "anchor": _FLOAT,  # nats a token, of what holds completions where they were
        },
    ),
    "matching": _schema(
        "matching",
        1,
        {
            "method": _TEXT,
            "step": _INT,
            "visit": _INT,  # how often the problem was seen before
            "problem_id": _TEXT,
            "trace_id": _TEXT,
            "teacher": _TEXT,
            "tag": _INT,
        },
        {
            "cost": _FLOAT,  # nats a token; null where the assignment needs no costs
            "margin": _FLOAT,  # nats a token, see core.matching.margins; null where no other assignment exists
        },
    ),
    "rewards": _schema(
        "rewards",
        1,
        {
            "method": _TEXT,
            "problem_id": _TEXT,
            "tag": _INT,
            "sample": _INT,
            "verdict": _TEXT,
            "tokens": _INT,
            "policy_version": _INT,
        },
        {},
    ),
    "generations": _schema(
        "generations",
        2,
        {
            **_SAMPLE,
            "seed": _INT,
            "text": _TEXT,
            "token_ids": pa.list_(_INT),
            "tokens": _INT,
            "finish_reason": _TEXT,
            "checkpoint": _TEXT,  # digest of the checkpoint's files
        },
        {},
    ),
    "scores": _schema("scores", 3, {**_SAMPLE, "tokens": _INT, **_VERDICT}, {}),
    "metrics": _schema(
        "metrics",
        1,
        {
            "method": _TEXT,
            "split": _TEXT,
            "protocol": _TEXT,  # pass@1, cons@6, pass@6, ...
            "policy": _TEXT,  # best_tag, covering_tag, mixed, own, native
            "k": _INT,
            "value": _FLOAT,
            "low": _FLOAT,
            "high": _FLOAT,
            "n_problems": _INT,
            "n_samples": _INT,
            "seed": _INT,
        },
        {},
    ),
    "comparison": _schema(
        "comparison",
        1,
        {
            "method": _TEXT,
            "protocol": _TEXT,
            "policy": _TEXT,
            "value": _FLOAT,
            "low": _FLOAT,
            "high": _FLOAT,
            "n_problems": _INT,
            "n_samples": _INT,
            "tokens_trained": _INT,
            "rollouts": _INT,
            "validation_rollouts": _INT,
            "seed": _INT,
        },
        {},
    ),
}
"""Every public table by name. `{method}.training_log` and its like use the schema of their last word."""

RENAMED = {"generations": {"policy": "protocol"}, "scores": {"policy": "protocol"}}
"""Columns of a table that had another name in an older version: {table: {name now: name before}}."""

VOLATILE = ("run_id", "seconds", "matching_seconds")
"""Columns that say when and how fast a row was made: two tables that differ in these alone hold the same."""


def schema_version(name: str) -> int:
    """Return the version of the table `name`."""
    metadata = SCHEMAS[name].metadata or {}
    return int(metadata[b"forkpipe.schema_version"])
