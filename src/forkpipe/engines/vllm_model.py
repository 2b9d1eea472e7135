"""A model that vLLM has loaded, with its tokenizer, tags and reasoning parser."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from forkpipe.core.errors import InputError
from forkpipe.core.forking import ForkingTags
from forkpipe.core.ids import derived_seed
from forkpipe.core.records import Request
from forkpipe.engines.vllm_loop import Loop, start_loop
from forkpipe.models.checkpoint import Checkpoint

MINIMUM = (0, 32)
"""The oldest version of vLLM that was tested."""


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A running vLLM with its tokenizer.

    Attributes:
        tags: the forking tags, None without forking.json.
        ends: token ids that end a text.
        window: requests to queue at a time, enough that vLLM never waits for the next.
    """

    loop: Loop
    tokenizer: Any
    tags: ForkingTags | None
    ends: frozenset[int]
    reader: "Reader"
    max_model_len: int
    window: int

    def sampling(self, request: Request) -> Any:
        """Return vLLM's sampling parameters of a completion, in which tags are banned."""
        more: dict[str, Any] = {}
        if self.tags is not None:
            more["logit_bias"] = dict.fromkeys(self.tags.banned_ids, float("-inf"))
        return self._sampling(request, request.seed, request.sampling.max_tokens, **more)

    def tag_sampling(self, request: Request) -> Any:
        """Return the sampling parameters of the tags' deciding token; its seed differs from the seed of the text."""
        assert self.tags is not None
        allowed = list(self.tags.deciding_ids)
        return self._sampling(request, derived_seed("tag", request.seed), 1, allowed_token_ids=allowed)

    def _sampling(self, request: Request, seed: int, max_tokens: int, **more: Any) -> Any:
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        return SamplingParams(
            temperature=request.sampling.temperature,
            top_p=request.sampling.top_p,
            max_tokens=max_tokens,
            seed=seed,
            stop_token_ids=sorted(self.ends),
            detokenize=False,
            output_kind=RequestOutputKind.FINAL_ONLY,
            **more,
        )


def load_model(
    arguments: Mapping[str, Any], data_parallel: int, parser: str | None, tags_given: str | None = None
) -> LoadedModel:
    """Start vLLM.

    Args:
        arguments: fields of vLLM's EngineArgs: model and revision, tokenizer if it is not the model's own, and others.
        tags_given: see `Checkpoint`.

    Raises:
        InputError: vLLM is missing or too old, or the checkpoint or the parser does not fit.
    """
    check_vllm()
    checkpoint = Checkpoint(arguments["model"], arguments["revision"], arguments.get("tokenizer"), tags_given)
    tags = checkpoint.tags if checkpoint.has_tags else None
    reader = Reader(checkpoint.tokenizer, parser)
    if tags is not None:
        _ = tags.deciding_position  # InputError before vLLM starts where tags differ at several tokens
    # "vllm": ignore the model's generation_config.json, whose penalties and temperature are not part of requests.
    fixed: dict[str, Any] = {
        "seed": 0,
        "trust_remote_code": False,
        "generation_config": "vllm",
        "disable_log_stats": True,
    }
    from vllm.platforms import current_platform

    if current_platform.is_cpu() and "enable_chunked_prefill" not in arguments:
        # On CPUs vLLM 0.32 dies when it splits the prompt of a request that has a seed ("does not use offset").
        fixed["enable_chunked_prefill"] = False
    loop = start_loop({**arguments, **fixed}, data_parallel)
    return LoadedModel(
        loop,
        checkpoint.tokenizer,
        tags,
        checkpoint.stop_ids,
        reader,
        max_model_len=loop.config.model_config.max_model_len,
        window=2 * loop.config.scheduler_config.max_num_seqs * data_parallel,
    )


class Reader:
    """Decodes token ids to (reasoning, text), with one of vLLM's reasoning parsers if one is named."""

    def __init__(self, tokenizer: Any, parser: str | None) -> None:
        self._tokenizer = tokenizer
        self._parser: Any = None
        self._skip_special = True
        if parser is None:
            return
        from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionRequest
        from vllm.reasoning import ReasoningParserManager

        try:
            self._parser = ReasoningParserManager.get_reasoning_parser(parser)(tokenizer)
            asked = ChatCompletionRequest(model="", messages=[{"role": "user", "content": ""}])
            self._asked = self._parser.adjust_request(asked)
            self._skip_special = self._asked.skip_special_tokens
            # Some parsers work in vLLM's server only; they raise here.
            self._parser.extract_reasoning("", self._asked)
        except (KeyError, RuntimeError, ValueError) as error:
            reason = " ".join(str(error.args[0] if error.args else type(error).__name__).split())
            raise InputError(f"reasoning_parser '{parser}' does not suit the model: {reason}") from None

    def read(self, ids: list[int]) -> tuple[str, str]:
        """Return (reasoning, text); a completion that is cut within its reasoning has no text."""
        text: str = self._tokenizer.decode(ids, skip_special_tokens=self._skip_special)
        if self._parser is None:
            return "", text
        reasoning, answer = self._parser.extract_reasoning(text, self._asked)
        return reasoning or "", answer or ""


def check_vllm() -> None:
    """Raise InputError if vLLM is missing or too old."""
    try:
        import vllm
    except ImportError as error:
        raise InputError(f"engine 'vllm' needs the package vllm ({error}): pip install 'forkpipe[vllm]'") from None
    version = str(vllm.__version__)
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    # A build from a working tree calls itself "dev".
    if numbers and numbers < MINIMUM:
        wanted = ".".join(map(str, MINIMUM))
        raise InputError(f"engine 'vllm' needs vllm {wanted} or newer, found {version}: pip install 'forkpipe[vllm]'")
