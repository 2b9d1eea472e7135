"""The base class of the trainers: saves the tags with every model, and resumes from complete checkpoints."""

import math
from pathlib import Path
from typing import Any

from transformers import Trainer, TrainerCallback

from forkpipe.core.errors import InputError
from forkpipe.core.forking import ForkingTags
from forkpipe.models.adapters import with_rows_of_tags
from forkpipe.models.checkpoint import encoder, last_complete, write_tags
from forkpipe.training.sharding import check_sharded, check_whole, is_sharded, prepare_sharding, whole_weights


class TagTrainer(Trainer):
    """A transformers.Trainer of a model with forking tags, on one process or several: each holds the whole model, or
    with `fsdp=True` a part of it.

    Args:
        peft_config: a configuration of peft, to train an adapter instead of the whole model.

    Attributes:
        batches_an_epoch: of each process, while it trains.
    """

    batches_an_epoch = 0

    def __init__(
        self, model: Any, *, processing_class: Any, tags: ForkingTags, peft_config: Any = None, **kwargs: Any
    ) -> None:
        check_whole(model)
        check_tokenizer(processing_class, tags)
        if peft_config is not None:
            import torch
            from peft import get_peft_model

            with_rows_of_tags(peft_config, model, tags)
            # Initialise the adapter with the training's seed, whatever random numbers were drawn before.
            with torch.random.fork_rng():
                torch.manual_seed(kwargs["args"].seed)
                model = get_peft_model(model, peft_config)
        else:
            _refuse_half_precision(model)
        super().__init__(model=model, processing_class=processing_class, **kwargs)
        self.tags = tags
        if self.args.n_gpu > 1:
            raise InputError(f"one process sees {self.args.n_gpu} GPUs, expected one: start it with torchrun")
        prepare_sharding(self)
        self.add_callback(_Ready(self))

    def train(self, resume_from_checkpoint: str | bool | None = None, **kwargs: Any) -> Any:
        """Train; True resumes from the last complete checkpoint in the output folder, a path from that checkpoint."""
        if resume_from_checkpoint is True:
            checkpoint = last_complete(Path(self.args.output_dir))
            if checkpoint is None:
                raise InputError(f"{self.args.output_dir} holds no complete checkpoint, expected one to resume from")
            resume_from_checkpoint = str(checkpoint)
        self.begin(Path(resume_from_checkpoint) if resume_from_checkpoint else None)
        return super().train(resume_from_checkpoint=resume_from_checkpoint, **kwargs)

    def left_of_epoch(self, batches: int) -> list[int]:
        """Return for each of the next batches of this process how many rows the epoch has from its first row on.

        The last batches of an epoch are filled up with rows from its beginning, so that all processes have equal ones.
        """
        size, total, accelerator = self._train_batch_size, len(self.train_dataset), self.accelerator
        processes, accumulated = accelerator.num_processes, self.args.gradient_accumulation_steps
        if self.args.ignore_data_skip or self.batches_an_epoch != math.ceil(total / (size * processes)):
            return [total] * batches  # a loader whose order is not known here
        first = self.state.global_step % math.ceil(self.batches_an_epoch / accumulated) * accumulated
        return [total - ((first + i) * processes + accelerator.process_index) * size for i in range(batches)]

    def begin(self, checkpoint: Path | None) -> None:
        """Prepare the state outside the model; `checkpoint` is the folder to resume from, None at a fresh start."""

    def ready(self) -> None:
        """Prepare what needs the model as it is trained: sharded, if it will be, and with the checkpoint's weights."""

    def save_state_beside(self, folder: Path) -> None:
        """Write the state that `begin` reads into a checkpoint."""

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Save the model or its adapter, with the tags; during training also the state for resuming.

        Of a sharded model, the first process writes whole weights. During training, each process writes its part, if
        `fsdp_config` has `state_dict_type: SHARDED_STATE_DICT`.
        """
        folder = Path(output_dir or self.args.output_dir)
        if is_sharded(self.model) and not _internal_call:
            weights = whole_weights(self.model)
            if self.args.should_save:
                self._save(str(folder), state_dict=weights)
        else:
            super().save_model(output_dir, _internal_call)
        if self.args.should_save:
            folder.mkdir(parents=True, exist_ok=True)  # in a sharded checkpoint the tags may come first
            write_tags(folder, self.tags, base=self.model.config.name_or_path, revision=f"seed {self.args.seed}")
            if _internal_call:
                self.save_state_beside(folder)


class _Ready(TrainerCallback):
    """Tells a trainer that its model is prepared."""

    def __init__(self, trainer: TagTrainer) -> None:
        self.trainer = trainer

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Check that the model is sharded if it should be."""
        if self.trainer.is_fsdp_enabled:
            check_sharded(self.trainer.model)
        self.trainer.batches_an_epoch = len(kwargs["train_dataloader"])
        self.trainer.ready()


def check_tokenizer(tokenizer: Any, tags: ForkingTags) -> None:
    """Raise InputError if a tokenizer encodes the tags differently, or has no padding token."""
    tags.check(encoder(tokenizer), "processing_class")
    if tokenizer.pad_token_id is None:
        raise InputError("the tokenizer has no padding token, expected one: forkpipe.add_tags gives it one")


def _refuse_half_precision(model: Any) -> None:
    """Raise InputError if trained weights are bfloat16 or float16: small updates would be lost to rounding."""
    import torch

    for name, weight in model.named_parameters():
        if weight.requires_grad and weight.dtype in (torch.bfloat16, torch.float16):
            raise InputError(
                f"weight {name} is {weight.dtype}, expected float32: load the model with dtype=torch.float32; "
                "with bf16=True it still computes in bfloat16"
            )
