"""Questions to a language model through any engine; answers are kept on disk, so that no question is asked twice."""

import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path

from forkpipe.core.engine import Engine
from forkpipe.core.errors import InputError
from forkpipe.core.records import Request, Sampling


class Asker:
    """Asks an engine.

    Args:
        engine: see `core.engine.Engine`.
        sampling: how to draw.
        revision: version of the model behind the engine.
        cache: file of the answers (SQLite), made where it is missing; None keeps nothing.

    A key of the cache covers the engine, its version, the revision, the sampling and the whole question; a question
    about a trace holds the trace.
    """

    def __init__(self, engine: Engine, sampling: Sampling, revision: str = "", cache: str | None = None) -> None:
        self._engine = engine
        self._sampling = sampling
        self._revision = revision
        self._cache = cache
        if cache is not None:
            Path(cache).absolute().parent.mkdir(parents=True, exist_ok=True)
            try:
                with closing(sqlite3.connect(cache)) as file, file:
                    file.execute("CREATE TABLE IF NOT EXISTS answers (request_id TEXT PRIMARY KEY, text TEXT NOT NULL)")
            except sqlite3.DatabaseError as error:
                raise InputError(f"{cache}: is no cache of answers: {error}") from error

    def ask(self, questions: Sequence[str]) -> list[str | None]:
        """Return the answers in order, None where the engine failed or was cut."""
        requests = {question: self._request(question) for question in questions}
        ids = {request.request_id: request for request in requests.values()}
        known = self._kept(ids)
        for done in self._engine.generate([request for name, request in ids.items() if name not in known]):
            if done.finish_reason == "stop" and done.text.strip():
                known[done.request_id] = done.text
                self._keep(done.request_id, done.text)
        return [known.get(requests[question].request_id) for question in questions]

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

    def _kept(self, ids: Iterable[str]) -> dict[str, str]:
        if self._cache is None:
            return {}
        found = {}
        with closing(sqlite3.connect(self._cache)) as file:
            for name in ids:
                row = file.execute("SELECT text FROM answers WHERE request_id = ?", (name,)).fetchone()
                if row:
                    found[name] = str(row[0])
        return found

    def _keep(self, name: str, text: str) -> None:
        if self._cache is not None:
            with closing(sqlite3.connect(self._cache)) as file, file:
                file.execute("INSERT OR REPLACE INTO answers VALUES (?, ?)", (name, text))
