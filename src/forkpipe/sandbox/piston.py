"""Piston as a sandbox (github.com/engineer-man/piston), by its HTTP interface `/api/v2/execute`."""

from collections.abc import Mapping

from forkpipe.sandbox.base import Limits, Status
from forkpipe.sandbox.remote import RemoteSandbox, ServiceError


class Piston(RemoteSandbox):
    """Runs programs in Piston, in the version of Python that it has and `python` names."""

    name = "piston 1"

    def __init__(
        self,
        url: str = "",
        workers: int = 8,
        timeout_seconds: float = 30.0,
        headers: Mapping[str, str] | None = None,
        python: str = "3.x",
    ) -> None:
        super().__init__(url, workers, timeout_seconds, headers)
        self._python = python

    def _ask(self, script: str, stdin: str, limits: Limits) -> tuple[Status, str, str]:
        body = {
            "language": "python", "version": self._python, "files": [{"name": "main.py", "content": script}],
            "stdin": stdin, "run_timeout": int(limits.wall * 1000), "run_cpu_time": int(limits.cpu_seconds * 1000),
            "run_memory_limit": limits.memory_mb << 20,
        }  # fmt: skip
        answer = self._post("/api/v2/execute", body, limits.wall)
        result = answer.get("run")
        if not isinstance(result, dict):
            raise ServiceError(f"{self._url}: {answer.get('message') or 'answered no run'}"[:200])
        stdout, stderr = str(result.get("stdout") or ""), str(result.get("stderr") or "")
        if result.get("status") == "XX":
            raise ServiceError(f"{self._url}: {result.get('message')}"[:200])
        if result.get("status") == "TO" or (result.get("signal") == "SIGKILL" and result.get("status") is None):
            return "wall", stdout, stderr
        if result.get("status") in ("OL", "EL"):
            return "output", stdout, stderr
        if result.get("signal"):
            return "signal", stdout, stderr
        return ("error" if result.get("code") else "exited"), stdout, stderr
