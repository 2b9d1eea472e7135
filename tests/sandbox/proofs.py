"""Run hostile programs without the layers that are meant to stop them, and say of each whether it did its harm.

    python proofs.py FOLDER [NAME ...]

Only ever run by `cage.py`. Prints a JSON line a program: name, whether it did harm, how it ended.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from hostile_programs import HOSTILE
from surroundings import does_harm, job_of, surroundings

from forkpipe.sandbox.local import PROOF, LocalSandbox

INNER = "FORKPIPE_INNER_CAGE"


def kills_its_prover(folder: str) -> dict[str, object]:
    """Prove in a cage within this one that a program can end all processes of its user, this one among them."""
    here = Path(__file__)
    command = [sys.executable, str(here.with_name("cage.py")), sys.executable, str(here), folder, "kills_all"]
    done = subprocess.run(command, env={**os.environ, INNER: "1"}, capture_output=True, text=True, check=False)
    return {"name": "kills_all", "harm": done.returncode == 1 and not done.stdout + done.stderr, "status": done.stderr}


def main() -> None:
    os.environ[PROOF] = "1"
    names = sys.argv[2:]
    for hostile in HOSTILE:
        if names and hostile.name not in names:
            continue
        if hostile.name == "kills_all" and os.getuid() != 0 and INNER not in os.environ:
            print(json.dumps(kills_its_prover(sys.argv[1])), flush=True)
            continue
        with tempfile.TemporaryDirectory(dir=sys.argv[1]) as folder, surroundings(Path(folder)) as facts:
            sandbox = LocalSandbox(1, hostile.backend, without=hostile.layers)
            run = sandbox.run([job_of(hostile, facts)])[0]
            sandbox.close()
        said = (run.stdout + run.stderr)[-300:].decode(errors="replace")
        line = {"name": hostile.name, "harm": does_harm(hostile, run), "status": run.status, "detail": run.detail}
        print(json.dumps({**line, "said": said}), flush=True)


if __name__ == "__main__":
    main()
