"""What a phase is known by: the job, from which requests of its rollouts get their ids."""

from dataclasses import asdict

import pytest

from forkpipe.core.ids import content_hash
from forkpipe.models.checkpoint import Checkpoint
from forkpipe.parameters import EngineSettings, RolloutSettings, TracesPhase
from forkpipe.stores.completions import CompletionStore
from forkpipe.training.phases.base import Context
from forkpipe.training.phases.schedule import job_of

PHASE = TracesPhase(kind="traces", tag="own")


@pytest.fixture
def job(tmp_path, rl_problems, trace_sets):
    (tmp_path / "parent").mkdir()
    (tmp_path / "parent" / "config.json").write_text("{}")
    parent = Checkpoint(tmp_path / "parent")

    def of(engine=EngineSettings(), phase=PHASE):  # noqa: B008
        rollouts = RolloutSettings(engine=engine)
        context = Context(
            "test", rl_problems(2), trace_sets(2), None, rollouts, CompletionStore(None), "{problem}", 7, "verified"
        )
        return parent, context, job_of(parent, phase, 3, context)

    return of


def test_ids_are_those_of_versions_that_hashed_the_parameters_of_the_engine(job):
    parent, context, found = job()
    without_passes = {"micro_batch_size", "pass_tokens", "gradient_checkpointing", "bf16"}
    assert found == content_hash(
        parent.digest,
        PHASE.model_dump(exclude=without_passes),
        3,
        context.rollouts.model_dump(),
        [asdict(one) for one in context.problems],
        "verified",
        [asdict(one) for one in context.sets],
        "{problem}",
        7,
    )


def test_sizes_of_batches_do_not_change_a_job_and_another_engine_does(job):
    usual = job()[2]
    assert job(EngineSettings(options={"batch_rows": 7}))[2] == usual
    for changes in ({"micro_batch_size": 2}, {"pass_tokens": 900}):
        assert job(phase=PHASE.model_copy(update=changes))[2] == usual
    assert job(EngineSettings(options={"chat": True}))[2] != usual
    assert job(phase=PHASE.model_copy(update={"beta": 0.1}))[2] != usual
