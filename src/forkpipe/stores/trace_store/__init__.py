"""The trace store: what teachers have answered so far, kept so that a killed run loses nothing.

A folder. Answers are appended to a journal, a line an attempt, and compacted into Parquet shards of the table `traces`:

    trace_store/
      lock                    held by the run that writes: process, host, since when
      journal-000007.jsonl    what this run has appended since shard 6
      shard-000006.parquet    immutable; says in its footer which files it replaces
      set_aside/              files and lines that could not be read

A shard appears whole (written under another name, synced, renamed) and says which files it replaces before they are
removed, so that a crash in between leaves nothing twice. Rows are keyed by (request_id, attempt).
"""

from forkpipe.stores.trace_store.store import TraceStore

__all__ = ["TraceStore"]
