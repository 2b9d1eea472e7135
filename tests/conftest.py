"""A base model and trace sets of the smallest size at which training is training."""

from pathlib import Path

import pytest

from forkpipe.core.records import Problem, SetTrace, TraceSet
from forkpipe.demo.modular_powers import STRATEGIES, Power, no_slip, render
from forkpipe.parameters import Architecture, ModelSettings, TagSettings

MODEL = ModelSettings(
    architecture=Architecture(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=2, intermediate_size=64
    )
)


def make_sets(n: int, n_traces: int = 4) -> list[TraceSet]:
    sets = []
    for i in range(n):
        power = Power(2 + i % 15, 3 + i, 17)
        names = [list(STRATEGIES)[(i + j) % 6] for j in range(n_traces)]
        traces = tuple(
            SetTrace(f"t{i}-{j}", name, " ".join(STRATEGIES[name](power, no_slip)), j, 20)
            for j, name in enumerate(names)
        )
        sets.append(TraceSet(f"p{i}", render(power), str(pow(*power)), "demo", "train", traces))
    return sets


def make_problems(n: int, split: str = "rl") -> list[Problem]:
    powers = [Power(2 + i % 15, 50 + i, 17) for i in range(n)]
    return [
        Problem.create(
            render(power), str(pow(*power)), answer_type="integer", source="demo", source_id=str(i), split=split
        )
        for i, power in enumerate(powers)
    ]


@pytest.fixture(autouse=True)
def one_thread():
    """Sums in one order: losses are compared to many digits."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def base(tmp_path_factory) -> Path:
    """The base checkpoint, six special tags."""
    from forkpipe.models.base_model import make_base_model

    folder = tmp_path_factory.mktemp("base") / "checkpoint"
    numbers = " ".join(map(str, range(100)))
    texts = [numbers] + [trace.text for one in make_sets(20) for trace in one.traces] + [make_sets(1)[0].problem]
    make_base_model(folder, MODEL, TagSettings(), texts, seed=0)
    return folder


@pytest.fixture(scope="session")
def trace_sets():
    """A function that makes n trace sets."""
    return make_sets


@pytest.fixture(scope="session")
def rl_problems():
    """A function that makes n problems of split rl."""
    return make_problems
