"""What training and sampling nodes take: the right split, the run's seed."""

import pyarrow as pa
import pytest

from forkpipe.core.errors import InputError
from forkpipe.evaluation.sampling import sample_checkpoint
from forkpipe.hooks import _limit_threads
from forkpipe.models.base_model import make_base_model
from forkpipe.models.identity import checkpoint_digest
from forkpipe.parameters import EvaluationSettings, TagSettings
from forkpipe.pipelines.training.nodes import rl_problems, sets_of


def problems(*splits):
    columns = ("problem_id", "problem", "answer", "answer_type", "source", "source_id", "metadata", "run_id")
    return pa.Table.from_pylist([{**dict.fromkeys(columns, str(i)), "split": split} for i, split in enumerate(splits)])


def sets(*splits):
    columns = ("problem_id", "problem", "answer", "source")
    return pa.Table.from_pylist(
        [{**dict.fromkeys(columns, str(i)), "split": split, "traces": []} for i, split in enumerate(splits)]
    )


def test_reinforcement_learning_sees_its_own_split_only():
    chosen = rl_problems(problems("train", "rl", "test", "rl", "validation"))
    assert [one.split for one in chosen] == ["rl", "rl"]
    with pytest.raises(InputError, match="no problem is in split rl"):
        rl_problems(problems("train", "test"))


def test_sets_are_taken_by_split():
    table = sets("train", "test", "train")
    assert [one.problem_id for one in sets_of("train", table)] == ["0", "2"]
    assert sets_of("validation", table) == []


def test_the_seed_is_in_the_first_weights(tmp_path, base, trace_sets):
    from conftest import MODEL

    texts = [trace.text for one in trace_sets(20) for trace in one.traces]
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        make_base_model(tmp_path / name, MODEL, TagSettings(), texts, seed)
        (tmp_path / name / "forking.json").unlink()  # it names the seed
    digests = [checkpoint_digest(tmp_path / name) for name in "abc"]
    assert digests[0] == digests[1] != digests[2]


def test_the_seed_is_in_the_samples(base, rl_problems):
    settings = EvaluationSettings.model_validate({"sampling": {"max_tokens": 8}})

    def texts(seed):
        rows = sample_checkpoint("x", base, rl_problems(2), settings, "{problem}", 6, own=True, seed=seed)
        assert len(rows) == 2 * 12
        assert {row["tag_source"] for row in rows if row["policy"] == "own"} == {"own"}
        return [row["text"] for row in rows]

    assert texts(0) == texts(0)
    assert texts(0) != texts(1)


def test_threads_are_limited():
    import os

    import torch

    before = torch.get_num_threads(), os.environ.get("OMP_NUM_THREADS")
    try:
        _limit_threads(2 if before[0] == 1 else 1)
        assert torch.get_num_threads() == (2 if before[0] == 1 else 1)
    finally:
        torch.set_num_threads(before[0])
        if before[1] is None:
            os.environ.pop("OMP_NUM_THREADS", None)
