"""SandboxFusion as a sandbox (github.com/bytedance/SandboxFusion), by its HTTP interface `/run_code`."""

from forkpipe.sandbox.base import Limits, Status
from forkpipe.sandbox.remote import RemoteSandbox, ServiceError


class SandboxFusion(RemoteSandbox):
    """Runs programs in SandboxFusion. Its default configuration does not isolate; see `RemoteSandbox`."""

    name = "sandbox_fusion 1"

    def _ask(self, script: str, stdin: str, limits: Limits) -> tuple[Status, str, str]:
        body = {
            "code": script, "language": "python", "stdin": stdin, "run_timeout": limits.wall,
            "memory_limit_MB": limits.memory_mb,
        }  # fmt: skip
        answer = self._post("/run_code", body, limits.wall)
        result = answer.get("run_result")
        if answer.get("status") == "SandboxError" or not isinstance(result, dict):
            raise ServiceError(f"{self._url}: {answer.get('message') or answer.get('status')}"[:200])
        stdout, stderr = str(result.get("stdout") or ""), str(result.get("stderr") or "")
        if result.get("status") == "TimeLimitExceeded":
            return "wall", stdout, stderr
        if result.get("status") != "Finished":
            raise ServiceError(f"{self._url}: {result.get('status')}"[:200])
        return ("error" if result.get("return_code") else "exited"), stdout, stderr
