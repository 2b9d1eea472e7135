"""Which of several servers is asked: the least loaded of those that answer. A dead one is left out and tried again.

A server goes out after `FAILURES_OUT` failures in a row. It is then probed (its list of models costs nothing), at
growing intervals. When it answers it is on trial: one request at a time, until one succeeds; a failure puts it out
again. So a server that lives but completes nothing takes one request at a time from the others.
"""

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Literal, NamedTuple

from forkpipe.core.errors import InputError
from forkpipe.core.progress import logger
from forkpipe.engines.serving.failures import OF_SERVER, RequestError

FAILURES_OUT = 5
"""Failures in a row after which a server is out: one request in four hundred meets that by chance where 30 % fail."""


class Server:
    """One server, and how it does. States: in, out (asked nothing), trial (asked one request at a time)."""

    def __init__(self, url: str, client: Any) -> None:
        self.url = url
        self.client = client
        self.state: Literal["in", "out", "trial"] = "in"
        self.in_flight = 0
        self.failures = 0
        self.succeeded = False
        """Whether it has ever completed a request."""
        self.trying = False
        self.outs = 0
        """Times it went out since it last answered."""


class Turn(NamedTuple):
    """One request's turn at a server."""

    server: Server
    on_trial: bool


class Servers:
    """Servers, by load. To be used as an asynchronous context, which ends its probes.

    Args:
        servers: all of them; at least one.
        patience: seconds in which no server is in, after which the run ends.
        first_wait: seconds before the first probe of a dead server; doubles.
        longest_wait: the longest of these waits.
        connect_timeout: seconds a probe may take.
    """

    def __init__(
        self,
        servers: Sequence[Server],
        *,
        patience: float,
        first_wait: float,
        longest_wait: float,
        connect_timeout: float,
    ) -> None:
        self._servers = servers
        self._patience = patience
        self._first_wait = first_wait
        self._longest_wait = longest_wait
        self._connect_timeout = connect_timeout
        self._changed = asyncio.Event()
        self._probes: set[asyncio.Task[None]] = set()
        self._none_in_since: float | None = None
        self._gone: InputError | None = None

    async def __aenter__(self) -> "Servers":
        return self

    async def __aexit__(self, *_: object) -> None:
        for probe in self._probes:
            probe.cancel()
        await asyncio.gather(*self._probes, return_exceptions=True)
        for server in self._servers:
            with suppress(Exception):  # a connection that is lost already
                await server.client.close()

    async def take(self) -> Turn:
        """Return a turn at the least loaded server that may be asked, waiting for one; `done` ends it.

        Raises:
            InputError: no server has been in for longer than `patience`.
        """
        while True:
            if self._gone is not None:
                raise self._gone
            asked = [one for one in self._servers if one.state == "in" or (one.state == "trial" and not one.trying)]
            if asked:
                server = min(asked, key=lambda one: one.in_flight)
                server.in_flight += 1
                server.trying = on_trial = server.state == "trial"
                return Turn(server, on_trial)
            self._changed.clear()
            await self._changed.wait()

    def done(self, turn: Turn, failure: RequestError | None) -> None:
        """End a turn, with what came of the request: None for a completion."""
        server = turn.server
        server.in_flight -= 1
        server.trying = server.trying and not turn.on_trial
        if failure is None or failure.kind not in OF_SERVER:
            server.failures = server.outs = 0
            server.succeeded = server.succeeded or failure is None
            self._none_in_since = None
            if server.state != "in":
                logger.info("server %s answers again", server.url)
                server.state = "in"
        else:
            server.failures += 1
            if turn.on_trial or (server.state == "in" and server.failures >= FAILURES_OUT):
                self._take_out(server, failure)
        self._changed.set()

    def _take_out(self, server: Server, failure: RequestError) -> None:
        if server.state == "in":
            logger.warning("server %s is left out, to be tried again: %s", server.url, failure)
        server.state = "out"
        server.outs += 1
        if self._none_in_since is None and all(one.state != "in" for one in self._servers):
            self._none_in_since = time.monotonic()
        probe = asyncio.create_task(self._probe(server, failure))
        self._probes.add(probe)
        probe.add_done_callback(self._probes.discard)

    async def _probe(self, server: Server, failure: RequestError) -> None:
        # In a row: one that answers probes but completes nothing is asked ever less often.
        rounds = server.outs - 1
        while server.state == "out":
            self._lose_patience(server, failure)
            await asyncio.sleep(min(self._longest_wait, self._first_wait * 2 ** min(rounds, 30)))
            rounds += 1
            if await self._answers(server) and server.state == "out":
                server.state = "trial"
                self._changed.set()

    def _lose_patience(self, server: Server, failure: RequestError) -> None:
        silent = 0.0 if self._none_in_since is None else time.monotonic() - self._none_in_since
        if silent > self._patience:
            urls = ", ".join(one.url for one in self._servers)
            self._gone = InputError(
                f"no server has answered for {silent:.0f} s ({urls}), expected one within options.patience; "
                f"the last failure, of {server.url}, was: {failure}"
            )
            self._changed.set()

    async def _answers(self, server: Server) -> bool:
        """Whether a server says anything at all but that it is broken."""
        import openai

        try:
            await server.client.models.list(timeout=self._connect_timeout)
        except openai.APIStatusError as error:
            return error.status_code < 500  # not every server lists models
        except openai.OpenAIError:
            return False
        except ValueError:
            return True
        return True
