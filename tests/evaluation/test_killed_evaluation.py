"""An evaluation that is killed: the next run asks for no sample that was durable, and its table is the same."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from forkpipe.core.errors import InputError
from forkpipe.core.records import Completion, Problem
from forkpipe.engines.transformers import TransformersEngine
from forkpipe.evaluation.sampling import sample_checkpoint
from forkpipe.parameters import EvaluationSettings
from forkpipe.stores.completions import CompletionStore

N_PROBLEMS, TOTAL = 2, 6


class Slow(TransformersEngine):
    """The transformers engine, which writes down what it is asked and takes its time; it fails at positions `fails`."""

    def __init__(self, *, asked_file, seconds=0.0, fails=(), error="timeout: no memory", **options):
        super().__init__(**options)
        self.asked_file, self.seconds, self.fails, self.error = Path(asked_file), seconds, fails, error

    def generate(self, requests):
        with self.asked_file.open("a") as file:
            file.writelines(f"{request.request_id}\n" for request in requests)
        for number, completion in enumerate(super().generate(requests)):
            if number in self.fails:
                completion = Completion(completion.request_id, finish_reason="error", error=self.error)
            yield completion
            time.sleep(self.seconds)


def evaluate(folder, base, **engine):
    """Sample the base checkpoint as `ssft.generate` does; its store is in `folder`."""
    problems = [Problem(**row) for row in json.loads((folder / "problems.json").read_text())]
    options = {"asked_file": str(folder / "asked.txt"), "batch_rows": 1, **engine}
    settings = EvaluationSettings.model_validate(
        {"sampling": {"max_tokens": 6}, "engine": {"name": "test_killed_evaluation:Slow", "options": options}}
    )
    store = CompletionStore(folder / "completions.jsonl")
    return sample_checkpoint("x", base, problems, settings, "{problem}", TOTAL, own=True, seed=0, store=store)


def asked(folder):
    file = folder / "asked.txt"
    return file.read_text().split() if file.exists() else []


@pytest.fixture
def folder(tmp_path, rl_problems):
    """A function that makes a folder with the problems of an evaluation."""

    def make(name):
        place = tmp_path / name
        place.mkdir()
        rows = [{key: getattr(one, key) for key in Problem.__slots__} for one in rl_problems(N_PROBLEMS)]
        (place / "problems.json").write_text(json.dumps(rows))
        return place

    return make


def killed_after(folder, base, samples):
    """Evaluate in a process of its own and kill it when so many samples are on disk; return their request ids."""
    arguments = f"pathlib.Path({str(folder)!r}), {str(base)!r}, seconds=0.3"
    script = f"import pathlib, test_killed_evaluation; test_killed_evaluation.evaluate({arguments})"
    path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    process = subprocess.Popen([sys.executable, "-c", script], env={**os.environ, "PYTHONPATH": path})
    store = folder / "completions.jsonl"
    deadline = time.monotonic() + 120
    while not store.exists() or len(store.read_bytes().splitlines()) < samples:
        assert process.poll() is None, "it ended before it was killed"
        assert time.monotonic() < deadline, "it wrote nothing"
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    lines = store.read_text().splitlines(keepends=True)
    return [json.loads(line)["request_id"] for line in lines if line.endswith("\n")]


def test_a_killed_evaluation_loses_no_durable_sample(folder, base):
    undisturbed, killed = folder("undisturbed"), folder("killed")
    expected = evaluate(undisturbed, base)
    assert len(expected) == len(asked(undisturbed)) == N_PROBLEMS * TOTAL * 2
    durable = killed_after(killed, base, 4)
    assert 4 <= len(durable) < len(expected)
    (killed / "asked.txt").unlink()
    rows = evaluate(killed, base)
    assert rows == expected
    assert not set(asked(killed)) & set(durable)
    assert len(asked(killed)) == len(expected) - len(durable)
    (killed / "asked.txt").unlink()
    assert evaluate(killed, base) == expected
    assert asked(killed) == []


def test_a_failure_is_asked_again_and_nothing_else(folder, base):
    place, undisturbed = folder("failing"), folder("undisturbed")
    assert evaluate(place, base, fails=[3, 5]) == evaluate(undisturbed, base)
    assert len(asked(place)) == len(asked(undisturbed)) + 2


@pytest.mark.parametrize(("error", "tries"), [("timeout: no memory", 2), ("refused: too long", 1)])
def test_a_sample_that_keeps_failing_ends_the_evaluation_and_counts_as_no_answer(folder, base, error, tries):
    place, undisturbed = folder("failing"), folder("undisturbed")
    n = N_PROBLEMS * TOTAL * 2
    message = rf"^x: engine '.*' answered {n - 1} of {n} samples, expected all, for example '{error}'; .* the other 1$"
    with pytest.raises(InputError, match=message):
        evaluate(place, base, fails=[0], error=error)
    assert len(asked(place)) == n + tries - 1
    (place / "asked.txt").unlink()
    assert evaluate(place, base) == evaluate(undisturbed, base)
    assert len(asked(place)) == 1


def test_another_engine_s_samples_do_not_count(folder, base):
    place = folder("changed")
    evaluate(place, base)
    (place / "asked.txt").unlink()
    evaluate(place, base, batch_rows=5)
    assert asked(place) == []
    evaluate(place, base, chat=False, revision="v2")
    assert len(asked(place)) == N_PROBLEMS * TOTAL * 2


def test_a_checkpoint_that_moved_is_the_same(folder, base, tmp_path):
    place = folder("moved")
    expected = evaluate(place, base)
    (place / "asked.txt").unlink()
    moved = tmp_path / "else where"
    moved.symlink_to(base)
    assert evaluate(place, moved) == expected
    assert asked(place) == []
