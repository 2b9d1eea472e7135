"""The trace store keeps the answers of teachers, so that a killed run loses none.

It is a folder. Each attempt is appended to a journal as one line; journals are compacted into Parquet shards of the
table `traces`:

    trace_store/
      lock                    held by the run that writes; names its process, its host and when it started
      journal-000007.jsonl    rows that this run has appended since shard 6
      shard-000006.parquet    immutable; its footer lists the files that it replaces
      set_aside/              files and lines that could not be read

A shard is written under another name, synced and renamed, so it is whole or absent. Its footer lists the files that it
replaces before they are deleted, so a crash in between duplicates no row. The key of a row is (request_id, attempt).
"""

from forkpipe.stores.trace_store.store import TraceStore

__all__ = ["TraceStore"]
