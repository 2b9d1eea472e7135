"""A worker process: compares the pairs it is sent, one JSON line each, until its input ends.

Started as `python -m forkpipe.verification.worker MEMORY_MB` by `pool.WorkerPool`. It limits its own memory and, for
each comparison, its own processor time, so that it ends even if the process that started it is gone.
"""

import json
import logging
import os
import sys
from collections.abc import Callable
from typing import IO


def main() -> None:
    """Read requests [task, gold, prediction or null, names of rules switched off, seconds], write [finding, rule]."""
    answers = os.fdopen(os.dup(1), "w", encoding="ascii")
    errors = os.dup(2)
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)  # whatever prints must not look like an answer
    logging.getLogger("math_verify").setLevel(logging.CRITICAL)
    sys.setrecursionlimit(3000)
    _compare("1/3", "2", [])  # imports math-verify and builds its parser, so that this counts towards no comparison
    os.dup2(silence, 2)
    os.close(errors)
    limit_memory(int(sys.argv[1]))
    _say(answers, "ready")
    for line in sys.stdin:
        task, gold, prediction, without, seconds = json.loads(line)
        limit_processor_time(seconds)
        try:
            finding = TASKS[task](gold, prediction, without)
        except MemoryError:
            _say(answers, ["memory", "memory"])
            os._exit(1)  # what is left of the heap is nobody's to trust
        _say(answers, list(finding))


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
