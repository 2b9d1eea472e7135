"""SSFTTrainer: transformers.Trainer with a matching before the loss (paper, section on SSFT).

For each problem of a batch: (1) without gradient, the mean NLL of the first L tokens of each trace behind each tag;
(2) the injection of traces into tags of least total cost; (3) next-token loss on the matched sequences. Deviations: the
tag's own token is in the loss by a weight (see `core.losses`), and a problem may keep its matching for k - 1 visits.
"""

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import Trainer

from forkpipe.core.forking import ForkingTags
from forkpipe.core.losses import prefix_cost, set_loss, token_nll
from forkpipe.core.matching import Costs, Tags, margins, match_optimal, match_random
from forkpipe.core.records import Assignment
from forkpipe.training.sequences import IGNORED, EncodedSet, tag_positions, with_tags


class SSFTTrainer(Trainer):
    """Trains on whole problems; sft, ssft_random and ssft differ in `assignment` only.

    Args:
        tags: the tags of the checkpoint; one plain tag for assignment "single".
        assignment: see `core.matching`.
        prefix_length: L in tokens, None for whole traces.
        rematch_every: a problem is matched at its visits 0, k, 2k, ...
        tag_weight: weight of the loss on the tag.
        matching_rows: sequences a forward pass in the matching.
        matching_seed: of the random assignment.
        **kwargs: of transformers.Trainer; the collator must be `sequences.SetCollator`.

    Attributes:
        matching_log: a dict a (step, problem, trace): columns of the `matching` table.
        matching_seconds: time spent on costs and assignments so far.
        trace_tokens: trace tokens trained on so far.
    """

    def __init__(
        self,
        *,
        tags: ForkingTags,
        assignment: Assignment,
        prefix_length: int | None,
        rematch_every: int,
        tag_weight: float,
        matching_rows: int,
        matching_seed: int,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.tags = tags
        self.assignment = assignment
        self.prefix_length = prefix_length
        self.rematch_every = rematch_every
        self.tag_weight = tag_weight
        self.matching_rows = matching_rows
        self.matching_log: list[dict[str, Any]] = []
        self.matching_seconds = 0.0
        self.trace_tokens = 0
        self._generator = np.random.default_rng(matching_seed)
        self._visits: dict[int, int] = {}
        self._kept: dict[int, tuple[Tags, Costs | None]] = {}
        self._step_tag_tokens: int | Tensor = 0

    def get_batch_samples(
        self, epoch_iterator: Iterator[Any], num_batches: int, device: torch.device
    ) -> tuple[list[Any], Any]:
        """Count the tag tokens of the optimiser step beside the trace tokens that the base class counts."""
        batches, _ = super().get_batch_samples(epoch_iterator, num_batches, device)
        # Trace tokens are counted here too: whether the base class does depends on its version and the model's
        # signature, and where it silently does not, short micro-batches weigh too much.
        step_tokens = sum(int((batch["labels"] != IGNORED).sum()) for batch in batches)
        self._step_tag_tokens = sum(int(batch["trace_mask"].sum()) for batch in batches) * self.tags.length
        self.trace_tokens += step_tokens
        return batches, torch.tensor(step_tokens, device=device)

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Tensor],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        """Match, fill in the tags, return the set loss normalised over the optimiser step."""
        tags = self._match(model, inputs)
        tag_ids = torch.tensor(self.tags.token_ids, device=inputs["input_ids"].device)
        input_ids = with_tags(inputs["input_ids"], inputs["prompt_lengths"], tags, tag_ids)
        real = inputs["trace_mask"]
        outputs = model(input_ids=input_ids[real], attention_mask=inputs["attention_mask"][real], use_cache=False)
        nll = token_nll(outputs.logits, input_ids[real])
        trace_mask = inputs["labels"][real] != IGNORED
        tag_mask = tag_positions(inputs, self.tags.length)[real]
        loss, _ = set_loss(
            nll,
            trace_mask,
            tag_mask,
            tag_weight=self.tag_weight,
            trace_tokens=trace_mask.sum() if num_items_in_batch is None else num_items_in_batch,
            tag_tokens=tag_mask.sum() if num_items_in_batch is None else self._step_tag_tokens,
        )
        if num_items_in_batch is not None and self._base_divides():
            loss = loss * self.current_gradient_accumulation_steps
        return (loss, outputs) if return_outputs else loss

    def _base_divides(self) -> bool:
        """Whether the base class divides the loss by the number of accumulated batches, as if it were a mean."""
        known = getattr(self, "loss_is_scaled_for_ga", None)
        return not (self.model_accepts_loss_kwargs if known is None else known)

    def _match(self, model: Any, inputs: dict[str, Tensor]) -> Tensor:
        """Return (P, M) tags, by the assignment; visits and the log are kept here."""
        started = time.perf_counter()
        problems: list[EncodedSet] = [self.train_dataset[int(i)] for i in inputs["problem_index"]]
        due = [row for row, item in enumerate(problems) if self._visits.get(item.index, 0) % self.rematch_every == 0]
        if self.assignment == "optimal" and due:
            costs = self._costs(model, inputs, due)
            for row in due:
                n_traces = len(problems[row].traces)
                problem_costs = costs[row][:, :n_traces]
                self._kept[problems[row].index] = (match_optimal(problem_costs), problem_costs)
        result = torch.zeros(inputs["trace_mask"].shape, dtype=torch.long)
        for row, item in enumerate(problems):
            if self.assignment == "single":
                continue
            if self.assignment == "random":
                self._kept[item.index] = (match_random(self.tags.n, len(item.traces), self._generator), None)
            chosen, problem_costs_kept = self._kept[item.index]
            result[row, : len(item.traces)] = torch.from_numpy(chosen)
            if row in due or self.assignment == "random":
                self._log_matching(item, chosen, problem_costs_kept)
        for item in problems:
            self._visits[item.index] = self._visits.get(item.index, 0) + 1
        self.matching_seconds += time.perf_counter() - started
        return result.to(inputs["input_ids"].device)

    @torch.no_grad()
    def _costs(self, model: Any, inputs: dict[str, Tensor], due: list[int]) -> dict[int, Costs]:
        """Return, for each due row of the batch, the (N, M) costs."""
        length = inputs["input_ids"].shape[-1]
        if self.prefix_length is not None:
            longest = int(inputs["prompt_lengths"][due].max()) + self.tags.length + self.prefix_length
            length = min(length, longest)
        n, rows = self.tags.n, torch.tensor(due)
        ids = inputs["input_ids"][rows, :, :length]
        labels = inputs["labels"][rows, :, :length]
        attention = inputs["attention_mask"][rows, :, :length]
        n_problems, n_traces = ids.shape[:2]
        tag_ids = torch.tensor(self.tags.token_ids, device=ids.device)
        branches = torch.stack(
            [
                with_tags(ids, inputs["prompt_lengths"][rows], torch.full((n_problems, n_traces), tag), tag_ids)
                for tag in range(n)
            ],
            dim=1,
        ).flatten(0, 2)  # (P * N * M, L')
        masks = (labels != IGNORED)[:, None].expand(-1, n, -1, -1).flatten(0, 2)
        attention = attention[:, None].expand(-1, n, -1, -1).flatten(0, 2)
        was_training = model.training
        model.eval()  # dropout would blur the costs
        try:
            costs = torch.cat(
                [
                    prefix_cost(
                        token_nll(
                            model(
                                input_ids=branches[i : i + self.matching_rows],
                                attention_mask=attention[i : i + self.matching_rows],
                                use_cache=False,
                            ).logits,
                            branches[i : i + self.matching_rows],
                        ),
                        masks[i : i + self.matching_rows],
                        self.prefix_length,
                    )
                    for i in range(0, len(branches), self.matching_rows)
                ]
            )
        finally:
            model.train(was_training)
        table = costs.view(n_problems, n, n_traces).double().cpu().numpy()
        return dict(zip(due, table, strict=True))

    def _log_matching(self, item: EncodedSet, chosen: Tags, costs: Costs | None) -> None:
        slack = margins(costs, chosen) if costs is not None else [None] * len(chosen)
        for column, tag in enumerate(chosen):
            self.matching_log.append(
                {
                    "step": self.state.global_step,
                    "visit": self._visits.get(item.index, 0),
                    "problem_id": item.problem_id,
                    "trace_id": item.trace_ids[column],
                    "teacher": item.teachers[column],
                    "tag": int(tag),
                    "cost": float(costs[tag, column]) if costs is not None else None,
                    "margin": slack[column],
                }
            )
