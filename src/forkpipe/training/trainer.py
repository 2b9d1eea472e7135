"""What the trainers share: tags beside every saved model, and resuming from a checkpoint that is whole."""

from pathlib import Path
from typing import Any

from transformers import Trainer

from forkpipe.core.errors import InputError
from forkpipe.core.forking import ForkingTags
from forkpipe.training.checkpoint import encoder, last_complete, write_tags


class TagTrainer(Trainer):
    """A transformers.Trainer of a model with forking tags.

    Args:
        model: a causal language model that knows the tags, see `training.tagging.add_tags`.
        processing_class: its tokenizer, with a chat template.
        tags: the tags of the model.
        peft_config: of peft, to train an adapter in place of the whole model.
        **kwargs: of transformers.Trainer.
    """

    def __init__(
        self, model: Any, *, processing_class: Any, tags: ForkingTags, peft_config: Any = None, **kwargs: Any
    ) -> None:
        tags.check(encoder(processing_class), "processing_class")
        if processing_class.pad_token_id is None:
            raise InputError("the tokenizer has no padding token, expected one: training.tagging.add_tags gives it one")
        if peft_config is not None:
            from peft import get_peft_model

            model = get_peft_model(model, peft_config)
        super().__init__(model=model, processing_class=processing_class, **kwargs)
        self.tags = tags
        if self.args.n_gpu > 1:
            raise InputError(f"one process sees {self.args.n_gpu} GPUs, expected one: start it with torchrun")

    def train(self, resume_from_checkpoint: str | bool | None = None, **kwargs: Any) -> Any:
        """Train; True resumes from the last complete checkpoint in the output folder, a text from that checkpoint."""
        if resume_from_checkpoint is True:
            found = last_complete(Path(self.args.output_dir))
            if found is None:
                raise InputError(f"{self.args.output_dir} holds no complete checkpoint, expected one to resume from")
            resume_from_checkpoint = str(found)
        self.begin(Path(resume_from_checkpoint) if resume_from_checkpoint else None)
        return super().train(resume_from_checkpoint=resume_from_checkpoint, **kwargs)

    def begin(self, checkpoint: Path | None) -> None:
        """Prepare what a training needs beside the model; `checkpoint` is what it resumes from, if it does."""

    def save_state_beside(self, folder: Path) -> None:
        """Write into a checkpoint what `begin` reads."""

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Save the model so that it can be used by itself; within training also what resuming needs."""
        super().save_model(output_dir, _internal_call)
        if self.args.should_save:
            folder = Path(output_dir or self.args.output_dir)
            write_tags(folder, self.tags, base=self.model.config.name_or_path, revision=f"seed {self.args.seed}")
            if _internal_call:
                self.save_state_beside(folder)
