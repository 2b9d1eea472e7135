"""Chooses the server for each request: the least loaded one that answers. Servers that fail are left out for a while.

A server is out after `FAILURES_OUT` failures in a row. It is then probed at growing intervals (asking for its list of
models costs nothing). When it answers, it is on trial: it gets one request at a time until one succeeds, and a failure
puts it out again. So a server that is up but completes nothing takes only one request at a time from the others.
"""

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from forkpipe.core.errors import InputError
from forkpipe.core.progress import logger
from forkpipe.engines.serving.failures import OF_SERVER, RequestError, one_line

FAILURES_OUT = 5
"""Failures in a row after which a server is out. If 30 % of requests fail, one in four hundred gets there by chance."""

TELL_SECONDS = 60.0
"""Seconds between two lines about requests that wait."""


@dataclass(eq=False)
class Server:
    """One server and its state: in, out (gets no requests) or trial (gets one request at a time)."""

    url: str
    client: Any
    state: Literal["in", "out", "trial"] = "in"
    in_flight: int = 0
    failures: int = 0
    alike: int = 0
    """Failures since the last success that look like a wrong option, or replies that cannot be read."""
    succeeded: bool = False
    """Whether it has ever completed a request."""
    trying: bool = False
    outs: int = 0
    """How often it went out since it last answered."""


class Turn(NamedTuple):
    """One request's turn at a server."""

    server: Server
    on_trial: bool


@dataclass(eq=False)
class Servers:
    """Hands out turns at the servers, by load. Use it as an asynchronous context, which ends its probes.

    Args:
        servers: all servers, at least one.
        patience: the run ends when no server has been in for this many seconds.
        first_wait: seconds before the first probe of a server that is out; doubles.
        longest_wait: the longest of these waits.
        connect_timeout: seconds a probe may take.
    """

    servers: Sequence[Server]
    patience: float
    first_wait: float
    longest_wait: float
    connect_timeout: float
    _changed: asyncio.Event = field(init=False, default_factory=asyncio.Event)
    _tasks: set[asyncio.Task[None]] = field(init=False, default_factory=set)
    _none_in_since: float | None = field(init=False, default=None)
    _paused: dict[object, tuple[float, RequestError]] = field(init=False, default_factory=dict)
    _ended: asyncio.Event = field(init=False, default_factory=asyncio.Event)
    error: InputError | None = field(init=False, default=None)
    """Why nothing more is sent to any server."""

    async def __aenter__(self) -> "Servers":
        self._tasks.add(asyncio.create_task(self._tell()))
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for server in self.servers:
            with suppress(Exception):  # the connection is lost already
                await server.client.close()

    async def take(self) -> Turn:
        """Wait until a server may be asked and return a turn at the least loaded one; `done` ends the turn.

        Raises:
            InputError: nothing more is sent: see `done`, or no server has been in for longer than `patience`.
        """
        while True:
            if self.error is not None:
                raise self.error
            free = [
                server
                for server in self.servers
                if server.state == "in" or (server.state == "trial" and not server.trying)
            ]
            if free:
                server = min(free, key=lambda server: server.in_flight)
                server.in_flight += 1
                server.trying = on_trial = server.state == "trial"
                return Turn(server, on_trial)
            self._changed.clear()
            await self._changed.wait()

    def done(self, turn: Turn, failure: RequestError | None) -> None:
        """End a turn; `failure` is None if the request was completed.

        A failure that will not pass ends the sending: there is no further turn. So does one that looks like a wrong
        option, if the server has completed nothing, or nothing since `FAILURES_OUT` of them; and so do as many replies
        that cannot be read, if they are the server's first.
        """
        server = turn.server
        if failure is not None:
            server.alike += failure.misconfigured or bool(failure.reply)
            many = server.alike >= FAILURES_OUT
            if failure.lasting or (failure.misconfigured and (many or not server.succeeded)):
                self._end(InputError(f"server {server.url} refuses all requests: {failure}"))
            elif failure.reply and many and not server.succeeded:
                sent = one_line(failure.reply)
                self._end(
                    InputError(f"server {server.url} gives no reply that can be read: {failure}; it sent: {sent}")
                )
        else:
            server.alike = 0
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

    async def pause(self, seconds: float, failure: RequestError) -> None:
        """Wait before a request that failed is sent again, but not longer than anything is sent."""
        key = object()
        self._paused[key] = time.monotonic() + seconds, failure
        try:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._ended.wait(), seconds)
        finally:
            del self._paused[key]

    async def _tell(self) -> None:
        """Log why requests wait, as long as some do."""
        while True:
            await asyncio.sleep(TELL_SECONDS)
            if self._paused:
                until, failure = min(self._paused.values(), key=lambda paused: paused[0])
                logger.info(
                    "%d requests wait to be sent again, the first for another %.0f s: %s",
                    len(self._paused), until - time.monotonic(), failure,
                )  # fmt: skip
            elif self._none_in_since is not None:
                silent = time.monotonic() - self._none_in_since
                logger.info("no server has answered for %.0f s, %.0f s are allowed", silent, self.patience)

    def _end(self, error: InputError) -> None:
        self.error = self.error or error
        self._ended.set()
        self._changed.set()

    def _take_out(self, server: Server, failure: RequestError) -> None:
        if server.state == "in":
            logger.warning("server %s is left out, to be tried again: %s", server.url, failure)
        server.state = "out"
        server.outs += 1
        if self._none_in_since is None and all(server.state != "in" for server in self.servers):
            self._none_in_since = time.monotonic()
        probe = asyncio.create_task(self._probe(server, failure))
        self._tasks.add(probe)
        probe.add_done_callback(self._tasks.discard)

    async def _probe(self, server: Server, failure: RequestError) -> None:
        # Counts times out in a row: a server that answers probes but completes nothing is probed ever less often.
        rounds = server.outs - 1
        while server.state == "out":
            self._lose_patience(server, failure)
            await asyncio.sleep(min(self.longest_wait, self.first_wait * 2 ** min(rounds, 30)))
            rounds += 1
            if await self._answers(server) and server.state == "out":
                server.state = "trial"
                self._changed.set()

    def _lose_patience(self, server: Server, failure: RequestError) -> None:
        silent = 0.0 if self._none_in_since is None else time.monotonic() - self._none_in_since
        if silent > self.patience:
            urls = ", ".join(server.url for server in self.servers)
            self._end(
                InputError(
                    f"no server has answered for {silent:.0f} s ({urls}), expected one within options.patience; "
                    f"the last failure, of {server.url}, was: {failure}"
                )
            )

    async def _answers(self, server: Server) -> bool:
        """Whether the server sends any reply but a server error."""
        import openai

        try:
            await server.client.models.list(timeout=self.connect_timeout)
        except openai.APIStatusError as error:
            return error.status_code < 500  # not every server has a list of models
        except openai.OpenAIError:
            return False
        except ValueError:
            return True
        return True
