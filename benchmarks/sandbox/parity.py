"""Grade HumanEval and MBPP references, and samples of a model for HumanEval beside grading in one interpreter.

    python benchmarks/sandbox/parity.py --humaneval FILE --references --mbpp FILE --samples FILE [--per-problem 10]

Grading in one interpreter means that program and tests are one file, and that it ends without an error is the verdict,
as the peers grade. That file runs in the sandbox too, since nobody has read it.
"""

import argparse
import gzip
import json
from collections import Counter

from costs import tree

from forkpipe.sandbox.base import Job, Limits
from forkpipe.sandbox.local import LocalSandbox
from forkpipe.verification.code.cases import ready
from forkpipe.verification.code.grading import Asked, grade
from forkpipe.verification.code.readers import read_program
from forkpipe.verification.code.verifier import CodeVerifier

LIMITS = Limits(cpu_seconds=6.0)


def rows(path):
    """Return the rows of a file."""
    with gzip.open(path, "rt") if path.endswith(".gz") else open(path) as file:
        return [json.loads(line) for line in file]


def references(path):
    """Grade the reference solutions of a data set and print what came of it."""
    programs = [read_program(row, f"{path} row {number}") for number, row in enumerate(rows(path), 1)]
    golds = [json.dumps(program.tests) for program in programs]
    verifier = CodeVerifier()
    refused = {p.source_id: why for p, gold in zip(programs, golds, strict=True) if (why := verifier.why_not(gold))}
    responses = [f"``````python\n{program.solution}\n``````" for program in programs]
    verdicts = verifier.verify(golds, responses, [False] * len(golds))
    verifier.close()
    print(path, dict(Counter(verdict.verdict for verdict in verdicts)))
    for name, why in refused.items():
        print(f"  refused {name}: {why}")
    for program, verdict in zip(programs, verdicts, strict=True):
        if verdict.verdict != "correct" and program.source_id not in refused:
            print(f"  {program.source_id}: {verdict.verdict} {verdict.rule} {verdict.detail}")


def samples(humaneval, path, per_problem):
    """Grade samples apart and in one interpreter, and print where the two differ."""
    sandbox = LocalSandbox()
    asked, jobs, names = [], [], []
    # The samples stand in the order of the ids as text, under prompts without their examples.
    for row, sampled in zip(sorted(rows(humaneval), key=lambda row: row["task_id"]), rows(path), strict=True):
        assert f"def {row['entry_point']}" in sampled["prompt"], row["task_id"]
        gold = json.dumps(read_program(row, humaneval).tests)
        tests = ready(gold, LIMITS, None, None)
        for number, sample in enumerate(sampled["samples"][:per_problem]):
            program = sampled["prompt"] + sample
            asked.append(Asked(tests, (program,)))
            whole = f"{program}\n\n{row['test']}\n\ncheck({row['entry_point']})\n"
            jobs.append(Job((whole,), limits=LIMITS))
            names.append(f"{row['task_id']} sample {number}")
    sandbox.run(jobs[:2])
    started = tree()
    apart = grade(asked, sandbox, workers=sandbox.workers, total_seconds=60.0)
    between = tree()
    together = sandbox.run(jobs)
    ended = tree()
    sandbox.close()
    passed = [run.status == "exited" for run in together]
    same = sum((a.verdict == "correct") == b for a, b in zip(apart, passed, strict=True))
    print(f"{len(asked)} samples: {same} as in one interpreter; {sum(passed)} pass there")
    print(f"  CPU: apart {between - started:.1f} s, in one interpreter {ended - between:.1f} s")
    print("  apart:", dict(Counter(f"{one.verdict} {one.rule.split()[0]}" for one in apart).most_common(12)))
    for name, a, b, run in zip(names, apart, passed, together, strict=True):
        if (a.verdict == "correct") != b:
            print(f"  {name}: apart {a.verdict} {a.rule} {a.detail}; in one interpreter {run.status} {run.detail}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--humaneval", required=True)
    parser.add_argument("--references", action="store_true", help="grade HumanEval's references")
    parser.add_argument("--mbpp")
    parser.add_argument("--samples")
    parser.add_argument("--per-problem", type=int, default=10)
    given = parser.parse_args()
    if given.references:
        references(given.humaneval)
    if given.mbpp:
        references(given.mbpp)
    if given.samples:
        samples(given.humaneval, given.samples, given.per_problem)
