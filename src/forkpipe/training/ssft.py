"""SSFTTrainer: transformers.Trainer with a matching before the loss (paper, section on SSFT).

For each problem of a batch: (1) without gradient, the mean NLL of the first L tokens of each trace after each tag;
(2) the assignment of traces to distinct tags with the least total cost; (3) next-token loss on the matched sequences.
Deviations from the paper: the loss includes the tag itself, with a weight (see `core.losses`), and a problem may keep
its matching for k - 1 visits.
"""

import time
from collections.abc import Iterator
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import gather_object
from torch import Tensor

from forkpipe.core.errors import InputError
from forkpipe.core.forking import ForkingTags
from forkpipe.core.losses import set_loss
from forkpipe.models.checkpoint import listed_ends
from forkpipe.models.positions import check_positions, max_positions
from forkpipe.training.batch_costs import batch_costs, reading_whole
from forkpipe.training.config import SSFTConfig
from forkpipe.training.costs import CostSettings, evaluating
from forkpipe.training.evaluated import EvaluatesSets, Evaluation
from forkpipe.training.matchings import Matchings, names_of, prior_of
from forkpipe.training.passes import next_token_nll, part_of, sequences_in_passes
from forkpipe.training.precision import Costed, Measurement
from forkpipe.training.scoring import next_tokens
from forkpipe.training.sequences import (
    BLANK,
    IGNORED,
    SetCollator,
    encode_sets,
    first_problems,
    matched_sequences,
)
from forkpipe.training.sharding import is_sharded, missing_passes
from forkpipe.training.step_log import StepLog
from forkpipe.training.tag_check import PROBLEMS, TagCheck
from forkpipe.training.trainer import check_tokenizer


class SSFTTrainer(EvaluatesSets):
    """Trains on whole problems; SSFT and its supervised baselines differ in `args.assignment` only.

    Mixed precision, gradient accumulation and checkpointing, schedulers, loggers, evaluation, saving, resuming and
    several processes, which each hold the model or with `fsdp=True` a part of it, work as in transformers.Trainer.

    Args:
        model: a causal language model that knows the tags, see `models.tagging.add_tags`.
        args: see `SSFTConfig`.
        processing_class: its tokenizer, with a chat template.
        tags: the tags of the model; a single one for assignment "single".
        train_dataset: trace sets, see `sequences.encode_sets`.
        eval_dataset: trace sets that are not trained on.
        **kwargs: arguments of `TagTrainer`, such as `peft_config`, and of transformers.Trainer.

    Attributes:
        matchings: the tags at each visit, with costs and margins.
        matching_seconds: time spent on costs and assignments so far.
    """

    def __init__(
        self,
        model: Any,
        args: SSFTConfig,
        *,
        processing_class: Any,
        tags: ForkingTags,
        train_dataset: Any = None,
        eval_dataset: Any = None,
        **kwargs: Any,
    ) -> None:
        if not isinstance(args, SSFTConfig):
            raise TypeError(f"args is a {type(args).__name__}, expected an SSFTConfig")
        for name in ("data_collator", "compute_metrics", "compute_loss_func", "model_init"):
            if kwargs.get(name) is not None:
                raise InputError(f"{name} is given, expected none: the trainer makes batches, matching and loss itself")
        if isinstance(eval_dataset, dict):
            raise InputError("eval_dataset is a mapping, expected one table of trace sets")
        if args.assignment == "single" and tags.n != 1:
            raise InputError(f"assignment is 'single' with {tags.n} tags, expected one")
        check_tokenizer(processing_class, tags)
        if args.max_length is None:
            args.max_length = max_positions(model.config)
        else:
            check_positions(args.max_length, model.config, "max_length")
        self._ends = listed_ends(getattr(model, "generation_config", None))
        encoded = {
            name: encode_sets(sets, processing_class, tags, args, self._ends)
            for name, sets in (("train", train_dataset), ("eval", eval_dataset))
            if sets is not None
        }
        super().__init__(
            model,
            args=args,
            processing_class=processing_class,
            tags=tags,
            data_collator=SetCollator(tag_length=tags.length, pad_id=processing_class.pad_token_id),
            train_dataset=encoded.get("train"),
            eval_dataset=encoded.get("eval"),
            **kwargs,
        )
        # The loss is already normalised over all tokens of the optimiser step. Both names are set because not all
        # versions of transformers know the first.
        self.loss_is_scaled_for_ga = True
        self.model_accepts_loss_kwargs = True
        self.names = {name: names_of(table, args.mode_field) for name, table in encoded.items()}
        self.matchings = self._fresh_matchings("train")
        if "eval" in encoded:
            self._fresh_matchings("eval")  # refuse a misfit now, not at the first evaluation
        self.matching_seconds = 0.0
        self._evaluation: Evaluation | None = None
        self._step_tag_tokens: Tensor | int = 0
        self._log = StepLog()
        self._tag_ids = torch.tensor(tags.token_ids)
        self._to_check = False

    def begin(self, checkpoint: Path | None) -> None:
        """Start without matchings, or with those of the checkpoint."""
        self.matchings = self._fresh_matchings("train")
        self._log = StepLog()
        if checkpoint:
            self.matchings.load(checkpoint)
        self._to_check = self.args.check_tags and checkpoint is None

    def ready(self) -> None:
        """Say what a fresh model does with its tags; all processes look, if they hold the model together."""
        if self._to_check and (self.accelerator.is_main_process or is_sharded(self.model)):
            check = self.check_tags()
            if self.accelerator.is_main_process:
                check.log(self.args.assignment)

    def check_tags(self) -> TagCheck:
        """Return what the model does with its tags, on the first problems of the training."""
        rows = [self.train_dataset[i] for i in range(min(PROBLEMS, len(self.train_dataset)))]
        inputs = self._prepare_inputs(self.data_collator(rows))
        with evaluating(self.model), self.accelerator.autocast():
            several = list(range(len(rows))) if self.tags.n > 1 else []
            costed = self._costs(self.model, inputs, several, self.matchings.measured) if several else []
            ends = self._ends | listed_ends(self.processing_class)
            return TagCheck.of(self.model, self.processing_class, self.tags, rows, costed, ends, self.args.logit_chunk)

    def save_state_beside(self, folder: Path) -> None:
        """Write the matchings."""
        self.matchings.save(folder)

    def get_batch_samples(
        self, epoch_iterator: Iterator[Any], num_batches: int, device: torch.device
    ) -> tuple[list[Any], Any]:
        """Count trace and tag tokens of the optimiser step, over all its micro-batches and processes."""
        batches, _ = super().get_batch_samples(epoch_iterator, num_batches, device)
        left = self.left_of_epoch(len(batches))
        batches = [first_problems(batch, n) for batch, n in zip(batches, left, strict=True)]
        # The base class counts only in some versions and for some models' signatures; if it does not, shorter
        # micro-batches get too much weight.
        trace_tokens = sum(int((batch["labels"] != IGNORED).sum()) for batch in batches)
        tag_tokens = sum(int(batch["trace_mask"].sum()) for batch in batches) * self.tags.length
        counts = torch.tensor([[trace_tokens, tag_tokens]], device=device)
        trace_count, self._step_tag_tokens = self.accelerator.gather(counts).sum(dim=0)
        self._add_to_log(tokens=float(trace_count), steps=1.0)
        return batches, trace_count

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Tensor],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        """Match, fill in the tags, return the set loss normalised over the optimiser step.

        With `pass_tokens` and gradients, all passes but the last go backward in here; the loss that is returned has the
        value of all and the graph of the last. With `return_outputs` the batch is one pass.
        """
        sequences = self._matched(model, inputs)
        *earlier, last = (
            [list(range(len(sequences["input_ids"])))] if return_outputs else self._passes(model, sequences)
        )
        counts: list[Any] = [num_items_in_batch, self._step_tag_tokens]
        if num_items_in_batch is None:
            counts = [(next_tokens(sequences[name]) != IGNORED).sum() for name in ("trace_labels", "tag_labels")]
        before: Tensor | float = 0.0
        for rows in earlier:
            # Processes that hold the whole model exchange gradients once, in the last pass: they may have different
            # numbers of passes.
            with nullcontext() if is_sharded(model) else self.accelerator.no_sync(model):
                loss, _ = self._loss(model, part_of(sequences, rows), *counts, logged=num_items_in_batch is not None)
                if torch.is_grad_enabled():
                    self.accelerator.backward(loss)
            before = before + loss.detach()
        loss, outputs = self._loss(model, part_of(sequences, last), *counts, logged=num_items_in_batch is not None)
        loss = loss + before if earlier else loss
        return (loss, outputs) if return_outputs else loss

    def _passes(self, model: Any, sequences: dict[str, Tensor], whole: bool = False) -> list[list[int]]:
        """Return the sequences of each pass; processes that hold the model together have equally many passes."""
        missing = partial(missing_passes, model, self.accelerator)
        return sequences_in_passes(sequences, None if whole else self.args.pass_tokens, missing)

    def _loss(
        self, model: Any, sequences: dict[str, Tensor], trace_tokens: Any, tag_tokens: Any, *, logged: bool
    ) -> tuple[Tensor, Any]:
        """Return the set loss of some sequences of an optimiser step, with the step's denominators, and the output."""
        nll, trace_mask, tag_mask, outputs = next_token_nll(model, sequences, self.args.logit_chunk)
        counts = {"trace_tokens": trace_tokens, "tag_tokens": tag_tokens}
        loss, parts = set_loss(nll, trace_mask, tag_mask, tag_weight=self.args.tag_weight, **counts)
        if logged:
            # Processes average their gradients, but the denominators count the tokens of all processes.
            loss = loss * self.accelerator.num_processes
            self._add_to_log(**{name: part * self.accelerator.num_processes for name, part in parts.items()})
        return loss, outputs

    def _matched(self, model: Any, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return the sequences of a batch with their tags, see `matched_sequences`."""
        tags = self._match(model, inputs)
        return matched_sequences(inputs, tags, self._tag_ids.to(tags.device))

    def _match(self, model: Any, inputs: dict[str, Tensor]) -> Tensor:
        """Return the tags that the assignment gives to the traces, (P, M)."""
        started = time.perf_counter()
        matchings = self.matchings if self._evaluation is None else self._evaluation.matchings
        indices = [index for index in inputs["problem_index"].tolist() if index != BLANK]  # blank ones come last
        due = matchings.due(indices)
        batch = reading_whole(inputs, matchings.read_whole(indices))
        # Without costs of its own a process takes part in the passes of the others.
        takes_part = due or (matchings.assignment == "optimal" and is_sharded(model))
        costed = self._costs(model, batch, due, matchings.measured) if takes_part else []
        costs = dict(zip(due, costed, strict=True))
        asked = [(index, costs.get(row)) for row, index in enumerate(indices)]
        # Every process decides and keeps all matchings, in one order: the next visit of a problem may be in another
        # process, and a prior depends on the matchings before.
        everywhere = gather_object([asked]) if self.accelerator.num_processes > 1 else [asked]
        decided = [[matchings.visit(*problem) for problem in part] for part in everywhere]
        tags = torch.zeros(inputs["trace_mask"].shape, dtype=torch.long)
        for row, visit in enumerate(decided[self.accelerator.process_index if len(decided) > 1 else 0]):
            tags[row, : len(visit.tags)] = torch.tensor(visit.tags)
        visits = [visit for part in decided for visit in part]
        if self._evaluation is not None:
            visits = matchings.first_visits(visits)
        matchings.remember(visits, self.state.global_step)
        seconds = time.perf_counter() - started
        self.matching_seconds += seconds
        self._add_to_log(matching_seconds=seconds)
        return tags.to(inputs["input_ids"].device)

    def _costs(self, model: Any, inputs: dict[str, Tensor], due: list[int], known: Measurement) -> list[Costed]:
        """Return the (N, M) costs of each due row of the batch, with their error."""
        if isinstance(model, torch.nn.parallel.DistributedDataParallel):
            model = self.accelerator.unwrap_model(model, keep_fp32_wrapper=True)
        tag_ids = self._tag_ids.to(inputs["input_ids"].device)
        settings = CostSettings(self.args.matching_tokens, self.args.logit_chunk, self.args.shared_prompt)
        return batch_costs(model, inputs, due, tag_ids, settings, known, self.accelerator)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Log the loss and what was collected since the last log, see `step_log`."""
        if "loss" in logs:
            logs |= self._log.take(self.accelerator)
        super().log(logs, start_time)

    def _add_to_log(self, **values: float | Tensor) -> None:
        if self._evaluation is None:
            self._log.add(**values)

    def _fresh_matchings(self, split: str) -> Matchings:
        config = self.args
        seed = config.seed if config.data_seed is None else config.data_seed
        names = self.names.get(split, [])
        if split == "eval":
            return Matchings(names, config.assignment, self.tags.n, 1, seed, self.matchings.tag_of)
        weight = config.consistency_weight if config.assignment == "optimal" else 0.0
        prior = prior_of(self.train_dataset, config.consistency_features, self.tags.n) if names and weight else None
        rule = config.rematch_gaps, config.whole_visits, prior, weight
        return Matchings(names, config.assignment, self.tags.n, config.rematch_every, seed, None, *rule)
