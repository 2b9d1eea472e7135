"""A server that speaks the OpenAI protocol and fails as it is told: for tests of clients, and for timing them.

`python tests/engines/fault_server.py --latency 0.1` serves without faults until it is killed, and prints its address.
"""

import argparse
import asyncio
import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from email.utils import formatdate
from typing import Any

Body = dict[str, Any]
Fault = Callable[[int, Body], str | None]
"""(number of the request, its body) -> the name of a fault, None for a good reply."""

FAULTS = (
    "429",  # too many requests
    "429 seconds",  # and Retry-After as a number
    "429 date",  # and Retry-After as an HTTP date
    "500",
    "hang",  # no reply until the client goes
    "cut",  # the connection closes in mid-body
    "cut stream",  # a stream that ends well-formed, without a finish reason; as "cut" where none was asked for
    "garbage",  # a body that is no JSON
    "no choice",
    "no answer",  # a choice without a text
    "wrong model",
)
NAMED = {
    "401": 401,
    "402": 402,
    "403": 403,
    "flagged": 403,
    "404": 404,
    "400": 400,
    "500": 500,
    "quota": 429,
    "429": 429,
}


def answer_to(body: Body) -> str:
    """Return the text of a good reply; it names the prompt and the seed."""
    prompt = body["messages"][-1]["content"] if "messages" in body else body["prompt"]
    return f"answer to {prompt} with seed {body.get('seed')}"


class FaultServer:
    """Serves chat completions and completions.

    Args:
        model: the name it gives in replies.
        latency: seconds to a reply.
        fault: which requests fail, and how.
        reply: what changes a good reply: (reply, request's body) -> None.
    """

    def __init__(
        self,
        model: str = "m",
        latency: float = 0.0,
        fault: Fault | None = None,
        reply: Callable[[Body, Body], None] | None = None,
    ) -> None:
        self.model = model
        self.latency = latency
        self.fault = fault
        self.reply = reply
        self.port = 0
        self.requests: list[Body] = []
        self.keep = True  # bodies, for tests to look at
        self.served = 0
        self.probes = 0
        self.times: list[float] = []
        self.faults: Counter[str] = Counter()
        self.authorizations: set[str] = set()
        self.in_flight = self.most_in_flight = 0
        self._connections: set[_Connection] = set()

    @property
    def url(self) -> str:
        """The base URL."""
        return f"http://127.0.0.1:{self.port}/v1"

    async def listen(self) -> asyncio.Server:
        """Listen, on the port of last time if there was one."""
        server = await asyncio.get_running_loop().create_server(
            lambda: _Connection(self), "127.0.0.1", self.port, backlog=4096
        )
        self.port = server.sockets[0].getsockname()[1]
        return server

    def start(self) -> "FaultServer":
        """Serve from a thread until `stop`."""
        started = threading.Event()
        self._loop = asyncio.new_event_loop()

        async def serve() -> None:
            self._listening = await self.listen()
            started.set()

        def run() -> None:
            self._loop.run_until_complete(serve())
            self._loop.run_forever()

        self._thread = threading.Thread(target=run, daemon=True)
        self._thread.start()
        assert started.wait(10)
        return self

    def stop(self) -> None:
        """Close all connections and the port, as a server that dies; `start` brings it back."""

        def end() -> None:
            self._listening.close()
            for connection in list(self._connections):
                connection.transport.abort()
            self._loop.call_soon(self._loop.stop)

        self._loop.call_soon_threadsafe(end)
        self._thread.join(10)
        self._loop.close()
        self._connections.clear()
        self.in_flight = 0

    def __enter__(self) -> "FaultServer":
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


class _Connection(asyncio.Protocol):
    """One keep-alive connection: HTTP/1.1 as clients of this protocol send it, no pipelining."""

    transport: Any

    def __init__(self, app: FaultServer) -> None:
        self.app = app
        self.buffer = b""
        self.waiting = False

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.app._connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.app._connections.discard(self)
        self._done()

    def _done(self) -> None:
        self.app.in_flight -= self.waiting
        self.waiting = False

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head, found, rest = self.buffer.partition(b"\r\n\r\n")
        if not found:
            return
        lines = head.split(b"\r\n")
        headers = {}
        for line in lines[1:]:
            name, _, value = line.partition(b":")
            headers[name.lower()] = value.strip()
        length = int(headers.get(b"content-length", 0))
        if len(rest) < length:
            return
        self.buffer = rest[length:]
        self._request(lines[0].split()[1].decode(), headers, rest[:length])

    def _request(self, path: str, headers: dict[bytes, bytes], content: bytes) -> None:
        app = self.app
        app.authorizations.add(headers.get(b"authorization", b"").decode())
        if path.endswith("/models"):
            app.probes += 1
            self._send(200, {"object": "list", "data": [{"id": app.model}]})
            return
        body = json.loads(content)
        number = app.served
        app.served += 1
        if app.keep:
            app.requests.append(body)
            app.times.append(time.monotonic())
        app.in_flight += 1
        self.waiting = True
        app.most_in_flight = max(app.most_in_flight, app.in_flight)
        fault = app.fault(number, body) if app.fault else None
        if body.get("messages") == []:  # some clients ask what the limits are by asking nothing
            fault = "400"
        if fault:
            app.faults[fault] += 1
        if fault == "hang":
            return
        authorization = headers.get(b"authorization", b"").decode()
        if app.latency:
            asyncio.get_running_loop().call_later(app.latency, self._answer, fault, body, path, authorization)
        else:
            self._answer(fault, body, path, authorization)

    def _answer(self, fault: str | None, body: Body, path: str, authorization: str) -> None:
        self._done()
        if self.transport.is_closing():
            return
        if fault in NAMED or (fault or "").startswith("429"):
            wait = {"429 seconds": "0.05", "429 date": formatdate(time.time() + 1, usegmt=True)}.get(fault or "")
            code = "insufficient_quota" if fault == "quota" else fault
            # Servers have been seen to echo what they were sent.
            error: Body = {"message": f"told to fail, you sent '{authorization}'", "code": code}
            if fault == "flagged":
                error["metadata"] = {"flagged_input": "how to"}
            self._send(NAMED.get(fault or "", 429), {"error": error}, {"Retry-After": wait} if wait else {})
            return
        chat = path.endswith("/chat/completions")
        reply = self._reply(body, chat)
        choice = reply["choices"][0]
        if fault == "no choice":
            reply["choices"] = []
        elif fault == "no answer":
            choice["message" if chat else "text"] = {"role": "assistant", "content": None} if chat else ""
            reply["usage"]["completion_tokens"] = 0
        elif fault == "wrong model":
            reply["model"] = "another"
        if body.get("stream"):
            self._stream(fault, reply, chat)
        elif fault == "garbage":
            self._raw(200, b'{"choices": [{"mess')
        elif fault in ("cut", "cut stream"):
            content = json.dumps(reply).encode()
            self._raw(200, content[: len(content) // 2], length=len(content))
            self.transport.close()
        else:
            self._send(200, reply)

    def _reply(self, body: Body, chat: bool) -> Body:
        text = answer_to(body)
        choice: Body = {"index": 0, "finish_reason": "stop"}
        choice |= {"message": {"role": "assistant", "content": text}} if chat else {"text": text}
        reply = {
            "id": "c",
            "object": "chat.completion" if chat else "text_completion",
            "created": 0,
            "model": self.app.model,
            "choices": [choice],
            "usage": {"prompt_tokens": 3, "completion_tokens": len(text.split()), "total_tokens": 0},
        }
        if self.app.reply:
            self.app.reply(reply, body)
        return reply

    def _stream(self, fault: str | None, reply: Body, chat: bool) -> None:
        """Send a reply in server-sent events: a piece a word, then the finish reason, then the usage."""
        common = {key: reply[key] for key in ("id", "object", "created", "model")}
        events: list[str] = []
        for choice in reply["choices"]:
            source = choice["message"] if chat else choice
            for name in ("reasoning_content", "reasoning", "content", "text"):
                for word in (source.get(name) or "").split(" "):
                    spaced = word if not events else f" {word}"
                    delta = {"delta": {name: spaced}} if chat else {"text": spaced}
                    if word and name in source:
                        piece = {"index": 0, "finish_reason": None, **delta}
                        events.append(json.dumps({**common, "choices": [piece]}))
            end: Body = {"index": 0, "finish_reason": choice["finish_reason"]}
            end |= {"delta": {}} if chat else {"text": ""}
            events.append(json.dumps({**common, "choices": [end]}))
        events.append(json.dumps({**common, "choices": [], "usage": reply["usage"]}))
        if fault == "garbage":
            events[len(events) // 2] = '{"choices": [{"del'
        whole = fault not in ("cut", "cut stream")
        events = [*events, "[DONE]"] if whole else events[: len(events) // 2]
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        self.transport.write(head)
        for event in events:
            data = f"data: {event}\n\n".encode()
            self.transport.write(b"%x\r\n%s\r\n" % (len(data), data))
        if fault == "cut":
            self.transport.close()
        else:
            self.transport.write(b"0\r\n\r\n")

    def _send(self, status: int, body: Body, headers: dict[str, str] | None = None) -> None:
        self._raw(status, json.dumps(body).encode(), headers=headers)

    def _raw(
        self, status: int, content: bytes, *, length: int | None = None, headers: dict[str, str] | None = None
    ) -> None:
        more = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
        head = (
            f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\n{more}"
            f"Content-Length: {len(content) if length is None else length}\r\n\r\n"
        )
        self.transport.write(head.encode() + content)


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--latency", type=float, default=0.0, help="seconds to a reply")
    parser.add_argument("--model", default="m")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    given = parser.parse_args()

    async def serve() -> None:
        app = FaultServer(given.model, given.latency)
        app.port, app.keep = given.port, False
        listening = await app.listen()
        print(app.url, flush=True)
        await listening.serve_forever()

    asyncio.run(serve())


if __name__ == "__main__":
    main()
