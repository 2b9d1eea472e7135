"""A teacher that vLLM runs in this project: one request a sample, each yielded when it has finished.

Prompts go in as token ids and texts are decoded here, so that a forking tag is what forking.json says and a text is
what the transformers engine would give for the same ids.

A tag that the model writes itself is a request of one token among the tags, then the completion behind that tag, whose
prompt vLLM has in its prefix cache. A router (an adapter beside the model) draws its tags before vLLM starts. Behind
its place a tag is banned by a logit bias of minus infinity: exact, and one addition for a whole batch, which lists of
bad words are not.
"""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from forkpipe.core.errors import InputError
from forkpipe.core.progress import logger
from forkpipe.core.records import Completion, Request
from forkpipe.core.rows import FinishReason
from forkpipe.engines.routed import with_routers_tags
from forkpipe.engines.vllm_loop import Finished, refusals
from forkpipe.engines.vllm_model import LoadedModel, load_model
from forkpipe.models.checkpoint import Checkpoint

RESERVED = (
    *("model", "revision", "tokenizer", "dtype", "tensor_parallel_size", "data_parallel_size", "max_model_len"),
    *("enable_prefix_caching", "gpu_memory_utilization", "max_num_seqs", "enforce_eager", "reasoning_parser"),
    *("seed", "trust_remote_code", "generation_config", "override_generation_config", "disable_log_stats"),
)
"""Arguments of vLLM's engine that are options here, or have one value for good."""


class VLLMEngine:
    """Completes requests with a causal language model in vLLM.

    Args:
        model: checkpoint folder or hub name; forking tags are known where the folder holds forking.json.
        revision: revision on the hub.
        tokenizer: folder or hub name, where it is not that of the model.
        dtype: of weights and activations: auto (that of the checkpoint), float32, bfloat16, float16.
        tensor_parallel: GPUs over which the model is split.
        data_parallel: copies of the model, each on `tensor_parallel` GPUs.
        prefix_caching: whether samples of one prompt share its key-value cache.
        max_model_len: longest sequence, prompt included; the model's own where null. No part of a request's id: a
            text that it cut stays as it is until the teacher's `revision` changes.
        gpu_memory_utilization: share of a GPU's memory that vLLM takes; vLLM's default where null.
        max_num_seqs: most sequences at a time; vLLM's default where null.
        enforce_eager: no compilation and no CUDA graphs: a faster start and a slower run.
        chat: whether prompts are user messages for the model's chat template.
        system: with `chat`, the system message.
        template_options: with `chat`, arguments of the template, such as enable_thinking.
        reasoning_parser: vLLM's name of the parser that keeps reasoning apart from the text, such as deepseek_r1.
        engine_args: more arguments of vLLM's engine, such as quantization; part of every request's id.
    """

    version = "1"

    def __init__(
        self,
        *,
        model: str,
        revision: str = "main",
        tokenizer: str | None = None,
        dtype: str = "auto",
        tensor_parallel: int = 1,
        data_parallel: int = 1,
        prefix_caching: bool = True,
        max_model_len: int | None = None,
        gpu_memory_utilization: float | None = None,
        max_num_seqs: int | None = None,
        enforce_eager: bool = False,
        chat: bool = False,
        system: str = "",
        template_options: Mapping[str, Any] | None = None,
        reasoning_parser: str | None = None,
        engine_args: Mapping[str, Any] | None = None,
    ) -> None:
        counts = {
            "tensor_parallel": tensor_parallel,
            "data_parallel": data_parallel,
            "max_model_len": max_model_len,
            "max_num_seqs": max_num_seqs,
        }
        for name, value in counts.items():
            if value is not None and value < 1:
                raise InputError(f"{name} is {value}, expected at least 1")
        if gpu_memory_utilization is not None and not 0 < gpu_memory_utilization <= 1:
            raise InputError(f"gpu_memory_utilization is {gpu_memory_utilization}, expected above 0 and at most 1")
        if not chat and (system or template_options):
            raise InputError("system and template_options need chat: true, without it prompts are sent as they are")
        more = dict(engine_args or {})
        for name in more:
            if name in RESERVED:
                raise InputError(f"engine_args has '{name}', expected arguments that are no option of this engine")
        self._data_parallel = data_parallel
        self._chat = chat
        self._system = system
        self._template_options = dict(template_options or {})
        self._parser = reasoning_parser
        self._changing = {"model": model, "revision": revision, "tokenizer": tokenizer, "dtype": dtype, **more}
        self._arguments = {
            **self._changing,
            "tensor_parallel_size": tensor_parallel,
            "enable_prefix_caching": prefix_caching,
            "max_model_len": max_model_len,
            "gpu_memory_utilization": gpu_memory_utilization,
            "max_num_seqs": max_num_seqs,
            "enforce_eager": enforce_eager,
        }
        self._model: LoadedModel | None = None

    @property
    def identity(self) -> str:
        """The model, how it is loaded, and how prompts and texts are read; no sizes of batches or caches."""
        read = {"chat": self._chat, "system": self._system, "template": self._template_options, "parser": self._parser}
        return f"vllm {json.dumps({**self._changing, **read}, sort_keys=True, default=str)}"

    def generate(self, requests: Sequence[Request]) -> Iterator[Completion]:
        """Yield completions as they finish; requests are handed in, in order, while others run."""
        if not requests:
            return
        requests = self._routed(requests)
        model = self._load()
        if model.tags is None and any(request.own_tag for request in requests):
            raise InputError(
                f"model {self._arguments['model']} has no forking.json, expected a checkpoint with forking tags"
            )
        coming = iter(requests)
        running: dict[str, _Running] = {}
        try:
            while True:
                while len(running) < model.window and (request := next(coming, None)) is not None:
                    one = self._encoded(model, request)
                    if error := _hand_in(model, one):
                        yield _failed(one, error)
                    else:
                        running[request.request_id] = one
                if not running:
                    return
                for finished in model.loop.step():
                    one = running.pop(finished.key)
                    if one.request.own_tag and not finished.error:
                        one = _behind_tag(model, one, finished.token_ids[0])
                        if error := _hand_in(model, one):
                            yield _failed(one, error)
                        else:
                            running[finished.key] = one
                    else:
                        yield _completion(model, one, finished)
        finally:
            if running:
                model.loop.abort(list(running))

    def samples_held(self, problem: str) -> int | None:
        """Any number of samples."""
        return None

    def close(self) -> None:
        """End vLLM and free its memory; the next `generate` starts it again."""
        if self._model is not None:
            model, self._model = self._model, None
            model.loop.close()

    def _routed(self, requests: Sequence[Request]) -> Sequence[Request]:
        """Have a router draw its tags: before vLLM takes the memory, which is given back where vLLM runs already."""
        folder = self._arguments["model"]
        if not Checkpoint(folder).has_router or not any(request.own_tag for request in requests):
            return requests
        if self._chat:
            raise InputError(f"{folder} has a router, which reads prompts as they are: expected chat: false")
        self.close()
        return with_routers_tags(folder, requests)

    def _load(self) -> LoadedModel:
        if self._model is None:
            logger.info("vLLM starts with %s, which can take minutes", self._arguments["model"])
            started = time.perf_counter()
            given = {name: value for name, value in self._arguments.items() if value is not None}
            self._model = load_model(given, self._data_parallel, self._parser)
            logger.info("vLLM started in %.0f s", time.perf_counter() - started)
        return self._model

    def _encoded(self, model: LoadedModel, request: Request) -> "_Running":
        started = time.perf_counter()
        prompt = request.prompt
        if self._chat:
            if model.tokenizer.chat_template is None:
                raise InputError(f"model {self._arguments['model']} has no chat template, expected one, or chat: false")
            messages = [{"role": "system", "content": self._system}] if self._system else []
            prompt = model.tokenizer.apply_chat_template(
                [*messages, {"role": "user", "content": prompt}],
                tokenize=False,
                add_generation_prompt=True,
                **self._template_options,
            )
        ids = [*model.tokenizer(prompt, add_special_tokens=False)["input_ids"], *request.prefix_ids]
        forced = model.tags is not None and request.prefix_ids
        tag = model.tags.index_of(request.prefix_ids) if model.tags is not None and forced else None
        return _Running(request, ids, tag, started)


@dataclass(frozen=True, slots=True)
class _Running:
    """A request that vLLM works on."""

    request: Request
    prompt: list[int]
    """Token ids, a forced tag included."""
    tag: int | None
    started: float


def _hand_in(model: LoadedModel, one: _Running) -> str:
    """Give vLLM the request, or the question for its tag; returns "" or what is wrong with it."""
    request = one.request
    room = model.max_model_len - len(one.prompt) - (model.tags.length if model.tags and request.own_tag else 0)
    if room < 1:
        return f"prompt: {len(one.prompt)} tokens leave no room in a context of {model.max_model_len}"
    try:
        params = model.tag_sampling(request) if request.own_tag else model.sampling(request)
    except refusals() as error:
        return f"request: {' '.join(str(error).split())}"
    if model.tags is not None and request.own_tag:
        model.loop.add(request.request_id, [*one.prompt, *model.tags.opening], params)
    else:
        model.loop.add(request.request_id, one.prompt, params)
    return ""


def _behind_tag(model: LoadedModel, one: _Running, drawn: int) -> _Running:
    """Return the request behind the tag of which the deciding token was drawn."""
    assert model.tags is not None
    tag = model.tags.deciding_ids.index(drawn)
    prompt = [*one.prompt, *model.tags.token_ids[tag]]
    return replace(one, request=replace(one.request, own_tag=False), prompt=prompt, tag=tag)


def _failed(one: _Running, error: str) -> Completion:
    seconds = time.perf_counter() - one.started
    return Completion(one.request.request_id, finish_reason="error", error=error, seconds=seconds)


def _completion(model: LoadedModel, one: _Running, finished: Finished) -> Completion:
    if finished.reason not in ("stop", "length"):
        said = finished.error and f"request: {finished.error}"
        return _failed(one, said or f"engine: vLLM ended the request with '{finished.reason}'")
    ids = finished.token_ids
    end = next((position for position, token in enumerate(ids) if token in model.ends), len(ids))
    reason: FinishReason = "stop" if finished.reason == "stop" else "length"
    reasoning, text = model.reader.read(ids[:end])
    return Completion(
        one.request.request_id,
        text=text,
        reasoning=reasoning,
        token_ids=tuple(ids[:end]),
        tag=one.tag,
        tokens_in=len(one.prompt),
        tokens_out=end,
        finish_reason=reason,
        seconds=time.perf_counter() - one.started,
        end_id=ids[end] if end < len(ids) else None,
    )
