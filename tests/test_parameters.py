"""Parameters: what is refused, and in which words."""

from pathlib import Path

import pytest
from kedro.config import OmegaConfigLoader

from forkpipe.config import ProjectConfigLoader
from forkpipe.core.errors import InputError
from forkpipe.parameters import (
    EngineSettings,
    EvaluationSettings,
    JudgeSettings,
    RolloutSettings,
    TeacherSettings,
    check_parameters,
    supervised_settings,
)
from forkpipe.settings import CONFIG_LOADER_ARGS

CONF = Path(__file__).parents[1] / "conf"


def parameters(env=None, **runtime):
    loader: OmegaConfigLoader = ProjectConfigLoader(CONF, env=env, runtime_params=runtime, **CONFIG_LOADER_ARGS)
    return loader["parameters"]


ENVIRONMENTS = [
    "base",
    "import_traces",
    "openr1",
    "paper",
    "pretrained_gpu",
    "programs",
    "ray",
    "single_gpu",
    "smoke",
    "tight",
    "vllm_cpu",
]


@pytest.mark.parametrize("env", ENVIRONMENTS)
def test_every_environment_is_valid(env):
    assert check_parameters(parameters(env, inputs={"traces": "t", "problems": "p", "model": "m"})).environment == env


@pytest.mark.parametrize(
    ("runtime", "message"),
    [
        ({"seeed": 1}, "parameter seeed does not exist"),
        ({"seed": -1}, "parameter seed is -1: input should be greater than or equal to 0"),
        ({"ssft": {"train": {"lr": 1}}}, "parameter ssft.train.lr does not exist"),
        ({"supervised": {"learning_rate": "fast"}}, "parameter supervised.learning_rate is 'fast'"),
        ({"tags": {"n": 3}}, "tags.n is 3 and trace_sets.max_traces 4: expected at least as many tags"),
        ({"trace_sets": {"min_strategies": 5}}, "trace_sets.min_strategies is 5, expected at most"),
        ({"trace_sets": {"teachers": ["me"]}}, "trace_sets.teachers names 'me', expected teachers that are asked: "),
        (
            {"trace_sets": {"select": "teachers", "teachers": ["peasant"]}},
            "trace_sets.select is 'teachers' and trace_sets.teachers names one teacher, which gives one trace a set",
        ),
        ({"rollouts": {"group_size": 8}}, "rollouts.group_size is 8, expected a multiple of tags.n, 6"),
        ({"supervised": {"warmup_steps": 500}}, "warmup_steps is 500, expected fewer than max_steps, 500"),
        ({"model": {"architecture": {"hiden_size": 3}}}, "parameter model.architecture.hiden_size does not exist"),
        (
            {"verification": {"options": {"mth": {}}}},
            "options names 'mth', expected one of: choice, exact, math",
        ),
        ({"generation": {"use": ["nobody"]}}, "use names 'nobody', expected one of: square_multiply"),
        ({"fork_rl": {"train": {"traces": {"steps": 44}}}}, "router 15, traces 44 steps with rollouts, expected 60"),
        ({"fork_rl": {"train": {"router": {"steps": 60}}}}, "router 60, traces None steps with rollouts, expected 60"),
        ({"gfpo": {"train": {"tags": None}}}, "gfpo.train: its phases take no steps with rollouts, expected 60"),
        ({"gfpo": {"train": {"tags": {"scope": "full"}}}}, "scope is 'full' without an anchor"),
        ({"gfpo": {"train": {"tags": {"refresh_every": 5}}}}, "scope is 'head' with an anchor or refresh_every"),
        ({"gfpo": {"train": {"tags": {"kind": "tgs"}}}}, "gfpo.train.tags"),
        ({"grpo": {"train": {"traces": {"router_learning_rate": 0.1}}}}, "expected tag 'router'"),
        (
            {"grpo": {"train": {"traces": {"micro_batch_size": 7}}}},
            "grpo.train: phase traces has micro_batch_size 7, expected a divisor of 192, the rollouts of a step",
        ),
        ({"evaluation": {"engine": {"nam": "vllm"}}}, "parameter evaluation.engine.nam does not exist"),
        (
            {"evaluation": {"engine": {"name": "vllm", "options": {}}, "options": {}}},
            "options are in engine and beside it",
        ),
        ({"generation": {"teachers": {"peasant": {"engine": {"nam": "x"}}}}}, "engine.nam does not exist"),
        ({"evaluation": {"pass_at": []}}, "parameter evaluation.pass_at is []"),
        ({"problems": {"shares": {"train": 0.9}}}, "shares sum to 1.42, expected 1"),
        ({"generation": {"teachers": {"peasant": {"prompt": "Go"}}}}, "expected a text that holds {problem}"),
    ],
)
def test_wrong_parameters_are_named_in_one_line(runtime, message):
    with pytest.raises(InputError) as caught:
        check_parameters(parameters(**runtime))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


ASK_ENGINES = (EvaluationSettings, RolloutSettings, TeacherSettings, JudgeSettings)


@pytest.mark.parametrize("settings", ASK_ENGINES)
@pytest.mark.parametrize("options", [None, {}, {"gpus": 2, "options": {"engine": "transformers"}}])
def test_an_engine_can_be_named_in_two_forms(settings, options):
    given = {} if options is None else {"options": options}
    beside = settings.model_validate({"engine": "vllm", **given})
    within = settings.model_validate({"engine": {"name": "vllm", **given}})
    assert beside == within
    if settings in (EvaluationSettings, RolloutSettings):
        assert (beside.engine.name, beside.engine.options) == ("vllm", options or {})
    else:
        assert (beside.engine, beside.options) == ("vllm", options or {})


def test_recipes_hold_the_fields_that_they_held():
    """Artifacts that were made before are not made again: their recipes name these fields."""
    for settings in (EvaluationSettings, RolloutSettings):
        dumped = settings.model_validate({"engine": "vllm", "options": {"actors": 2}}).model_dump()
        assert dumped["engine"] == {"name": "vllm", "options": {"actors": 2}}
        assert "options" not in dumped


def test_options_alone_are_those_of_the_default_engine():
    assert EvaluationSettings.model_validate({"options": {"a": 1}}).engine == EngineSettings(options={"a": 1})


def test_an_environment_names_an_engine_in_either_form():
    for engine in (
        {"engine": "vllm", "options": {"actors": 2}},
        {"engine": {"name": "vllm", "options": {"actors": 2}}},
    ):
        checked = check_parameters(parameters(evaluation=engine))
        assert checked.evaluation.engine == EngineSettings(name="vllm", options={"actors": 2})


def test_a_methods_own_settings_go_over_the_common_ones():
    checked = check_parameters(parameters(ssft={"train": {"learning_rate": 1e-3}}))
    assert supervised_settings(checked.supervised, checked.ssft.train).learning_rate == 1e-3
    assert supervised_settings(checked.supervised, checked.sft.train).learning_rate == 4e-3


def test_an_environment_changes_what_it_names_and_no_more():
    assert check_parameters(parameters("tight")).generation.teachers["peasant"].sampling.max_tokens == 20
    assert check_parameters(parameters("tight")).generation.teachers["peasant"].samples == 2


def test_phases_of_a_method_that_is_not_trained_stop_nothing():
    """fork_rl's phases cannot share one step; who trains ssft and gfpo alone need not care."""
    one_step = {"rollouts": {"steps": 1}, "fork_rl": {"train": {"router": {"steps": 1}}}}
    check_parameters(parameters(methods=["ssft", "gfpo"], **one_step))
    with pytest.raises(InputError, match=r"fork_rl\.train: its phases take router 1, traces None steps"):
        check_parameters(parameters(methods=["fork_rl"], **one_step))


def test_an_open_phase_takes_the_steps_that_are_left():
    checked = check_parameters(parameters(fork_rl={"train": {"fold": {"kind": "fold", "steps": 7}}}))
    assert checked.fork_rl.train.steps(checked.rollouts) == {"router": 15, "traces": 45, "fold": 7}
    assert checked.gfpo.train.steps(checked.rollouts) == {"tags": 60}
    without = check_parameters(parameters("smoke", fork_rl={"train": {"fold": None}}))
    assert list(without.fork_rl.train.phases()) == ["router", "traces"]
