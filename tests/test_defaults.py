"""Values that depend on what is run: a pretrained model gets nothing that was tuned for the embedded default."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from forkpipe.core.errors import InputError
from forkpipe.parameters import check_parameters
from forkpipe.parameters.defaults import CONDITIONS, resolve
from test_parameters import ENVIRONMENTS, parameters

PRETRAINED = {"source": "Qwen/Qwen3-0.6B"}
TEACHER = {"engine": "vllm", "options": {"model": "m"}}


def checked(env=None, **runtime):
    return check_parameters(parameters(env, **runtime))


def test_a_section_lies_beneath_what_is_given_and_only_where_it_applies():
    raw = {
        "when_scratch": {"a": {"x": 1, "y": 2}, "b": 3},
        "when_pretrained": {"a": {"x": 10}},
        "a": {"y": 20, "z": 30},
    }
    assert resolve(raw) == {"a": {"x": 1, "y": 20, "z": 30}, "b": 3}
    model = {"model": PRETRAINED}
    assert resolve({**raw, **model}) == {"a": {"x": 10, "y": 20, "z": 30}, **model}


def test_the_later_of_two_sections_counts_and_null_is_a_value():
    raw = {
        "when_adapters": {"rate": 2, "lora": None},
        "when_pretrained": {"rate": 1, "kept": 1},
        "model": PRETRAINED,
        "supervised": {"lora": {"rank": 4}},
    }
    resolved = resolve(raw)
    assert (resolved["rate"], resolved["kept"], resolved["lora"]) == (2, 1, None)
    assert resolve({**raw, "rate": None})["rate"] is None
    assert resolve({**raw, "supervised": {}})["rate"] == 1


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ({"when_toy": {}}, "parameter when_toy does not exist, expected one of: when_scratch, when_pretrained"),
        ({"when_scratch": 3}, "parameter when_scratch is 3, expected parameters"),
        ({"when_pretrained": None}, "parameter when_pretrained is None, expected parameters"),
    ],
)
def test_what_is_no_section_is_refused(raw, message):
    with pytest.raises(InputError, match=message):
        resolve(raw)


values = st.recursive(
    st.sampled_from([None, 0, 1, "x"]),
    lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)
groups = st.dictionaries(st.sampled_from("abc"), values, max_size=3)


def leaves(value, path=()):
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            yield from leaves(inner, (*path, name))
    else:
        yield path, value


@given(groups, groups)
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_nothing_that_is_given_is_changed_and_nothing_of_another_kind_comes_in(section, given_values):
    assert resolve(given_values) == given_values
    assert resolve({**given_values, "when_pretrained": section}) == given_values
    resolved = dict(leaves(resolve({**given_values, "when_scratch": section})))
    stated = dict(leaves(given_values))
    below = dict(leaves(section))
    for path, value in stated.items():
        if value != {}:  # an empty group says nothing
            assert resolved[path] == value
    for path, value in resolved.items():
        assert stated.get(path, below.get(path, "neither")) == value


def test_a_pretrained_source_alone_gets_the_recipe_and_nothing_of_the_toy():
    found = checked(model=PRETRAINED)
    training = found.supervised
    assert (training.epochs, training.max_steps, training.learning_rate) == (5, None, 1e-5)
    assert training.problems_per_step * training.gradient_accumulation == 16
    assert (training.warmup_steps, training.scheduler, training.weight_decay) == (0.05, "cosine", 1e-4)
    assert (training.prefix_length, training.rematch_every, training.bf16) == (1000, 1, "auto")
    assert found.cpu_threads is None
    assert found.evaluation.sampling.max_tokens == found.rollouts.sampling.max_tokens == "auto"
    assert (found.evaluation.sampling.temperature, found.evaluation.sampling.top_p) == (0.7, 0.95)
    assert {phase.scope for phase in found.gfpo.train.phases().values()} == {"router"}
    schedules = (found.grpo.train, found.gfpo.train, found.fork_rl.train)
    assert max(phase.learning_rate for schedule in schedules for phase in schedule.phases().values()) <= 1e-4


def test_the_embedded_default_is_as_it_was():
    found = checked()
    training = found.supervised
    assert (training.max_steps, training.learning_rate, training.warmup_steps) == (500, 4e-3, 50)
    assert (training.problems_per_step, training.gradient_accumulation, training.weight_decay) == (16, 1, 0.01)
    assert (training.prefix_length, training.rematch_every, training.logit_chunk, training.bf16) == (12, 4, 4096, False)
    assert (found.cpu_threads, found.rollouts.steps, found.rollouts.problems_per_step) == (1, 60, 32)
    assert found.rollouts.sampling.max_tokens == found.evaluation.sampling.max_tokens == 32
    assert found.evaluation.sampling.top_p == 1
    assert found.gfpo.train.phases()["tags"].scope == "head"
    assert found.trace_sets.select == "drawn"


def test_adapters_have_a_rate_of_their_own_and_a_given_rate_counts():
    lora = {"lora": {"rank": 8}}
    assert checked(model=PRETRAINED, supervised=lora).supervised.learning_rate == 1e-4
    assert checked(model=PRETRAINED, supervised={**lora, "learning_rate": 3e-4}).supervised.learning_rate == 3e-4
    assert checked(supervised=lora).supervised.learning_rate == 4e-3  # the rate of a model from scratch


@pytest.mark.parametrize(
    ("generation", "expected"),
    [
        ({}, "drawn"),
        ({"use": ["cycle"]}, "drawn"),
        ({"use": ["cycle", "mine"], "teachers": {"mine": TEACHER}}, "teachers"),
        ({"use": ["mine", "other"], "teachers": {"mine": TEACHER, "other": TEACHER}}, "teachers"),
        ({"use": ["mine"], "teachers": {"mine": TEACHER}}, "divergent"),
    ],
)
def test_sets_are_selected_by_what_teachers_are(generation, expected):
    assert checked(generation=generation).trace_sets.select == expected
    assert checked(generation=generation, trace_sets={"select": "random"}).trace_sets.select == "random"


def test_one_teacher_gives_no_sets_by_teacher():
    message = "select is 'teachers' and generation asks one teacher.*expected several teachers, or select 'divergent'"
    with pytest.raises(InputError, match=message):
        checked(generation={"use": ["cycle"]}, trace_sets={"select": "teachers"})


def test_environments_whose_teachers_are_models_select_by_teacher():
    inputs = {"traces": "t", "problems": "p", "model": "m"}
    found = {env: checked(env, inputs=inputs).trace_sets.select for env in ENVIRONMENTS}
    assert {env for env, select in found.items() if select == "teachers"} >= {"import_traces", "paper", "single_gpu"}
    assert found["vllm_cpu"] == "divergent"
    assert {found[env] for env in ("base", "smoke", "tight", "ray", "programs")} == {"drawn"}


def test_every_section_of_the_configuration_is_a_condition():
    from forkpipe.config import ProjectConfigLoader
    from forkpipe.settings import CONFIG_LOADER_ARGS
    from test_parameters import CONF

    loader = ProjectConfigLoader(CONF, **CONFIG_LOADER_ARGS)
    raw = super(ProjectConfigLoader, loader).__getitem__("parameters")
    assert {name.removeprefix("when_") for name in raw if name.startswith("when_")} == set(CONDITIONS)
