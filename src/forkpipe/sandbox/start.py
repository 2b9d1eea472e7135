"""Entry of a worker process, run as a script: imports the sandbox's own modules and nothing else of the package."""

import os
import sys
import types

if __name__ == "__main__":
    folder = os.path.dirname(os.path.abspath(__file__))
    package = types.ModuleType("forkpipe")
    package.__path__ = [os.path.dirname(folder)]
    sys.modules["forkpipe"] = package
    from forkpipe.sandbox.worker import main

    main()
