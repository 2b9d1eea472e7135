"""Run hostile programs without the layers that are meant to stop them, and say of each whether it did its harm.

    python proofs.py FOLDER [NAME ...]

Only ever run by `cage.py`. Prints a JSON line a program: name, whether it did harm, how it ended.
"""

import json
import os
import sys
import tempfile
from pathlib import Path

from hostile_programs import HOSTILE
from surroundings import does_harm, job_of, surroundings

from forkpipe.sandbox.local import PROOF, LocalSandbox


def main() -> None:
    os.environ[PROOF] = "1"
    names = sys.argv[2:]
    for hostile in HOSTILE:
        if names and hostile.name not in names:
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
