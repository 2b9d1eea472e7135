"""Evaluation through any engine: which one samples, what it is asked, that it is freed, what its recipe says."""

import pytest

from forkpipe.core.errors import InputError
from forkpipe.engines.registry import create_completing
from forkpipe.engines.transformers import TransformersEngine
from forkpipe.evaluation.sampling import sample_checkpoint
from forkpipe.parameters import EngineSettings, EvaluationSettings
from forkpipe.pipelines.evaluation.nodes import generate_node
from forkpipe.pipelines.implementations import checkpoints_sampled_by
from kedro_provenance.recipes import ATTRIBUTE

SAMPLING = {"sampling": {"max_tokens": 6}}


class Recording(TransformersEngine):
    """The transformers engine, which notes what becomes of it; `left_out` requests are not answered."""

    made: list["Recording"] = []  # noqa: RUF012

    def __init__(self, *, left_out: int = 0, fails: bool = False, **options):
        super().__init__(**options)
        self.left_out, self.fails, self.asked, self.closed = left_out, fails, [], 0
        Recording.made.append(self)

    def generate(self, requests):
        self.asked = list(requests)
        if self.fails:
            raise RuntimeError("no memory")
        yield from super().generate(requests[self.left_out :])

    def close(self):
        self.closed += 1
        super().close()


@pytest.fixture
def sample(base, rl_problems):
    """A function that samples the base checkpoint through an engine."""

    def call(engine=None):
        settings = EvaluationSettings.model_validate(SAMPLING | ({"engine": engine} if engine else {}))
        return sample_checkpoint("x", base, rl_problems(2), settings, "{problem}", 6, own=True, seed=0)

    Recording.made.clear()
    return call


def test_another_engine_is_asked_the_same_and_gives_the_rows(sample, base):
    rows = sample({"name": "test_evaluation_engine:Recording", "options": {"batch_rows": 512}})
    engine, identified = Recording.made
    assert not identified.asked
    assert rows == sample()
    assert engine._checkpoint.name == str(base)
    assert len(engine.asked) == len(rows) == 2 * 12
    forced = [request for request in engine.asked if request.prefix_ids]
    assert len(forced) == sum(request.own_tag for request in engine.asked) == 12
    # Tags that the model wrote are named by their ids.
    assert len({row["tag"] for row in rows if row["policy"] == "own"} & set(range(6))) > 2
    assert [one.closed for one in Recording.made] == [1, 1]


def test_the_sizes_of_batches_are_the_engine_s(sample):
    sample({"name": "test_evaluation_engine:Recording", "options": {"batch_rows": 7}})
    assert Recording.made[0]._batch_rows == 7
    sample({"name": "transformers", "options": {"batch_rows": 3}})


def test_an_engine_that_does_not_answer_everything_is_named_and_freed(sample):
    with pytest.raises(InputError, match=r"x: engine 'test_evaluation_engine:Recording' answered 21 of 24 samples"):
        sample({"name": "test_evaluation_engine:Recording", "options": {"left_out": 3}})
    with pytest.raises(RuntimeError, match="no memory"):
        sample({"name": "test_evaluation_engine:Recording", "options": {"fails": True}})
    assert [engine.closed for engine in Recording.made] == [1] * 4


def test_an_engine_that_does_not_exist_is_named(sample):
    with pytest.raises(InputError, match=r"parameter evaluation\.engine: engine 'vlm' is unknown"):
        sample({"name": "vlm"})
    with pytest.raises(InputError, match=r"parameter evaluation\.engine\.options of engine 'transformers'"):
        sample({"name": "transformers", "options": {"rows": 3}})


def test_the_recipe_of_sampling_holds_the_engine():
    node = generate_node("ssft")
    assert getattr(node, ATTRIBUTE) is checkpoints_sampled_by
    for name, found in (("transformers", TransformersEngine), ("test_evaluation_engine:Recording", Recording)):
        settings = EvaluationSettings.model_validate({"engine": {"name": name}})
        (engine,) = checkpoints_sampled_by({"params:evaluation": settings})
        assert isinstance(engine, found)
        assert engine.identity == "transformers checkpoint main chat=False"


def test_of_ray_it_is_the_actors_engine_that_gets_the_checkpoint(base):
    pytest.importorskip("ray", reason="needs ray: pip install 'forkpipe[ray]'")
    settings = EngineSettings(name="ray", options={"engine": "transformers", "actors": 2})
    engine = create_completing(settings, str(base), 7, "evaluation.engine")
    assert engine._made_of == ("transformers", {"model": str(base), "batch_rows": 7})
    assert settings.options == {"engine": "transformers", "actors": 2}
