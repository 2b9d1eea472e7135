"""Fields that a trainer's configuration and the project's parameters have in common, each declared once.

`SSFTConfig` and `GFPOConfig`, for code without Kedro, inherit them as dataclasses; `SupervisedSettings` and `TagsPhase`
inherit them as pydantic models, which check the ranges. `check_fields` makes the same checks for the dataclasses.
"""

from dataclasses import dataclass, fields
from functools import cache
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError

from forkpipe.core.errors import InputError
from forkpipe.core.records import Baseline, Gaps
from forkpipe.parameters.base import Count, Weight, problem_of


@dataclass
class SSFTFields:
    """Fields of supervised training on trace sets."""

    tag_weight: Weight = 0.1
    """Weight of the loss on the tag itself, which has its own denominator (`core.losses`)."""
    prefix_length: Count | Literal["auto"] | None = "auto"
    """L, trace tokens in the matching cost; auto: until a problem's traces have diverged; null for the whole trace."""
    auto_divergence: Count = 8
    """For auto: the tokens by which every two traces of a problem must differ (`core.prefixes`)."""
    auto_cap: Count = 1000
    """For auto: the longest L."""
    rematch_every: Count = 1
    """k: a problem is matched at its visits 0, k, 2k, ...; in between its last matching is kept."""
    rematch_gaps: Gaps = "even"
    """even: as above; doubling: the gaps between matchings are 1, 1, 2, 4 and so on up to k, because a model that knows
    nothing yet made the first matchings."""
    whole_visits: Annotated[int, Field(ge=0)] = 0
    """At so many first visits of a problem the matching reads whole traces, whatever `prefix_length` is."""
    consistency_weight: Weight = 0.0
    """Weight of a prior by which like traces get like tags in all problems, learned from the matchings so far without
    labels (`core.consistency`); its costs are nats a feature. 0 for none. With it, a problem's tags are decided anew at
    every visit, from its last costs where none are due."""
    consistency_features: Literal["ngrams", "teacher"] = "ngrams"
    """What makes traces alike. ngrams: tokens and pairs of tokens of whole traces; teacher: names of teachers."""
    matching_tokens: Count = 65536
    """Tokens in a forward pass when costs are computed: bounds memory, changes no result."""
    pass_tokens: Count | None = None
    """Tokens in a forward and backward pass, padding counted; a longer sequence has a pass of its own. null for the
    whole batch. Bounds memory, changes no result: the passes of a batch add up to its loss and its gradient."""
    logit_chunk: Count = 1024
    """Positions whose logits exist at once. A batch of no more positions gives bit for bit the loss of
    transformers.Trainer; a larger one is cut, so that no tensor is positions x vocabulary (`training.scoring`)."""
    max_length: Count | None = None
    """Longest sequence in tokens; longer ones are refused before training starts. null for the positions the model is
    made for (its max_position_embeddings), which is also the largest value allowed."""


@dataclass
class GFPOFields:
    """Fields of the objective of a policy over tags."""

    objective: Literal["exact", "sampled"] = "exact"
    """exact: the expectation over all tags, from the table of rewards; sampled: tags drawn from the policy and one of
    the tabulated rewards for each, as in the paper."""
    baseline: Baseline = "mean"
    """For sampled: what is subtracted from a reward, the mean of its group or of the others in the group."""
    scale_by_std: bool = False
    """For sampled: divide advantages by the group's standard deviation, as GRPO does."""
    kl_weight: Weight = 0.0
    """Weight of KL(policy || policy before training) over the tags, nats."""
    entropy_weight: Weight = 0.0
    """Weight of the policy's entropy over the tags, nats."""


# Built once: transformers' command-line parser changes the types of the dataclasses' fields in place.
@cache
def _check_of(declared: type) -> TypeAdapter[Any]:
    return TypeAdapter(declared)


def values_of(settings: Any, declared: type) -> dict[str, Any]:
    """Return the values that `settings` has for the fields that the dataclass `declared` declares."""
    return {field.name: getattr(settings, field.name) for field in fields(declared)}


def check_fields(config: Any, declared: type) -> None:
    """Raise InputError that names the first field of `config` whose value is not as `declared` says."""
    try:
        _check_of(declared).validate_python(values_of(config, declared))
    except ValidationError as error:
        raise InputError(problem_of(error, depth=1)) from None
