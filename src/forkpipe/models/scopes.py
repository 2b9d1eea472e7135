"""Which weights training the policy over tags may change."""

from typing import Any

from forkpipe.core.errors import DoesNotFitError
from forkpipe.core.forking import ForkingTags


def head_rows(model: Any, tags: ForkingTags) -> Any:
    """Return the peft configuration that trains the tags' rows of the output matrix and nothing else.

    The optimizer then holds N rows only: weight decay would change other rows even without a gradient. Engines ban tags
    after the tag's place, so no completion changes, and rewards that were tabulated once stay valid. Training all
    weights is not safe by itself: every later position attends to the end of the prompt, which it changes
    (docs/decisions/gfpo-scope.md).

    Raises:
        DoesNotFitError: training these rows would change more than the choice of the tag.
    """
    from peft import TrainableTokensConfig

    check_head_scope(tags, model.config.tie_word_embeddings)
    return TrainableTokensConfig(target_modules=[output_name(model)], token_indices=list(tags.deciding_ids))


def output_name(model: Any) -> str:
    """Return the name of the output matrix within the model."""
    output = model.get_output_embeddings()
    return next(name for name, module in model.named_modules() if module is output)


def check_head_scope(tags: ForkingTags, tied: bool) -> None:
    """Raise DoesNotFitError if training the tags' output rows would change more than the choice of the tag."""
    if not tags.added_ids:
        raise DoesNotFitError(
            f"scope is 'head' and tags.style '{tags.style}', whose tags are made of ordinary tokens and share their "
            "output rows: expected tags.style 'special', or scope 'router'"
        )
    if tied:
        raise DoesNotFitError(
            "scope is 'head' and the model ties its embeddings: expected an untied output matrix, or scope 'router'"
        )
