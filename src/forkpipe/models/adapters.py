"""Low-rank adapters (LoRA) through peft: for models whose full training does not fit."""

from typing import Any

from forkpipe.core.forking import ForkingTags
from forkpipe.parameters import LoraSettings


def lora_config(settings: LoraSettings) -> Any:
    """Return peft's configuration of an adapter."""
    from peft import LoraConfig

    return LoraConfig(
        task_type="CAUSAL_LM",
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules=settings.target_modules,
    )


def with_rows_of_tags(config: Any, model: Any, tags: ForkingTags) -> None:
    """Change a peft configuration in place so that the adapter also trains the rows of the tokens added for the tags.

    Otherwise those rows would keep their random initial values and nothing would be learned about the tags. A
    configuration that names the rows or modules to train is left as it is.
    """
    chosen = getattr(config, "trainable_token_indices", False)
    if tags.added_ids and chosen is None and not config.modules_to_save:
        config.trainable_token_indices = _rows_of_tags(model, tags.added_ids)


def merged(model: Any) -> Any:
    """Return the model with its adapter merged into its weights, to be saved and used without peft."""
    return model.merge_and_unload() if hasattr(model, "merge_and_unload") else model


def _rows_of_tags(model: Any, ids: list[int]) -> dict[str, list[int]]:
    matrices = [model.get_input_embeddings()]
    if not model.config.tie_word_embeddings:
        matrices.append(model.get_output_embeddings())
    names = {id(module): name for name, module in model.named_modules()}
    return {names[id(matrix)]: ids for matrix in matrices}
