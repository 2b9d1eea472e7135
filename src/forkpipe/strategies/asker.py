"""Ask a language model questions through any engine, and keep the answers."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from forkpipe.core.engine import Engine, described
from forkpipe.core.records import Completion, Request, Sampling
from forkpipe.stores.completions import CompletionStore

_SQLITE = b"SQLite format 3\0"


class Asker:
    """Asks an engine questions; questions whose answers are kept are not asked again.

    Args:
        cache: file of the answers, created if it does not exist; None keeps nothing.

        name: what the engine is asked for, for messages.

    A kept answer counts only for the same engine, version, revision, sampling and text. A question about a trace
    contains the trace.
    """

    def __init__(
        self, engine: Engine, sampling: Sampling, revision: str = "", cache: str | None = None, name: str = "the model"
    ) -> None:
        self._engine = engine
        self._sampling = sampling
        self._revision = revision
        self._name = name
        self._store = answer_store(cache)

    def ask(self, questions: Sequence[str]) -> list[str | None]:
        """Return the answers in order, None for an answer that was refused, cut or is empty.

        InputError if a request failed and asking again can help.
        """
        requests = [self._request(question) for question in questions]
        answers = self._store.of(requests, described(self._engine))
        answers.ask(self._engine)
        answers.check_answered(self._name)
        return [_text(answers.get(request.request_id)) for request in requests]

    def _request(self, question: str) -> Request:
        return Request.create(
            problem_id="strategies",
            problem="",
            asked_of=f"{self._engine.identity} version {self._engine.version}",
            revision=self._revision,
            prompt=question,
            sample=0,
            sampling=self._sampling,
        )


def _text(answer: Completion | None) -> str | None:
    return answer.text if answer is not None and answer.finish_reason == "stop" and answer.text.strip() else None


def answer_store(cache: str | None) -> CompletionStore:
    """Return the store of a cache file.

    A SQLite file, as earlier versions wrote it, is not changed: its answers are copied to FILE.jsonl, which is used
    from then on.
    """
    if cache is None:
        return CompletionStore(None)
    path = Path(cache)
    if not _is_sqlite(path):
        return CompletionStore(path)
    store = CompletionStore(path.with_name(f"{path.name}.jsonl"))
    with closing(sqlite3.connect(path)) as older:
        rows = older.execute("SELECT request_id, text FROM answers").fetchall()
    missing = [Completion(name, text=text) for name, text in rows if not store.holds(name)]
    if missing:
        store.append(missing)
    return store


def _is_sqlite(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(_SQLITE)) == _SQLITE
