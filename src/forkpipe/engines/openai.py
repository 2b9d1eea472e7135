"""Any server that speaks the OpenAI protocol: vLLM, SGLang, llama.cpp, hosted APIs; one or many of one model.

An event loop in its own thread sends requests through the openai client, a bounded number at a time. The client's own
retries are off: this module decides what is tried again, where and when.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from forkpipe.core.engine import Engine
from forkpipe.core.errors import InputError
from forkpipe.core.forking import parse_tags
from forkpipe.core.ids import content_hash
from forkpipe.core.progress import logger
from forkpipe.core.records import Completion, Request
from forkpipe.engines.keys import find_key
from forkpipe.engines.serving.bridge import iterate
from forkpipe.engines.serving.client import PATHS, Endpoint, open_client, send
from forkpipe.engines.serving.failures import RequestError, from_client, wait_before
from forkpipe.engines.serving.options import check_choice, check_count, check_seconds, check_urls
from forkpipe.engines.serving.replies import Reply
from forkpipe.engines.serving.servers import Server, Servers, Turn
from forkpipe.engines.serving.tagged import TaggedPrompts

Put = Callable[[Completion], Awaitable[None]]

OWN_FIELDS = {"model", "messages", "prompt", "n", "stream", "temperature", "top_p", "seed"}
SECONDS = ("timeout", "connect_timeout", "backoff", "longest_backoff", "rate_limit_wait", "patience")
OWN_FIELDS |= {"max_tokens", "max_completion_tokens"}


@dataclass(kw_only=True, eq=False, repr=False)
class OpenAIEngine(Engine):
    """Completes requests with one model on one or more servers.

    Args:
        model: the model's name at the servers.
        base_url: address of the server, up to and including `/v1`; a list of addresses for several servers.
        endpoint: "chat" sends the prompt as a user message, which the server puts into its chat template; "completions"
            sends the prompt unchanged.
        system: system message, for endpoint "chat" only.
        concurrency: requests in flight at a time, over all servers together.
        stream: whether replies come token by token: for proxies that cut quiet connections. Costs processor time.
        timeout: seconds a reply may take, from sending the request to its last token.
        connect_timeout: seconds a connection may take.
        attempts: how often a request is tried, not counting tries that met a rate limit.
        backoff: seconds to wait after a first failure; doubles, with jitter. If the server sends Retry-After, that
            counts instead. Servers that do not answer are probed at the same intervals.
        longest_backoff: the longest of these waits, in seconds.
        rate_limit_wait: seconds that a request may wait for rate limits in total.
        patience: seconds without any server that answers, after which the run ends.
        aliases: other names the model may answer under; `*` stands for any characters.
        max_tokens_field: the server's name for the limit: newer hosted models call it "max_completion_tokens".
        omit: fields that are not sent, for servers that refuse them: temperature, top_p, seed.
        extra_body: further fields of every request, such as {top_k: 20}.
        api_key_env: name of the environment variable that holds the API key.
        credentials: name of the entry in conf/local/credentials.yml that holds the API key, as `api_key`.
        checkpoint: folder of the model that the servers run, from which prompts are encoded; needs endpoint
            "completions". With forking tags the servers must be vLLM.
        tags: tags of a checkpoint without forking.json, such as "text:6", or "none" to ban none of those that it has.
    """

    version = "1"
    at_servers = True

    model: str
    base_url: str | Sequence[str]
    endpoint: Endpoint = "chat"
    system: str | None = None
    concurrency: int = 64
    stream: bool = False
    timeout: float = 1800.0
    connect_timeout: float = 30.0
    attempts: int = 6
    backoff: float = 1.0
    longest_backoff: float = 60.0
    rate_limit_wait: float = 1800.0
    patience: float = 300.0
    aliases: Sequence[str] = ()
    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    omit: Sequence[Literal["temperature", "top_p", "seed"]] = ()
    extra_body: dict[str, Any] | None = None
    api_key_env: str | None = None
    credentials: str | None = None
    checkpoint: str | None = None
    tags: str | None = None

    def __post_init__(self) -> None:
        self._urls = [self.base_url] if isinstance(self.base_url, str) else list(self.base_url)
        check_urls(self._urls)
        if not isinstance(self.model, str) or not self.model:
            raise InputError(f"model is {self.model!r}, expected the model's name at the server")
        check_choice("endpoint", self.endpoint, PATHS)
        check_choice("max_tokens_field", self.max_tokens_field, ("max_tokens", "max_completion_tokens"))
        for omitted in self.omit:
            check_choice("omit", omitted, ("temperature", "top_p", "seed"))
        for name in ("concurrency", "attempts"):
            check_count(name, getattr(self, name))
        check_seconds(**{name: getattr(self, name) for name in SECONDS})
        if isinstance(self.aliases, str):
            raise InputError(f"aliases is '{self.aliases}', expected a list of names")
        if self.api_key_env and self.credentials:
            raise InputError("api_key_env and credentials are both given, expected one of them")
        if self.system is not None and self.endpoint != "chat":
            raise InputError(f"system is given and endpoint '{self.endpoint}', which has no messages: expected 'chat'")
        if self.checkpoint and self.endpoint != "completions":
            raise InputError(f"checkpoint is given and endpoint '{self.endpoint}': tags need endpoint 'completions'")
        if self.tags is not None:
            parse_tags(self.tags)
            if not self.checkpoint:
                raise InputError("tags are given and no checkpoint, by whose tokenizer they are encoded")
        self._more = dict(self.extra_body or {})
        for name in sorted(OWN_FIELDS & set(self._more)):
            raise InputError(f"extra_body has '{name}', which other options of the engine set")
        changes_text = [self.system, self._more, sorted(set(self.omit) - {"seed"})]
        self.identity = f"openai {self.model} {self.endpoint}"
        if any(changes_text) or self.checkpoint:
            given = [] if self.tags is None else [self.tags]
            self.identity += f" {content_hash(*changes_text, self.checkpoint, *given)}"
        self._messages_before = [] if self.system is None else [{"role": "system", "content": self.system}]
        self._tagged = TaggedPrompts(self.checkpoint, self.tags) if self.checkpoint else None
        self._uncounted = False

    def generate(self, requests: Sequence[Request]) -> Iterator[Completion]:
        """Yield completions as they come; closing the iterator cancels what is in flight."""
        if self._tagged is not None:
            requests = self._tagged.prepared(requests)
        elif any(request.prefix_ids or request.own_tag for request in requests):
            raise InputError("requests have forking tags, which needs endpoint 'completions' and checkpoint")
        key = find_key(self.api_key_env, self.credentials)
        if requests:

            async def complete(put: Put) -> None:
                await self._complete(requests, key, put)

            yield from iterate(complete, room=self.concurrency)

    def samples_held(self, problem: str) -> int | None:
        """Any number of samples; InputError if the API key is missing, so that a run ends before it begins."""
        find_key(self.api_key_env, self.credentials)
        return None

    async def _complete(self, requests: Sequence[Request], key: str | None, put: Put) -> None:
        workers = min(self.concurrency, len(requests))
        servers = [
            Server(url, open_client(url, key, connections=self.concurrency, connect_timeout=self.connect_timeout))
            for url in self._urls
        ]
        pool = Servers(
            servers,
            patience=self.patience,
            first_wait=self.backoff,
            longest_wait=self.longest_backoff,
            connect_timeout=self.connect_timeout,
        )
        waiting = iter(requests)

        async def work() -> None:
            for request in waiting:
                try:
                    completion = await self._answer(pool, request, key)
                except InputError:
                    if pool.error is None:
                        raise
                    return  # the other workers wait for the replies to what they have sent
                await put(completion)

        async with pool, asyncio.TaskGroup() as group:
            for _ in range(workers):
                group.create_task(work())
        if pool.error is not None:
            raise pool.error

    async def _answer(self, pool: Servers, request: Request, key: str | None) -> Completion:
        started = time.monotonic()
        tries = limited = 0
        waited = 0.0
        while True:
            turn = await pool.take()
            try:
                completion = await self._ask(turn, request, key)
            except RequestError as raised:
                failure = raised
            else:
                pool.done(turn, None)
                return completion
            pool.done(turn, failure)
            if pool.error is not None:
                raise pool.error
            again = failure.again
            if failure.kind == "rate limit":
                limited += 1
                wait = wait_before(limited, failure.retry_after, self.backoff, self.longest_backoff)
                waited += wait
                again = again and waited <= self.rate_limit_wait
            else:
                tries += 1
                wait = wait_before(tries, failure.retry_after, self.backoff, self.longest_backoff)
                again = again and tries < self.attempts and wait <= self.rate_limit_wait
            if not again:
                seconds = time.monotonic() - started
                return Completion(request.request_id, finish_reason="error", error=str(failure), seconds=seconds)
            await pool.pause(wait, failure)

    async def _ask(self, turn: Turn, request: Request, key: str | None) -> Completion:
        sent = time.monotonic()

        async def ask(fields: dict[str, Any]) -> Reply:
            body = {**self._body(request), **fields}
            return await send(turn.server.client, self.endpoint, body, self.model, self.aliases)

        tag = None
        try:
            async with asyncio.timeout(self.timeout):
                if self._tagged is not None:
                    reply, tag = await self._tagged.ask(request, ask)
                else:
                    reply = await ask(self._prompt(request))
        except TimeoutError:
            raise RequestError("timeout", f"no whole reply within {self.timeout:g} s") from None
        except Exception as error:
            raise (error if isinstance(error, RequestError) else from_client(error)).hide(key) from None
        tokens_in, tokens_out = self._tokens(request, reply)
        return Completion(
            request.request_id,
            text=reply.text,
            reasoning=reply.reasoning,
            token_ids=reply.token_ids or (),
            tag=tag,
            tokens_in=tokens_in,
            tokens_out=tokens_out,
            finish_reason=reply.finish_reason,
            seconds=time.monotonic() - sent,
        )

    def _prompt(self, request: Request) -> dict[str, Any]:
        if self.endpoint == "completions":
            return {"prompt": request.prompt}
        return {"messages": [*self._messages_before, {"role": "user", "content": request.prompt}]}

    def _body(self, request: Request) -> dict[str, Any]:
        sampling = request.sampling
        drawn = {"temperature": sampling.temperature, "top_p": sampling.top_p, "seed": request.seed}
        return {
            "model": self.model,
            self.max_tokens_field: sampling.max_tokens,
            **{name: value for name, value in drawn.items() if name not in self.omit},
            **({"stream": True, "stream_options": {"include_usage": True}} if self.stream else {}),
            **({"return_token_ids": True} if self._tagged else {}),
            **self._more,
        }

    def _tokens(self, request: Request, reply: Reply) -> tuple[int, int]:
        """Return tokens in and out. If the server does not count them, words are counted; a cut text has the limit."""
        if reply.tokens_in is not None and reply.tokens_out is not None:
            return reply.tokens_in, reply.tokens_out
        if not self._uncounted:
            self._uncounted = True
            logger.warning("model %s: replies have no usage, so words are counted instead of tokens", self.model)
        words = len(reply.text.split()) + len(reply.reasoning.split())
        return len(request.prompt.split()), request.sampling.max_tokens if reply.finish_reason == "length" else words
