"""Tests from the rows of published data sets: LiveCodeBench, APPS and its like, CodeContests, HumanEval, MBPP.

Nothing of a row is unpickled. LiveCodeBench's private tests are a pickle of one text, of which the text is read and
anything else refused.
"""

import ast
import base64
import binascii
import builtins
import json
import pickletools
import re
import zlib
from collections.abc import Mapping
from typing import Any, NamedTuple

from forkpipe.core.errors import InputError
from forkpipe.verification.code.asserts import split_check
from forkpipe.verification.code.livecodebench import errata_of
from forkpipe.verification.code.store import LARGE, CaseStore

Row = Mapping[str, Any]
MOST_UNPACKED = 1 << 30
"""Bytes of unpacked private tests; larger ones are no tests but an attack on memory."""

_TEXT_OPCODES = {"UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"}
_EMPTY_OPCODES = {"PROTO", "FRAME", "MEMOIZE", "PUT", "BINPUT", "LONG_BINPUT", "STOP"}


class Program(NamedTuple):
    """A problem whose answers are programs."""

    problem: str
    tests: dict[str, Any]
    """As in `tests.ProgramTests`."""
    source_id: str
    metadata: dict[str, Any]
    solution: str = ""
    """A reference solution, empty where the row has none."""


def read_program(row: Row, where: str, *, public_only: bool = False) -> Program:
    """Return a problem from a row of a known data set, told by its columns.

    Args:
        row: LiveCodeBench (`public_test_cases`), APPS, TACO (`input_output`), verl (`reward_model`), CodeContests
            (`private_tests`), HumanEval (`entry_point`), MBPP (`test_list`).
        where: file and row, for messages.
        public_only: take LiveCodeBench's public tests where the private ones are missing.

    Raises:
        InputError: the row is of no known data set, or a field is wrong.
    """
    for column, read in _READERS.items():
        if column in row:
            try:
                program: Program = read(row, where, public_only)
                return program
            except KeyError as error:
                raise InputError(f"{where}: field {error} is missing") from error
            except (ValueError, TypeError) as error:
                if isinstance(error, InputError):
                    raise
                raise InputError(f"{where}: field '{column}' cannot be read: {error}") from error
    raise InputError(
        f"{where}: no data set of programs has the columns {', '.join(row)}, expected one of: {', '.join(_READERS)}"
    )


def gold_text(tests: Mapping[str, Any], store: CaseStore) -> str:
    """Return tests as JSON text, with cases that are too large for a table in the store."""
    text = json.dumps(tests, ensure_ascii=False)
    if len(text) <= LARGE:
        return text
    kept = {**tests, "cases": [], "tests_file": store.add(tests["cases"])}
    return json.dumps(kept, ensure_ascii=False)


def _base(kind: str, cases: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    return {"version": 1, "language": "python", "kind": kind, "cases": cases, **more}


def _livecodebench(row: Row, where: str, public_only: bool) -> Program:
    public = _json(row["public_test_cases"])
    private_text = row.get("private_test_cases")
    if not private_text and not public_only:
        raise InputError(
            f"{where}: field 'private_test_cases' is missing, expected the private tests, or public_only: true"
        )
    private = private_tests(private_text, where) if private_text else []
    metadata = _json(row.get("metadata") or "{}")
    entry = metadata.get("func_name")
    cases = [_livecodebench_case(case, bool(entry)) for case in (*public, *private)]
    more: dict[str, Any] = {"public": len(public)}
    if entry:
        more["entry"] = entry
    if not private_text:
        more["partial"] = 1
    kept = ("question_title", "platform", "contest_id", "contest_date", "difficulty", "starter_code")
    return Program(
        row["question_content"],
        _base("function" if entry else "stdin", cases, **more),
        str(row["question_id"]),
        {
            **{name: str(row[name]) for name in kept if row.get(name) is not None},
            "errata": errata_of(str(row["question_id"])),
            "public_only": not private_text,
        },
    )


def _livecodebench_case(case: Row, is_function: bool) -> dict[str, Any]:
    if not is_function:
        return {"input": case["input"], "output": case["output"]}
    return {"args": _json_lines(case["input"]), "output": _json(case["output"])}


def private_tests(text: str, where: str) -> list[Row]:
    """Return LiveCodeBench's private tests: JSON text, or base64 of zlib of a pickle of JSON text.

    Raises:
        InputError: it is neither; a pickle of anything but one text is refused, and nothing of it is run.
    """
    try:
        tests: list[Row] = _json(text if text.lstrip().startswith("[") else _packed_text(text))
        return tests
    except (ValueError, binascii.Error, zlib.error) as error:
        raise InputError(f"{where}: field 'private_test_cases' cannot be read: {error}") from error


def _packed_text(text: str) -> str:
    unpacker = zlib.decompressobj()
    pickled = unpacker.decompress(base64.b64decode(text, validate=True), MOST_UNPACKED)
    if not unpacker.eof:
        raise ValueError("it is cut, or larger than 1 GB")
    found = None
    for opcode, argument, _ in pickletools.genops(pickled):
        if opcode.name in _TEXT_OPCODES and found is None:
            found = argument
        elif opcode.name not in _EMPTY_OPCODES:
            raise ValueError(f"its pickle holds more than a text ({opcode.name})")
    if not isinstance(found, str):
        raise ValueError("its pickle holds no text")
    return found


def _apps(row: Row, where: str, _: bool) -> Program:
    tests = _inputs_and_outputs(_json(row["input_output"]))
    problem = row.get("question") or row["problem"]
    source_id = row.get("problem_id", row.get("id", row.get("url", "")))
    metadata = {name: str(row[name]) for name in ("difficulty", "source", "url") if row.get(name)}
    solutions = _json(row["solutions"]) if row.get("solutions") else []
    return Program(problem, tests, str(source_id), metadata, solutions[0] if solutions else "")


def _verl(row: Row, where: str, _: bool) -> Program:
    tests = _inputs_and_outputs(_json(row["reward_model"]["ground_truth"]))
    prompt = row["prompt"]
    problem = prompt if isinstance(prompt, str) else "\n\n".join(message["content"] for message in prompt)
    extra = row.get("extra_info") or {}
    metadata = {"data_source": row.get("data_source", ""), "ability": row.get("ability", "")}
    return Program(problem, tests, str(extra.get("index", "")), metadata)


def _inputs_and_outputs(given: Row) -> dict[str, Any]:
    inputs, outputs, entry = given["inputs"], given["outputs"], given.get("fn_name")
    if len(inputs) != len(outputs):
        raise ValueError(f"{len(inputs)} inputs and {len(outputs)} outputs, expected as many")
    if not entry:
        pairs = zip(inputs, outputs, strict=True)
        return _base("stdin", [{"input": _lines(given_in), "output": _lines(out)} for given_in, out in pairs])
    return _base("function", [_function_case(*pair) for pair in zip(inputs, outputs, strict=True)], entry=entry)


def _lines(given: Any) -> str:
    return given if isinstance(given, str) else "\n".join(map(str, given))


def _function_case(given: Any, output: Any) -> dict[str, Any]:
    """Make a case of a call. APPS wraps most expected values in a list, and its grader takes both for right."""
    arguments = _json_lines(given) if isinstance(given, str) else given
    output = _json(output) if isinstance(given, str) and isinstance(output, str) else output
    case = {"args": list(arguments), "output": output}
    if isinstance(output, list) and len(output) == 1:
        case["also"] = [output[0]]
    return case


def _code_contests(row: Row, where: str, _: bool) -> Program:
    cases = []
    public = len(row.get("public_tests", {}).get("input", []))
    for name in ("public_tests", "private_tests", "generated_tests"):
        group = row.get(name) or {"input": [], "output": []}
        cases += [{"input": a, "output": b} for a, b in zip(group["input"], group["output"], strict=True)]
    metadata = {name: str(row[name]) for name in ("source", "difficulty") if row.get(name) is not None}
    return Program(row["description"], _base("stdin", cases, public=public), str(row["name"]), metadata)


def _humaneval(row: Row, where: str, _: bool) -> Program:
    entry = row["entry_point"]
    cases = [{"assert": code} for code in split_check(row["test"], entry)]
    tests = _base("asserts", cases, entry=entry, prompt=row["prompt"])
    return Program(row["prompt"], tests, str(row["task_id"]), {}, row.get("canonical_solution", ""))


def _mbpp(row: Row, where: str, _: bool) -> Program:
    asserts = list(row["test_list"])
    solution = row.get("code") or ""
    setup = "\n".join([*(row.get("test_imports") or []), row.get("test_setup_code") or ""]).strip()
    entry = _tested_function(asserts, solution)
    if entry is None:
        raise InputError(f"{where}: no function is called in every assert of 'test_list'")
    tests = _base("asserts", [{"assert": code} for code in asserts], entry=entry, setup=setup)
    problem = f"{row.get('text') or row['prompt']}\n\nYour code should pass these tests:\n\n" + "\n".join(asserts)
    return Program(problem, tests, str(row["task_id"]), {}, solution)


def _tested_function(asserts: list[str], solution: str) -> str | None:
    """Return the function that asserts test: one that all of them call, defined in the solution where there is one."""
    calls = [[node.func for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call)] for code in asserts]
    called = [[function.id for function in functions if isinstance(function, ast.Name)] for functions in calls]
    common = [name for name in dict.fromkeys(called[0]) if all(name in names for names in called)]
    defined = [name for name in common if re.search(rf"^\s*def\s+{re.escape(name)}\b", solution, re.MULTILINE)]
    return next(iter(defined or [name for name in common if not hasattr(builtins, name)] or common), None)


def _json_lines(text: str) -> list[Any]:
    return [_json(line) for line in text.split("\n") if line.strip()]


def _json(text: Any) -> Any:
    return json.loads(text) if isinstance(text, str | bytes) else text


_READERS: dict[str, Any] = {
    "public_test_cases": _livecodebench,
    "input_output": _apps,
    "reward_model": _verl,
    "private_tests": _code_contests,
    "entry_point": _humaneval,
    "test_list": _mbpp,
}
