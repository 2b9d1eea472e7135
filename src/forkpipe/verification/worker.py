"""A worker process: compares the pairs it is sent, one JSON line each, until its input ends.

Started as `python -m forkpipe.verification.worker MEMORY_MB` by `pool.WorkerPool`. It imports math-verify once, which
takes
seconds, and works in a fork of itself, so that after a kill the next one is there at once. The fork limits its own
memory and, for each comparison, its own processor time: it ends even if the process that started it all is gone.
"""

import gc
import json
import logging
import os
import sys
from collections.abc import Callable
from typing import IO


def main() -> None:
    """Keep one fork at work until it says that the input has ended."""
    answers = os.dup(1)
    errors = os.dup(2)
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)  # whatever prints must not look like an answer
    logging.getLogger("math_verify").setLevel(logging.CRITICAL)
    sys.setrecursionlimit(3000)
    _compare("1/3", "2", [])  # imports math-verify and builds its parser, so that this counts towards no comparison
    os.dup2(silence, 2)
    os.close(errors)
    gc.freeze()
    while True:
        child = os.fork()
        if child == 0:
            serve(answers, int(sys.argv[1]))
            os._exit(0)
        if os.waitpid(child, 0)[1] == 0:
            return


def serve(descriptor: int, memory_mb: int) -> None:
    """Say ["ready", process id]; read [task, gold, prediction or null, rules switched off, seconds], write [finding,
    rule].

    Returns at the end of input; ends the process where memory was short, since what is left of the heap is nobody's to
    trust.
    """
    limit_memory(memory_mb)
    with os.fdopen(descriptor, "w", encoding="ascii") as answers, os.fdopen(os.dup(0), "rb") as requests:
        _say(answers, ["ready", os.getpid()])
        for line in requests:
            task, gold, prediction, without, seconds = json.loads(line)
            limit_processor_time(seconds)
            try:
                finding = TASKS[task](gold, prediction, without)
            except MemoryError:
                os._exit(MEMORY)
            _say(answers, list(finding))


MEMORY = 1
"""Exit status of a fork that ran out of memory."""


def _compare(gold: str, prediction: str | None, without: list[str]) -> tuple[str, str]:
    from forkpipe.verification.compare import compare

    return compare(gold, prediction, without)


def _score(gold: str, prediction: str | None, _: list[str]) -> tuple[str, str]:
    from forkpipe.verification.reasoning_gym import score

    return score(gold, prediction)


TASKS: dict[str, Callable[[str, str | None, list[str]], tuple[str, str]]] = {"compare": _compare, "score": _score}


def _say(answers: IO[str], message: object) -> None:
    answers.write(json.dumps(message) + "\n")
    answers.flush()


def limit_memory(megabytes: int) -> None:
    """Let allocations beyond `megabytes` of address space fail, where the system knows such limits."""
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (megabytes << 20, megabytes << 20))
    except (ImportError, ValueError, OSError):  # Windows has no limits, macOS ignores or refuses this one
        pass


def limit_processor_time(seconds: float) -> None:
    """End this process when it spends much more than `seconds` on what comes next."""
    try:
        import resource

        usage = resource.getrusage(resource.RUSAGE_SELF)
        hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
        soft = int(usage.ru_utime + usage.ru_stime + 2 * seconds + 5)
        resource.setrlimit(resource.RLIMIT_CPU, (soft if hard < 0 else min(soft, hard), hard))
    except (ImportError, ValueError, OSError):
        pass


if __name__ == "__main__":
    main()
