"""Worker processes: each compares the pairs it is sent, one JSON line each, until its input ends.

Started as `python -m forkpipe.verification.worker MEMORY_MB IN:OUT ...` by `pool.WorkerPool`, with two pipes a
worker. This process imports math-verify once, which takes seconds, and keeps a fork of itself at work on every pair of
pipes, so that the next one is there at once when one ends. A fork limits its own memory and, for each comparison, its
own processor time, so that a verdict does not depend on what else the machine does. It ends even if the process that
started it all is gone.
"""

import contextlib
import gc
import json
import logging
import os
import signal
import sys
from collections.abc import Callable
from typing import IO


def main() -> None:
    """Keep a fork at work on each pair of pipes until all of them have ended."""
    errors = os.dup(2)
    silence = os.open(os.devnull, os.O_RDWR)
    os.dup2(silence, 0)
    os.dup2(silence, 1)
    logging.getLogger("math_verify").setLevel(logging.CRITICAL)
    sys.setrecursionlimit(3000)
    for gold, prediction in WARM_UP:
        _compare(gold, prediction, [])
    os.dup2(silence, 2)
    os.close(errors)
    gc.freeze()
    owner = os.getppid()
    memory_mb, *named = sys.argv[1:]
    pipes = [(int(requests), int(answers)) for requests, answers in (name.split(":") for name in named)]
    at_work = {_fork(pair, pipes, int(memory_mb), ""): pair for pair in pipes}
    while at_work:
        child, status = os.wait()
        pair = at_work.pop(child)
        if status != 0 and os.getppid() == owner:  # with the owner gone there is nobody to work for
            out_of_time = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGPROF
            at_work[_fork(pair, pipes, int(memory_mb), TIMEOUT if out_of_time else "")] = pair


def _fork(own: tuple[int, int], pipes: list[tuple[int, int]], memory_mb: int, replaces: str) -> int:
    """Return the process id of a fork that serves its own pipes and holds no end of the others'."""
    child = os.fork()
    if child != 0:
        return child
    for pair in pipes:
        if pair != own:
            os.close(pair[0])
            os.close(pair[1])
    # Where nobody listens any more: with another status the next fork would meet the same, for ever.
    with contextlib.suppress(BrokenPipeError):
        serve(*own, memory_mb, replaces)
    os._exit(0)


def serve(incoming: int, outgoing: int, memory_mb: int, replaces: str) -> None:
    """Write ["ready", process id, how the fork before ended]; then answer each request.

    A request is [task, gold, prediction or null, rules switched off, seconds of processor time], its answer
    [finding, rule]. Returns at the end of input; ends the process where memory was short, since what is left of the
    heap is nobody's to trust.
    """
    limit_memory(memory_mb)
    with os.fdopen(outgoing, "w", encoding="ascii") as answers, os.fdopen(incoming, "rb") as requests:
        _say(answers, ["ready", os.getpid(), replaces])
        for line in requests:
            task, gold, prediction, without, seconds = json.loads(line)
            limit_processor_time(seconds)
            try:
                finding = TASKS[task](gold, prediction, without)
            except MemoryError:
                os._exit(MEMORY)
            limit_processor_time(0)
            _say(answers, list(finding))


WARM_UP = (
    (r"\frac{1}{3}", "0.5"),
    (r"\sqrt{51}", r"2\sqrt{13}"),
    (r"\left( 3, \frac{\pi}{2} \right)", "(1, 2, 3)"),
    (r"\text{east}", "west"),
    (r"x^2 + 2x - 1", "(x-1)(x+1)"),
    (r"y = 2x + 3", r"y = -\frac{1}{2}x"),
    (r"(-\infty, 2] \cup [3, 5)", r"x \le 2"),
    (r"\begin{pmatrix} 1 \\ 2 \end{pmatrix}", r"\begin{pmatrix} 1 & 0 \\ 0 & 1 \end{pmatrix}"),
    (r"90^\circ", r"\sin 2t"),
    (r"6 - 5i", r"\{1, \pm 2\}"),
    (r"2^{10} \cdot 3", "1,000"),
)
"""Compared before the first fork: importing math-verify takes a second, and its parser learns a notation at first
sight. What is learned here every fork knows, also one that replaces another."""

TIMEOUT = "timeout"
"""How a fork ended that exceeded its processor time."""

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
    """Let the system end this process, by SIGPROF, after it has computed for so many more seconds; 0: no limit.

    No Python code runs then, so that arithmetic on huge integers ends too.
    """
    signal.setitimer(signal.ITIMER_PROF, seconds)


if __name__ == "__main__":
    main()
