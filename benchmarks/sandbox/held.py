"""Run files of hostile and honest programs through the verifier, and look at what they did to the machine.

    python benchmarks/sandbox/held.py FILE ... [--backend auto|namespaces|landlock] [--without landlock]
        [--user 2000] [--docker]

`hostile.jsonl` and `honest.jsonl` lie beside this script.

A row has name, kind (stdin, function, assert), entry, tests, program, verdict_in. `{{SECRET}}` is the content of a
file at `{{HOME}}`, `{{PORT}}` a port that says it, `{{PID}}` a process of the same user, `{{DIR}}` a folder anyone may
write in, `{{MARK}}` a word that is in no other file or command. `--user` becomes that user first, `--docker` refuses
what the default seccomp rules of Docker refuse, by a filter of its own.
"""

import argparse
import contextlib
import json
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

from forkpipe.sandbox.local import PROOF, LocalSandbox
from forkpipe.verification.code.verifier import CodeVerifier

sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "sandbox"))

KINDS = {"assert": "asserts"}


def gold_of(row):
    """Return the tests of a row as a gold answer."""
    cases = [dict(case.items()) for case in row["tests"]]
    tests = {"version": 1, "language": "python", "kind": KINDS.get(row["kind"], row["kind"]), "cases": cases}
    return json.dumps({**tests, "entry": row["entry"]} if row["entry"] else tests)


class World:
    """The secret, the server, the folder and the sibling that programs are told of."""

    def __init__(self, folder):
        self.secret = secrets.token_hex(8)
        self.mark = f"mark{secrets.token_hex(6)}"
        self.home = Path(folder) / ".canary"
        self.home.write_text(self.secret + "\n")
        self.home.chmod(0o644)
        self.folder = Path(folder) / "open"
        self.folder.mkdir()
        self.folder.chmod(0o777)
        Path(folder).chmod(0o755)
        self.server = socket.create_server(("127.0.0.1", 0))
        self.connections = 0
        threading.Thread(target=self._serve, daemon=True).start()
        self.sibling = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)", self.mark])

    def _serve(self):
        while True:
            connection, _ = self.server.accept()
            self.connections += 1
            connection.sendall(self.secret.encode() + b"\n")
            connection.close()

    def fill(self, text):
        """Put the facts into a row."""
        facts = {
            "SECRET": self.secret, "HOME": self.home, "PORT": self.server.getsockname()[1], "PID": self.sibling.pid,
            "DIR": self.folder, "MARK": self.mark,
        }  # fmt: skip
        for name, value in facts.items():
            text = text.replace(f"{{{{{name}}}}}", str(value))
        return text

    def harmed(self):
        """Return what is not as it was."""
        places = [self.folder, *(Path(place) for place in ("/tmp", "/var/tmp", "/dev/shm", "/run", "."))]
        marked = [str(path) for place in places if place.is_dir() for path in place.glob(f"*{self.mark}*")]
        harm = {
            "secret": self.home.read_text().strip() != self.secret, "sibling": self.sibling.poll() is not None,
            "connections": self.connections, "files": marked,
        }  # fmt: skip
        return {name: value for name, value in harm.items() if value}


def processes_named(word):
    """Return how many processes have a word in their command."""
    count = 0
    for entry in os.listdir("/proc"):
        with contextlib.suppress(OSError):
            count += entry.isdigit() and word in Path(f"/proc/{entry}/cmdline").read_text()
    return count


def main(given):
    """Run all rows and print those that were not held; return the exit status."""
    with tempfile.TemporaryDirectory() as folder:
        if given.user:
            os.chown(folder, given.user, given.user)
            os.setgroups([])
            os.setresgid(given.user, given.user, given.user)
            os.setresuid(given.user, given.user, given.user)
        world = World(folder)
        if given.docker:
            from docker_rules import apply

            apply()
        verifier = CodeVerifier(backend=given.backend, workers=2, cpu_seconds=given.cpu_seconds)
        if given.without:
            os.environ[PROOF] = "1"
            verifier._sandbox = LocalSandbox(2, given.backend, without=given.without)
        print(verifier._sandbox.describe()["ready"])
        held, total = Counter(), Counter()
        for path in given.files:
            with open(path) as file:
                rows = [json.loads(world.fill(line)) for line in file]
            for row in rows:
                started = time.monotonic()
                response = f"``````python\n{row['program']}\n``````"
                verdict = verifier.verify([gold_of(row)], [response], [False])[0]
                harm = world.harmed()
                right = verdict.verdict in row["verdict_in"] and not harm
                held[path] += right
                total[path] += 1
                if not right:
                    took = time.monotonic() - started
                    print(f"  {row['name']}: {verdict.verdict} {verdict.rule} {harm} {took:.1f} s {verdict.detail}")
        verifier.close()
        time.sleep(2)
        left = processes_named("forkpipe/sandbox/start.py")
        print({Path(path).name: f"{held[path]} of {total[path]}" for path in given.files}, "processes left:", left)
        world.sibling.kill()
        return 0 if held == total and not left else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+")
    parser.add_argument("--backend", default="auto")
    parser.add_argument("--without", action="append", default=[])
    parser.add_argument("--user", type=int)
    parser.add_argument("--docker", action="store_true")
    parser.add_argument("--cpu-seconds", type=float, default=2.0)
    sys.exit(main(parser.parse_args()))
