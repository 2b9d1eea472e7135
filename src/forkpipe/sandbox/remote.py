"""Sandboxes that are services: what goes out, and how an unreliable service is asked.

Only programs, inputs and arguments go out; outputs are compared by the caller. A service that does not answer gives a
run that is `broken`, never one that is the program's fault.
"""

import inspect
import json
import logging
import re
import secrets
import threading
import time
import urllib.error
import urllib.request
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from forkpipe.core.errors import InputError
from forkpipe.sandbox import values
from forkpipe.sandbox.base import Job, Limits, Run, Status
from forkpipe.sandbox.probe import PROBES
from forkpipe.sandbox.programs import PRELUDE_RECURSION, PRELUDE_TEXT

logger = logging.getLogger("forkpipe")

ASKED_AGAIN = (408, 425, 429, 500, 502, 503, 504)
"""Statuses of HTTP after which a request is sent again."""
ATTEMPTS = 5
FIRST_PAUSE = 0.5
ISOLATES = ("no network", "no user's files", "no new processes", "nothing is written")
"""Probes by which a service is judged before its first job."""

_SCRIPT = """\
import sys
_sources, _marker = {sources!r}, {marker!r}
_code, _index = None, -1
for _at, _source in enumerate(_sources):
    try:
        _code, _index = compile(_source, "<program>", "exec"), _at
        break
    except (SyntaxError, ValueError, RecursionError):
        pass
print(_marker, _index, file=sys.stderr, flush=True)
if _code is None:
    raise SyntaxError
_names = {{"__name__": {name!r}}}
{prelude}
exec(_code, _names)
"""
_CALLS = """
{encode}
_owner = _names.get("Solution")
_function = getattr(_owner(), {entry!r}) if _owner and hasattr(_owner, {entry!r}) else _names[{entry!r}]
_answers = []
for _arguments in decode({arguments!r}):
    try:
        _answers.append('{{"value":' + encode(_function(*_arguments)) + "}}")
    except NotPlainError as _error:
        _answers.append(json.dumps({{"type": str(_error)}}))
sys.stdout.flush()
print("\\n" + _marker + '{{"values":[' + ",".join(_answers) + "]}}", flush=True)
"""


class ServiceError(Exception):
    """A service does not answer, or answers what is no answer."""


class RemoteSandbox(ABC):
    """A service that runs programs.

    Args:
        url: where it listens.
        workers: requests at the same time.
        timeout_seconds: for an answer, beyond the limit of the run by the clock.
        headers: sent with every request.

    Raises:
        InputError: the address is none.
    """

    name = "remote"

    def __init__(
        self, url: str = "", workers: int = 8, timeout_seconds: float = 30.0, headers: Mapping[str, str] | None = None
    ) -> None:
        if not re.match(r"https?://", url):
            raise InputError(f"sandbox url is '{url}', expected the address of the service: http://host:port")
        if workers < 1:
            raise InputError(f"sandbox workers is {workers}, expected at least 1")
        self.workers = workers
        self._url = url.rstrip("/")
        self._timeout_seconds = timeout_seconds
        self._headers = {"Content-Type": "application/json", **(headers or {})}
        self._lock = threading.Lock()
        self._is_probed = False

    @abstractmethod
    def _ask(self, script: str, stdin: str, limits: Limits) -> tuple[Status, str, str]:
        """Run a script; return how it ended, its output and its errors. ServiceError where the service fails."""

    def run(self, jobs: Sequence[Job]) -> list[Run]:
        """Return one run a job, in order; `broken` where the service does not answer."""
        self._probe()
        with ThreadPoolExecutor(self.workers) as threads:
            return list(threads.map(self._run, jobs))

    def _probe(self) -> None:
        """Say once, before the first job, what the service does not prevent."""
        with self._lock:
            if self._is_probed:
                return
            self._is_probed = True
        asked = [probe for probe in PROBES if probe.name in ISOLATES]
        runs = [self._run(Job((probe.program,), limits=Limits(5.0))) for probe in asked]
        open_to = [one.name for one, run in zip(asked, runs, strict=True) if run.stdout.strip() != b"HELD"]
        if any(run.status == "broken" for run in runs):
            logger.warning("%s: the probes were not answered: %s", self._url, runs[0].detail)
        elif open_to:
            logger.warning("%s does not isolate what it runs (%s)", self._url, ", ".join(open_to))

    def describe(self) -> dict[str, Any]:
        """Return what there is to say of the service."""
        return {"ready": {"service": self._url}, "problems": {}, "packages": []}

    def _run(self, job: Job) -> Run:
        if job.assertions is not None:
            return Run("broken", "asserts on more than plain data need a local sandbox")
        marker = secrets.token_hex(8)
        started = time.monotonic()
        try:
            script = script_of(job, marker)
            status, stdout, stderr = self._ask(script, job.stdin.decode("utf-8", "replace"), job.limits)
        except ServiceError as error:
            return Run("broken", str(error))
        wall = time.monotonic() - started
        first, _, errors = stderr.partition("\n")
        program = int(first.split()[1]) if re.fullmatch(rf"{marker} -?\d+", first) else 0
        report = b""
        if job.call is not None:
            stdout, _, said = stdout.rpartition(f"\n{marker}")
            report = said.encode("utf-8", "replace")
        detail = _exception(errors) if status == "error" else ""
        if status == "error" and not detail:
            status = "exited"  # by an exit status of its own, which is not judged
        if detail == "MemoryError":
            status, detail = "memory", ""
        output = stdout.encode("utf-8", "replace")[: int(job.limits.output_mb * (1 << 20))]
        return Run(status, detail, output, errors[:4096].encode("utf-8", "replace"), report, b"", program, 0.0, wall)

    def _post(self, path: str, body: Mapping[str, Any], wall_seconds: float) -> dict[str, Any]:
        """Return the JSON that the service answers, asking again with growing pauses; ServiceError at the end."""
        data = json.dumps(body).encode()
        said = ""
        for attempt in range(ATTEMPTS):
            if attempt:
                time.sleep(FIRST_PAUSE * 2 ** (attempt - 1))
            request = urllib.request.Request(self._url + path, data, self._headers)
            try:
                with urllib.request.urlopen(request, timeout=wall_seconds + self._timeout_seconds) as reply:
                    answer = json.loads(reply.read())
                if isinstance(answer, dict):
                    return answer
                said = "answered no object"
            except urllib.error.HTTPError as error:
                said = f"answered {error.code}"
                if error.code not in ASKED_AGAIN:
                    break
            except (OSError, ValueError) as error:
                said = f"did not answer: {type(error).__name__}"
        raise ServiceError(f"{self._url} {said}")

    def close(self) -> None:  # noqa: B027
        """Do nothing: there are no connections that stay open."""


def script_of(job: Job, marker: str) -> str:
    """Return one Python script that does what a job asks, and writes what it returns after a marker."""
    prelude = ""
    if job.prelude:
        prelude = f"exec({PRELUDE_TEXT!r}, _names)\nsys.setrecursionlimit({PRELUDE_RECURSION})"
    name = "__main__" if job.call is None else "solution"
    script = _SCRIPT.format(sources=list(job.programs), marker=marker, name=name, prelude=prelude)
    if job.call is None:
        return script
    return script + _CALLS.format(encode=inspect.getsource(values), entry=job.call.entry, arguments=job.call.arguments)


def _exception(stderr: str) -> str:
    """Return the name of the exception with which a traceback ends."""
    for line in reversed(stderr.strip().splitlines()):
        if match := re.match(r"(?:[A-Za-z_]\w*\.)*([A-Za-z_]\w*)(?::|$)", line):
            return match[1][:60]
    return ""
