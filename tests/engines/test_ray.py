"""Engines on Ray actors, on a Ray of this machine: `pip install 'forkpipe[ray]'`."""

import os
import signal
import time
from collections import Counter
from pathlib import Path

import pytest

from forkpipe.core.errors import InputError
from forkpipe.core.records import Completion, Request, Sampling
from forkpipe.demo.procedural import ProceduralEngine

ray = pytest.importorskip("ray", reason="needs ray: pip install 'forkpipe[ray]'")

from forkpipe.engines.ray import RayEngine  # noqa: E402

OPTIONS = {"strategy": "peasant", "error_rate": 0.2, "truncation_rate": 0.1}


class Deadly(ProceduralEngine):
    """Kills its process at requests whose problem is written in `poison`, or once where `once` is no file yet.

    Before `poison` it waits until `until`, if that is given, is a file.
    Every request that reaches an engine adds a line to `seen`.
    """

    version = "1"

    def __init__(self, *, seen: str, poison: str = "", once: str = "", until: str = "") -> None:
        super().__init__(**OPTIONS)
        self._seen, self._poison, self._once, self._until = Path(seen), poison, once, until

    def generate(self, requests):
        for request in requests:
            with self._seen.open("a") as file:
                file.write(request.request_id + "\n")
            if request.problem_id == self._poison:
                while self._until and not Path(self._until).exists():
                    time.sleep(0.02)
                os.kill(os.getpid(), signal.SIGKILL)
            if self._once and request.problem_id == "p20" and not Path(self._once).exists():
                Path(self._once).touch()
                os.kill(os.getpid(), signal.SIGKILL)
            yield self._complete(request)


class Refusing(ProceduralEngine):
    """Finds fault with what it is asked."""

    def __init__(self) -> None:
        super().__init__(**OPTIONS)

    def generate(self, requests):
        raise InputError("model m is not there")
        yield


def requests(n):
    return [
        Request.create(
            problem_id=f"p{i}", problem=f"{2 + i} ^ {3 + i} mod 17", asked_of="m", revision="", prompt="p", sample=0,
            sampling=Sampling(max_tokens=200),
        )
        for i in range(n)
    ]  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def cluster():
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    folder = str(Path(__file__).parent)
    # Actors find the engines of this file where the others are: by name.
    ray.init(
        num_cpus=2, include_dashboard=False, log_to_driver=False, _node_ip_address="127.0.0.1",
        object_store_memory=100_000_000,
        runtime_env={"env_vars": {"PYTHONPATH": os.pathsep.join([folder, os.environ.get("PYTHONPATH", "")])}},
    )  # fmt: skip
    yield
    ray.shutdown()


def texts(completions):
    return {done.request_id: (done.text, done.finish_reason, done.tokens_out) for done in completions}


def test_actors_give_what_the_engine_gives_here():
    asked = requests(50)
    spread = RayEngine(engine="procedural", options=OPTIONS, actors=2, batch_rows=8, cpus=0.5)
    try:
        assert texts(spread.generate(asked)) == texts(ProceduralEngine(**OPTIONS).generate(asked))
        assert len(texts(spread.generate(asked[:3]))) == 3  # the same actors
        assert list(spread.generate([])) == []
    finally:
        spread.close()
    assert ray.is_initialized()  # it was there before


def test_ids_are_those_of_the_engine_within():
    spread, here = RayEngine(engine="procedural", options=OPTIONS, actors=7), ProceduralEngine(**OPTIONS)
    assert (spread.identity, spread.version) == (here.identity, here.version)
    assert spread.samples_held("2 ^ 3 mod 17") is None


def test_what_a_dead_actor_had_not_answered_is_sent_again(tmp_path):
    asked = requests(60)
    seen, once = tmp_path / "seen", tmp_path / "once"
    options = {"seen": str(seen), "once": str(once)}
    spread = RayEngine(engine="test_ray:Deadly", options=options, actors=2, batch_rows=16, cpus=0.5)
    try:
        given = list(spread.generate(asked))
    finally:
        spread.close()
    assert texts(given) == texts(ProceduralEngine(**OPTIONS).generate(asked))
    assert len(given) == 60
    times = Counter(seen.read_text().split())
    assert times[asked[20].request_id] == 2
    # What it had answered is not asked again, but for what was on its way when it died.
    assert sum(times.values()) <= 60 + 16


def test_the_request_that_kills_fails_and_no_other(tmp_path):
    asked = requests(40)
    seen = tmp_path / "seen"
    options = {"seen": str(seen), "poison": "p5"}
    spread = RayEngine(engine="test_ray:Deadly", options=options, actors=2, batch_rows=32, cpus=0.5)
    try:
        given = {done.request_id: done for done in spread.generate(asked)}
    finally:
        spread.close()
    failed = [done for done in given.values() if done.finish_reason == "error"]
    assert [done.request_id for done in failed] == [asked[5].request_id]
    assert failed[0].error.startswith("actor died: ")
    assert len(given) == 40
    assert Counter(seen.read_text().split())[asked[5].request_id] == 3


def test_a_fault_of_the_engine_as_a_whole_is_said_as_it_said_it():
    spread = RayEngine(engine="test_ray:Refusing", cpus=0.5)
    try:
        with pytest.raises(InputError) as caught:
            list(spread.generate(requests(3)))
    finally:
        spread.close()
    assert str(caught.value) == "model m is not there"


def test_completions_come_before_the_batch_ends_and_who_stops_stops_the_actors(tmp_path):
    seen = tmp_path / "seen"
    came = tmp_path / "came"
    options = {"seen": str(seen), "poison": "p30", "until": str(came)}
    spread = RayEngine(engine="test_ray:Deadly", options=options, attempts=1, cpus=0.5)
    answers = spread.generate(requests(40))
    first = [next(answers) for _ in range(5)]  # its batch is all 40, and at the thirty-first it waits, then dies
    came.touch()
    assert all(isinstance(done, Completion) and done.finish_reason != "error" for done in first)
    answers.close()
    spread.close()


def test_more_than_the_cluster_has_is_refused():
    spread = RayEngine(engine="procedural", options=OPTIONS, cpus=1000, start_timeout=1)
    with pytest.raises(InputError, match=r"no actor was ready within 1 s: each takes .*1000.*the cluster has"):
        list(spread.generate(requests(1)))
    spread.close()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"engine": "ray"}, "expected the engine that its actors hold"),
        ({"engine": "procedural", "options": {"strategy": "guess"}}, "strategy 'guess' is unknown"),
        ({"engine": "procedural", "options": OPTIONS, "actors": 0}, "actors is 0, expected a whole number from 1"),
        ({"engine": "procedural", "options": OPTIONS, "gpus": -1}, "gpus is -1, expected a number from 0"),
    ],
)
def test_wrong_options_are_named(options, message):
    with pytest.raises(InputError, match=message):
        RayEngine(**options)
