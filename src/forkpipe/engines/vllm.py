"""Runs vLLM in this process: one request per sample, each yielded when it has finished.

vLLM takes prompts and returns completions as token ids; this module encodes and decodes. So a forking tag has the ids
that forking.json lists, and ids become the same text as in the engine `transformers`.

A tag that the model chooses takes two requests: one draws the deciding token among the tags, the other completes the
prompt with that tag, which vLLM has in its prefix cache. A router draws its tags before vLLM starts. In the text after
the tag, tags are banned by a logit bias of minus infinity. That is exact, and a single addition for the whole batch,
unlike lists of bad words.
"""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from forkpipe.core.errors import InputError
from forkpipe.core.forking import parse_tags
from forkpipe.core.progress import logger
from forkpipe.core.records import REFUSED, Completion, Request
from forkpipe.core.rows import FinishReason
from forkpipe.engines.routed import with_routers_tags
from forkpipe.engines.vllm_loop import Finished, refusals
from forkpipe.engines.vllm_model import LoadedModel, load_model
from forkpipe.models.checkpoint import Checkpoint, chat_template

RESERVED = (
    *("model", "revision", "tokenizer", "dtype", "tensor_parallel_size", "data_parallel_size", "max_model_len"),
    *("enable_prefix_caching", "gpu_memory_utilization", "max_num_seqs", "enforce_eager", "reasoning_parser"),
    *("seed", "trust_remote_code", "generation_config", "override_generation_config", "disable_log_stats"),
)
"""Arguments of vLLM's engine that are options of VLLMEngine, or that always have the same value."""


class VLLMEngine:
    """Completes requests with a causal language model in vLLM.

    Args:
        model: checkpoint folder or hub name; forking tags need a folder with forking.json.
        revision: revision on the hub.
        tokenizer: folder or hub name of the tokenizer, if it is not the model's own.
        dtype: of weights and activations: auto (as in the checkpoint), float32, bfloat16, float16.
        tensor_parallel: GPUs over which the model is split.
        data_parallel: copies of the model, each on `tensor_parallel` GPUs.
        prefix_caching: whether samples of one prompt share its key-value cache.
        max_model_len: longest sequence, prompt included; null takes the model's own limit. Not part of a request's id:
            a text that was cut at this limit is kept until the teacher's `revision` changes.
        gpu_memory_utilization: share of a GPU's memory that vLLM takes; null takes vLLM's default.
        max_num_seqs: sequences at a time; null takes vLLM's default.
        enforce_eager: run without compilation and CUDA graphs, which starts faster and runs slower.
        chat: whether prompts are user messages for the model's chat template.
        system: with `chat`, the system message.
        template_options: with `chat`, arguments of the template, such as enable_thinking. `chat_template` names one of
            the tokenizer's templates, or is the text of another one.
        reasoning_parser: name of the vLLM parser that separates reasoning from the text, such as deepseek_r1.
        engine_args: further arguments of vLLM's engine, such as quantization; part of every request's id.
        tags: tags of a model without forking.json, such as "text:6", or "none" to ban none of those that it has.
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
        tags: str | None = None,
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
                raise InputError(f"engine_args has '{name}', expected arguments that are not options of this engine")
        if tags is not None:
            parse_tags(tags)
        self._tags = tags
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
        self._checked = False
        """Whether the chat template is known to be there."""

    @property
    def identity(self) -> str:
        """The model, how it is loaded, and how prompts and texts are read, but no batch or cache sizes."""
        read = {"chat": self._chat, "system": self._system, "template": self._template_options, "parser": self._parser}
        read |= {} if self._tags is None else {"tags": self._tags}
        return f"vllm {json.dumps({**self._changing, **read}, sort_keys=True, default=str)}"

    def generate(self, requests: Sequence[Request]) -> Iterator[Completion]:
        """Yield completions as they finish; further requests are added, in order, while others run."""
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
                    encoded = self._encoded(model, request)
                    if error := _add(model, encoded):
                        yield _failed(encoded, error)
                    else:
                        running[request.request_id] = encoded
                if not running:
                    return
                for finished in model.loop.step():
                    ended = running.pop(finished.key)
                    if ended.request.own_tag and not finished.error:
                        tagged = _with_tag(model, ended, finished.token_ids[0])
                        if error := _add(model, tagged):
                            yield _failed(tagged, error)
                        else:
                            running[finished.key] = tagged
                    else:
                        yield _completion(model, ended, finished)
        finally:
            if running:
                model.loop.abort(list(running))

    def samples_held(self, problem: str) -> int | None:
        """Any number of samples; InputError if it is open which chat template is meant, before a run begins."""
        if self._chat and not self._checked:
            self._check_template(when_readable=True)
        return None

    def close(self) -> None:
        """Stop vLLM and free its memory; the next `generate` starts it again."""
        if self._model is not None:
            model, self._model = self._model, None
            model.loop.close()

    def _routed(self, requests: Sequence[Request]) -> Sequence[Request]:
        """Let the router draw tags, if there is one; vLLM is stopped first, because both need the GPU's memory."""
        folder = self._arguments["model"]
        if not Checkpoint(folder, tags_given=self._tags).has_router or not any(request.own_tag for request in requests):
            return requests
        if self._chat:
            raise InputError(f"{folder} has a router, which takes prompts without chat template: expected chat: false")
        self.close()
        return with_routers_tags(folder, requests)

    def _load(self) -> LoadedModel:
        if self._model is None:
            logger.info("starting vLLM with %s, which can take minutes", self._arguments["model"])
            started = time.perf_counter()
            if self._chat:
                self._check_template()
            given = {name: value for name, value in self._arguments.items() if value is not None}
            self._model = load_model(given, self._data_parallel, self._parser, self._tags)
            logger.info("vLLM started in %.0f s", time.perf_counter() - started)
        return self._model

    def _check_template(self, when_readable: bool = False) -> None:
        """Raise InputError if there is no chat template, or several of which none is chosen.

        With `when_readable`, a tokenizer that cannot be loaded is no error yet: nothing may be left to ask.
        """
        try:
            tokenizer = Checkpoint(*(self._changing[name] for name in ("model", "revision", "tokenizer"))).tokenizer
        except (OSError, ValueError):
            if when_readable:
                return
            raise
        remedy = "choose it by options.template_options.chat_template (its name, or a text), or set options.chat: false"
        chat_template(tokenizer, self._template_options.get("chat_template"), remedy)
        self._checked = True

    def _encoded(self, model: LoadedModel, request: Request) -> "_Running":
        started = time.perf_counter()
        prompt = request.prompt
        if self._chat:
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
    """Token ids, including the tag if it is forced or drawn."""
    tag: int | None
    started: float


def _add(model: LoadedModel, running: _Running) -> str:
    """Add the request to vLLM's queue, or first the request that draws its tag; return "" or what is wrong with it."""
    request, prompt = running.request, running.prompt
    room = model.max_model_len - len(prompt) - (model.tags.length if model.tags and request.own_tag else 0)
    if room < 1:
        return f"{REFUSED}: {len(prompt)} tokens leave no room in a context of {model.max_model_len}"
    try:
        params = model.tag_sampling(request) if request.own_tag else model.sampling(request)
    except refusals() as error:
        return f"{REFUSED}: {' '.join(str(error).split())}"
    if model.tags is not None and request.own_tag:
        model.loop.add(request.request_id, [*prompt, *model.tags.opening], params)
    else:
        model.loop.add(request.request_id, prompt, params)
    return ""


def _with_tag(model: LoadedModel, running: _Running, drawn: int) -> _Running:
    """Return the request with the tag whose deciding token was drawn."""
    assert model.tags is not None
    tag = model.tags.deciding_ids.index(drawn)
    prompt = [*running.prompt, *model.tags.token_ids[tag]]
    return replace(running, request=replace(running.request, own_tag=False), prompt=prompt, tag=tag)


def _failed(running: _Running, error: str) -> Completion:
    seconds = time.perf_counter() - running.started
    return Completion(running.request.request_id, finish_reason="error", error=error, seconds=seconds)


def _completion(model: LoadedModel, running: _Running, finished: Finished) -> Completion:
    if finished.reason not in ("stop", "length"):
        if finished.error:
            return _failed(running, f"{REFUSED}: {finished.error}")
        return _failed(running, f"engine: vLLM ended the request with '{finished.reason}'")
    ids = finished.token_ids
    end = next((position for position, token in enumerate(ids) if token in model.ends), len(ids))
    reason: FinishReason = "stop" if finished.reason == "stop" else "length"
    reasoning, text = model.reader.read(ids[:end])
    return Completion(
        running.request.request_id,
        text=text,
        reasoning=reasoning,
        token_ids=tuple(ids[:end]),
        tag=running.tag,
        tokens_in=len(running.prompt),
        tokens_out=end,
        finish_reason=reason,
        seconds=time.perf_counter() - running.started,
        end_id=ids[end] if end < len(ids) else None,
    )
