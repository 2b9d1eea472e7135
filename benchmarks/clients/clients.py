"""One client's time for N requests: `python clients.py CLIENT URL N CONCURRENCY`, in an environment that has it.

Prints the seconds from the call that a user of the client makes to its last answer, imports and start-up excluded, and
fails if an answer is missing. Prompts, sampling and the number of requests in flight are the same for all.
"""

import asyncio
import importlib.util
import logging
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

SAMPLING = {"temperature": 1.0, "top_p": 1.0, "max_tokens": 100}


def bare(url: str, n: int, concurrency: int, fast: bool = False) -> Callable[[], int]:
    """The openai client in a loop of workers; `fast` gives it the aiohttp transport, which is not its default."""
    import httpx2
    from openai import AsyncOpenAI, DefaultAioHttpClient

    async def main() -> int:
        limits = httpx2.Limits(max_connections=concurrency)
        transport = {"http_client": DefaultAioHttpClient(limits=limits)} if fast else {}
        client = AsyncOpenAI(base_url=url, api_key="none", max_retries=0, timeout=600, **transport)
        waiting = iter(range(n))
        answers = []

        async def work() -> None:
            for i in waiting:
                messages = [{"role": "user", "content": f"question {i}"}]
                reply = await client.chat.completions.create(model="m", messages=messages, seed=i, **SAMPLING)
                answers.append(reply.choices[0].message.content)

        await asyncio.gather(*(work() for _ in range(concurrency)))
        await client.close()
        return len(answers)

    return lambda: asyncio.run(main())


def bare_aiohttp(url: str, n: int, concurrency: int) -> Callable[[], int]:
    """`bare`, with the aiohttp transport."""
    return bare(url, n, concurrency, fast=True)


def forkpipe(url: str, n: int, concurrency: int) -> Callable[[], int]:
    """The engine `openai`."""
    import openai  # noqa: F401

    from forkpipe.core.records import Request, Sampling
    from forkpipe.engines.openai import OpenAIEngine

    sampling = Sampling(SAMPLING["temperature"], SAMPLING["top_p"], int(SAMPLING["max_tokens"]))
    requests = [
        Request.create(
            problem_id=str(i),
            problem="",
            asked_of="m",
            revision="",
            prompt=f"question {i}",
            sample=0,
            sampling=sampling,
        )
        for i in range(n)
    ]
    engine = OpenAIEngine(model="m", base_url=url, concurrency=concurrency)
    return lambda: sum(bool(done.text) for done in engine.generate(requests))


def distilabel(url: str, n: int, concurrency: int) -> Callable[[], int]:
    """distilabel's OpenAILLM, in batches of as many as may be in flight; its pipeline would come on top."""
    from distilabel.models import OpenAILLM

    llm = OpenAILLM(model="m", base_url=url, api_key="none", max_retries=0)
    llm.load()
    questions = [[{"role": "user", "content": f"question {i}"}] for i in range(n)]

    def run() -> int:
        answers = []
        for start in range(0, n, concurrency):
            sampling = {"temperature": 1.0, "top_p": 1.0, "max_new_tokens": 100}
            answers += llm.generate_outputs(questions[start : start + concurrency], **sampling)
        return sum(bool(answer["generations"][0]) for answer in answers)

    return run


def curator(url: str, n: int, concurrency: int) -> Callable[[], int]:
    """bespokelabs-curator's LLM over a data set, limits on requests and tokens a minute out of the way."""
    os.environ |= {"TELEMETRY_ENABLED": "false", "CURATOR_DISABLE_RICH_DISPLAY": "1", "OPENAI_API_KEY": "none"}
    # It counts tokens by a file that it would fetch; litellm, which it needs anyway, brings the same file.
    litellm = importlib.util.find_spec("litellm")
    os.environ["TIKTOKEN_CACHE_DIR"] = str(Path(str(litellm.origin)).parent / "litellm_core_utils" / "tokenizers")
    from bespokelabs import curator as library
    from datasets import Dataset

    logging.disable(logging.WARNING)
    limits = {"max_requests_per_minute": 10**9, "max_tokens_per_minute": 10**12}

    class Asker(library.LLM):  # type: ignore[misc]
        def prompt(self, row: dict[str, str]) -> str:
            return row["question"]

        def parse(self, row: dict[str, str], response: str) -> dict[str, str]:
            return {"response": response}

    llm = Asker(
        model_name="m",
        backend="openai",
        generation_params=SAMPLING,
        backend_params={"base_url": url, "max_concurrent_requests": concurrency, **limits},
    )
    questions = Dataset.from_dict({"question": [f"question {i}" for i in range(n)]})

    def run() -> int:
        with tempfile.TemporaryDirectory() as folder:
            done = llm(questions, working_dir=folder)
            return sum(bool(row["response"]) for row in done.dataset)

    return run


CLIENTS = {one.__name__: one for one in (bare, bare_aiohttp, forkpipe, distilabel, curator)}


def main() -> None:
    """Time one client."""
    name, url, n, concurrency = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    run = CLIENTS[name](url, n, concurrency)
    started, used = time.perf_counter(), time.process_time()
    answers = run()
    seconds = time.perf_counter() - started
    if answers != n:
        raise SystemExit(f"{answers} of {n} answers")
    print(f"seconds {seconds:.3f} processor {time.process_time() - used:.3f}")


if __name__ == "__main__":
    main()
