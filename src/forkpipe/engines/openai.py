"""Any server that speaks the OpenAI protocol: vLLM, SGLang, llama.cpp, hosted APIs; one or many of one model.

An event loop in its own thread sends requests through the openai client, a bounded number at a time. The client's own
retries are off: this module decides what is tried again, where and when.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any, Literal

from forkpipe.core.errors import InputError
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
OWN_FIELDS |= {"max_tokens", "max_completion_tokens"}


class OpenAIEngine:
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
        checkpoint: folder of the forkpipe checkpoint that the servers run, for requests with forking tags; needs
            endpoint "completions" and vLLM.
    """

    version = "1"
    at_servers = True

    def __init__(
        self,
        *,
        model: str,
        base_url: str | Sequence[str],
        endpoint: Endpoint = "chat",
        system: str | None = None,
        concurrency: int = 64,
        stream: bool = False,
        timeout: float = 1800.0,
        connect_timeout: float = 30.0,
        attempts: int = 6,
        backoff: float = 1.0,
        longest_backoff: float = 60.0,
        rate_limit_wait: float = 1800.0,
        patience: float = 300.0,
        aliases: Sequence[str] = (),
        max_tokens_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens",
        omit: Sequence[Literal["temperature", "top_p", "seed"]] = (),
        extra_body: dict[str, Any] | None = None,
        api_key_env: str | None = None,
        credentials: str | None = None,
        checkpoint: str | None = None,
    ) -> None:
        self._urls = [base_url] if isinstance(base_url, str) else list(base_url)
        check_urls(self._urls)
        if not isinstance(model, str) or not model:
            raise InputError(f"model is {model!r}, expected the model's name at the server")
        check_choice("endpoint", endpoint, PATHS)
        check_choice("max_tokens_field", max_tokens_field, ("max_tokens", "max_completion_tokens"))
        for field in omit:
            check_choice("omit", field, ("temperature", "top_p", "seed"))
        check_count("concurrency", concurrency)
        check_count("attempts", attempts)
        check_seconds(
            timeout=timeout,
            connect_timeout=connect_timeout,
            backoff=backoff,
            longest_backoff=longest_backoff,
            rate_limit_wait=rate_limit_wait,
            patience=patience,
        )
        if isinstance(aliases, str):
            raise InputError(f"aliases is '{aliases}', expected a list of names")
        if api_key_env and credentials:
            raise InputError("api_key_env and credentials are both given, expected one of them")
        if system is not None and endpoint != "chat":
            raise InputError(f"system is given and endpoint '{endpoint}', which has no messages: expected 'chat'")
        if checkpoint and endpoint != "completions":
            raise InputError(f"checkpoint is given and endpoint '{endpoint}': tags need endpoint 'completions'")
        for name in sorted(OWN_FIELDS & set(extra_body or {})):
            raise InputError(f"extra_body has '{name}', which other options of the engine set")
        changes_text = [system, extra_body or {}, sorted(set(omit) - {"seed"})]
        self.identity = f"openai {model} {endpoint}"
        if any(changes_text) or checkpoint:
            self.identity += f" {content_hash(*changes_text, checkpoint)}"
        self._model = model
        self._endpoint = endpoint
        self._messages_before = [] if system is None else [{"role": "system", "content": system}]
        self._concurrency = concurrency
        self._stream = stream
        self._timeout = timeout
        self._connect_timeout = connect_timeout
        self._attempts = attempts
        self._backoff = backoff
        self._longest_backoff = longest_backoff
        self._rate_limit_wait = rate_limit_wait
        self._patience = patience
        self._aliases = tuple(aliases)
        self._max_tokens_field = max_tokens_field
        self._omit = frozenset(omit)
        self._extra_body = dict(extra_body or {})
        self._key_from = (api_key_env, credentials)
        self._tagged = TaggedPrompts(checkpoint) if checkpoint else None
        self._uncounted = False

    def generate(self, requests: Sequence[Request]) -> Iterator[Completion]:
        """Yield completions as they come; closing the iterator cancels what is in flight."""
        if any(request.prefix_ids or request.own_tag for request in requests):
            if self._tagged is None:
                raise InputError("requests have forking tags, which needs endpoint 'completions' and checkpoint")
            requests = self._tagged.prepared(requests)
        key = find_key(*self._key_from)
        if requests:

            async def complete(put: Put) -> None:
                await self._complete(requests, key, put)

            yield from iterate(complete, room=self._concurrency)

    def samples_held(self, problem: str) -> int | None:
        """Any number of samples; InputError if the API key is missing, so that a run ends before it begins."""
        find_key(*self._key_from)
        return None

    def close(self) -> None:
        """Do nothing: connections are closed when `generate` ends."""

    async def _complete(self, requests: Sequence[Request], key: str | None, put: Put) -> None:
        workers = min(self._concurrency, len(requests))
        servers = [
            Server(url, open_client(url, key, connections=self._concurrency, connect_timeout=self._connect_timeout))
            for url in self._urls
        ]
        pool = Servers(
            servers,
            patience=self._patience,
            first_wait=self._backoff,
            longest_wait=self._longest_backoff,
            connect_timeout=self._connect_timeout,
        )
        waiting = iter(requests)

        async def work() -> None:
            for request in waiting:
                await put(await self._answer(pool, request, key))

        async with pool, asyncio.TaskGroup() as group:
            for _ in range(workers):
                group.create_task(work())

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
            served = turn.server.succeeded
            if failure.misconfigured and (failure.kind == "rate limit" or not served):
                raise InputError(f"server {turn.server.url} refuses all requests: {failure}")
            again = failure.again or (failure.misconfigured and served)
            if failure.kind == "rate limit":
                limited += 1
                wait = wait_before(limited, failure.retry_after, self._backoff, self._longest_backoff)
                waited += wait
                again = again and waited <= self._rate_limit_wait
            else:
                tries += 1
                wait = wait_before(tries, failure.retry_after, self._backoff, self._longest_backoff)
                again = again and tries < self._attempts and wait <= self._rate_limit_wait
            if not again:
                seconds = time.monotonic() - started
                return Completion(request.request_id, finish_reason="error", error=str(failure), seconds=seconds)
            await asyncio.sleep(wait)

    async def _ask(self, turn: Turn, request: Request, key: str | None) -> Completion:
        sent = time.monotonic()

        async def ask(fields: dict[str, Any]) -> Reply:
            body = {**self._body(request), **fields}
            return await send(turn.server.client, self._endpoint, body, self._model, self._aliases)

        tag = None
        try:
            async with asyncio.timeout(self._timeout):
                if self._tagged is not None:
                    reply, tag = await self._tagged.ask(request, ask)
                else:
                    reply = await ask(self._prompt(request))
        except TimeoutError:
            raise RequestError("timeout", f"no whole reply within {self._timeout:g} s") from None
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
        if self._endpoint == "completions":
            return {"prompt": request.prompt}
        return {"messages": [*self._messages_before, {"role": "user", "content": request.prompt}]}

    def _body(self, request: Request) -> dict[str, Any]:
        sampling = request.sampling
        drawn = {"temperature": sampling.temperature, "top_p": sampling.top_p, "seed": request.seed}
        return {
            "model": self._model,
            self._max_tokens_field: sampling.max_tokens,
            **{name: value for name, value in drawn.items() if name not in self._omit},
            **({"stream": True, "stream_options": {"include_usage": True}} if self._stream else {}),
            **({"return_token_ids": True} if self._tagged else {}),
            **self._extra_body,
        }

    def _tokens(self, request: Request, reply: Reply) -> tuple[int, int]:
        """Return tokens in and out. If the server does not count them, words are counted; a cut text has the limit."""
        if reply.tokens_in is not None and reply.tokens_out is not None:
            return reply.tokens_in, reply.tokens_out
        if not self._uncounted:
            self._uncounted = True
            logger.warning("model %s: replies have no usage, so words are counted instead of tokens", self._model)
        words = len(reply.text.split()) + len(reply.reasoning.split())
        return len(request.prompt.split()), request.sampling.max_tokens if reply.finish_reason == "length" else words
