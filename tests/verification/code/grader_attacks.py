# ruff: noqa: E501
"""Programs that attack the grader where it shares an interpreter with them.

`USUAL` grades as most graders do: program and tests are one file, and its exit status is the verdict. Each program here
passes there, or takes the grader down, and must not pass where tests and program are apart. `f(2)` is to be 4, `f(3)` 9.
"""

USUAL = """{program}

assert f(2) == 4
assert f(3) == 9
"""

_GUESSES = "    return 0\n"

FOOLS = {
    "exits_with_success": "import os\ndef f(x):\n    os._exit(0)\n",
    "raises_success": "def f(x):\n    raise SystemExit(0)\n",
    "exits_when_loaded": "import os\nos._exit(0)\n",
    "equal_to_everything": "class Any(int):\n    def __eq__(self, other):\n        return True\n    __hash__ = None\n"
    "def f(x):\n    return Any(0)\n",
    "reads_constants_of_the_asserts": "import sys\ndef f(x):\n    frame = sys._getframe(1)\n"
    "    numbers = [c for c in frame.f_code.co_consts if isinstance(c, int)]\n"
    "    return numbers[numbers.index(x) + 1] if x in numbers else 0\n",
    "makes_asserts_pass": "import sys\nclass Quiet(Exception):\n    pass\ndef f(x):\n"
    "    sys.excepthook = lambda *_: __import__('os')._exit(0)\n    return 0\n",
    "leaves_at_exit": "import atexit, os\natexit.register(os._exit, 0)\ndef f(x):\n    return 0\n",
    "compares_by_reflection": "class Sly:\n    def __eq__(self, other):\n        return True\ndef f(x):\n    return Sly()\n",
    "traces_the_grader": "import sys, os\ndef spy(frame, event, arg):\n    if event == 'exception':\n        os._exit(0)\n"
    "    return spy\ndef f(x):\n    sys.settrace(spy)\n    sys._getframe(1).f_trace = spy\n    return 0\n",
    "hooks_the_audit": "import sys, os\ndef f(x):\n    sys.addaudithook(lambda event, _: os._exit(0))\n    compile('0', '', 'eval')\n"
}  # fmt: skip

ENDS_THE_LOOP = "def f(x):\n    raise StopIteration\n"
"""In `all(map(f, ...))` and the like it ends the loop of the test, which then passes."""

CRASHES = {
    "segfault": "import ctypes\ndef f(x):\n    ctypes.string_at(0)\n",
    "abort": "import os\ndef f(x):\n    os.abort()\n",
    "stack_overflow": "import sys\nsys.setrecursionlimit(10**9)\ndef f(x):\n    kinds = (str,)\n    for _ in range(2_000_000):\n        kinds = (kinds,)\n    return hash(kinds)\n",
    "kills_itself": "import os\ndef f(x):\n    os.kill(os.getpid(), 9)\n",
    "bad_free": "import ctypes\ndef f(x):\n    ctypes.CDLL(None).free(ctypes.c_void_p(4096))\n",
}  # fmt: skip

DATA = {
    "huge_number": "def f(x):\n    return 10 ** 100000\n",
    "nested_list": "def f(x):\n    a = []\n    for _ in range(10000):\n        a = [a]\n    return a\n",
    "circular_list": "def f(x):\n    a = []\n    a.append(a)\n    return a\n",
    "colliding_keys": "def f(x):\n    return {i * (2 ** 61 - 1): 0 for i in range(200)}\n",
    "forged_report": "import os, sys\ndef f(x):\n    os.ftruncate(3, 0)\n    os.lseek(3, 0, 0)\n"
    "    os.write(3, b'{\"values\":[' + b'[' * 100000)\n    os._exit(0)\n",
    "forged_pass": "import os\ndef f(x):\n    os.write(3, b'{\"passed\":true}')\n    os._exit(0)\n",
    "forged_types": "import os\ndef f(x):\n    os.write(3, b'{\"values\":[{\"value\":{\"d\":3}},{\"value\":{}}]}')\n    os._exit(0)\n",
    "odd_names": "class f:\n    def __new__(cls, x):\n        raise type('A' * 100000, (Exception,), {})('x' * 100000)\n",
    "escape_codes": "def f(x):\n    return '\\x1b[2J\\u202e' * 1000\n",
}  # fmt: skip
