"""The four calls that forkpipe needs of vLLM: add a request, wait for finished ones, abort, close.

A single engine is stepped in the caller's thread. Replicas (data parallel) are processes with vLLM's asynchronous
client, whose event loop runs in its own thread.
"""

import asyncio
import gc
import queue
import threading
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from forkpipe.core.errors import one_line


class Finished(NamedTuple):
    """The result of a request: token ids and vLLM's finish reason, or what was wrong with the request."""

    key: str
    token_ids: list[int]
    reason: str
    error: str = ""


class Loop(Protocol):
    """A running vLLM."""

    config: Any
    """vLLM's VllmConfig."""

    def add(self, key: str, token_ids: Sequence[int], params: Any) -> None:
        """Add a prompt to the queue; if vLLM refuses it, `step` returns it with an error."""
        ...

    def step(self) -> list[Finished]:
        """Work or wait for a while and return what has finished, which may be nothing."""
        ...

    def abort(self, keys: Sequence[str]) -> None:
        """Cancel running requests."""
        ...

    def close(self) -> None:
        """Stop vLLM's processes and free its memory."""
        ...


def start_loop(arguments: Mapping[str, Any], data_parallel: int) -> Loop:
    """Start vLLM."""
    return OneEngine(arguments) if data_parallel == 1 else Replicas(arguments, data_parallel)


class OneEngine:
    """vLLM's LLMEngine: in a process of its own unless VLLM_ENABLE_V1_MULTIPROCESSING is 0."""

    def __init__(self, arguments: Mapping[str, Any]) -> None:
        from vllm import EngineArgs
        from vllm.v1.engine.llm_engine import LLMEngine

        self._engine: Any = LLMEngine.from_engine_args(EngineArgs(**arguments))
        self._refused: list[Finished] = []
        self.config = self._engine.vllm_config

    def add(self, key: str, token_ids: Sequence[int], params: Any) -> None:
        """See `Loop`."""
        from vllm.inputs import tokens_input

        try:
            self._engine.add_request(key, tokens_input(list(token_ids)), params)
        except refusals() as error:
            self._refused.append(Finished(key, [], "error", one_line(error)))

    def step(self) -> list[Finished]:
        """See `Loop`."""
        refused, self._refused = self._refused, []
        return refused or [_finished(output) for output in self._engine.step() if output.finished]

    def abort(self, keys: Sequence[str]) -> None:
        """See `Loop`."""
        self._engine.abort_request(list(keys))

    def close(self) -> None:
        """See `Loop`."""
        from vllm.distributed.parallel_state import cleanup_dist_env_and_memory

        engine, self._engine, self.config = self._engine, None, None
        engine.engine_core.shutdown(timeout=30)  # enough to exit by itself and leave nothing in shared memory
        engine.renderer.shutdown()
        own_process = not hasattr(engine, "model_executor")
        del engine
        if not own_process:
            cleanup_dist_env_and_memory()
            gc.collect()
            _trim()


class Replicas:
    """vLLM's AsyncLLM over several copies of the model, each in its own process; vLLM gives each request to one."""

    def __init__(self, arguments: Mapping[str, Any], data_parallel: int) -> None:
        from vllm.engine.arg_utils import AsyncEngineArgs
        from vllm.v1.engine.async_llm import AsyncLLM

        self._events = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._events.run_forever, name="vllm", daemon=True)
        self._thread.start()
        self._done: queue.Queue[Finished | BaseException] = queue.Queue()
        self._tasks: dict[str, Any] = {}

        async def start() -> Any:
            # AsyncLLM's output handler belongs to the event loop in which it is created.
            return AsyncLLM.from_engine_args(AsyncEngineArgs(**arguments, data_parallel_size=data_parallel))

        try:
            self._engine = asyncio.run_coroutine_threadsafe(start(), self._events).result()
        except BaseException:
            self._stop()
            raise
        self.config = self._engine.vllm_config

    def add(self, key: str, token_ids: Sequence[int], params: Any) -> None:
        """See `Loop`."""
        self._tasks[key] = asyncio.run_coroutine_threadsafe(self._complete(key, list(token_ids), params), self._events)

    async def _complete(self, key: str, token_ids: list[int], params: Any) -> None:
        from vllm.inputs import tokens_input

        try:
            async for output in self._engine.generate(tokens_input(token_ids), params, key):
                if output.finished:
                    self._done.put(_finished(output))
        except refusals() as error:
            self._done.put(Finished(key, [], "error", one_line(error)))
        except Exception as error:
            self._done.put(error)  # the engine as a whole has failed: `step` raises it

    def step(self) -> list[Finished]:
        """See `Loop`."""
        done = [self._done.get()]
        while not self._done.empty():
            done.append(self._done.get())
        results = []
        for result in done:
            if isinstance(result, BaseException):
                raise result
            self._tasks.pop(result.key, None)
            results.append(result)
        return results

    def abort(self, keys: Sequence[str]) -> None:
        """See `Loop`."""
        for key in keys:
            if task := self._tasks.pop(key, None):
                task.cancel()

    def close(self) -> None:
        """See `Loop`."""
        self.abort(list(self._tasks))
        engine, self._engine, self.config = self._engine, None, None
        engine.shutdown(timeout=30)
        del engine
        self._stop()
        gc.collect()

    def _stop(self) -> None:
        self._events.call_soon_threadsafe(self._events.stop)
        self._thread.join()
        self._events.close()


def _trim() -> None:
    """Return freed memory to the system: the C library would keep the many pieces that weights on a CPU take."""
    import ctypes

    try:
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    except (OSError, AttributeError):  # another C library
        return


def refusals() -> tuple[type[Exception], ...]:
    """Return the exceptions that vLLM raises when it refuses a request."""
    from vllm.exceptions import VLLMValidationError

    return (VLLMValidationError, ValueError)


def _finished(output: Any) -> Finished:
    (sample,) = output.outputs
    return Finished(output.request_id, list(sample.token_ids), sample.finish_reason or "none")
