"""Titles and captions of the report, for a reader who has not seen the project before."""

METHODS = {
    "sft": "supervised fine-tuning on all traces behind one plain tag",
    "ssft_random": "the same traces behind several forking tags, assigned to tags at random in each step",
    "ssft_fixed": "the same, each teacher's traces behind a tag of their own (mode conditioning)",
    "ssft": "set supervised fine-tuning: traces are assigned to the tags under which they are likeliest",
    "grpo": "reinforcement learning on top of sft",
    "gfpo": "reinforcement learning on top of ssft, of the choice of the tag alone",
    "fork_rl": "reinforcement learning on top of ssft, of the choice of the tag and then of traces too",
}

POLICIES = {
    "mixed": "samples of all tags pooled (of a method with one plain tag, simply its samples)",
    "best_tag": "one tag for all problems, the most accurate on validation",
    "covering_tag": "one tag for all problems, the one that training matched with the most teachers",
    "own": "the model writes its own tag",
    "native": "one sample under each tag",
}

FIGURES: dict[str, tuple[str, str]] = {
    "comparison": (
        "Accuracy by method",
        "Each method as it would be used (see the policy in the table above). pass@1 is the accuracy of a single "
        "sample; cons@N that of a plurality vote among N samples, with ties averaged; pass@N is the share of problems "
        "that at least one of N samples solves. Lines are 95 % intervals over problems.",
    ),
    "pass_at_k": (
        "Accuracy with k tries",
        "Share of test problems that at least one of k samples solves (unbiased estimate). A method that found more "
        "ways to solve problems rises further. Solid lines pool all tags equally; dashed lines let the model write "
        "its own tag. Bands are 95 % intervals over problems.",
    ),
    "tags": (
        "What each tag came to do",
        "Test samples under each forced tag (numbered from 1, as tags are written): accuracy, mean length, and the "
        "share of texts in each strategy as told by the labeler described below. If tags mean something, columns "
        "differ; under random assignment they should not.",
    ),
    "matching": (
        "Matching during training",
        "Left: mutual information of a trace's tag and its strategy in each tenth of training; 0 means that the tag "
        "says nothing about the strategy, and the dotted line is what independent tags would show by chance. Right: "
        "by how much the chosen assignment of tags beats the next best; higher is clearer.",
    ),
    "training": (
        "Training",
        "Loss of the supervised methods; mean reward and entropy of those trained by reinforcement learning. Thin "
        "lines are single steps, thick lines a running mean.",
    ),
    "funnel": (
        "From problems to trace sets",
        "Left: what each stage of the data pipeline left. One problem gives several traces; of the correct ones, those "
        "by distinct strategies are put into the problem's trace set. Right: what the verifier said of each teacher.",
    ),
    "strategies": (
        "Strategies in the data",
        "Above: on how many problems that many strategies were found among the correct traces, and on how many a set "
        "holds that many. Below: the problem whose set holds most of them; each column is a cluster, with the steps of "
        "its representative that no other one takes and, in brackets, what sets them apart.",
    ),
    "rejected": (
        "What was left out",
        "Rows rejected on the way, by the stage that rejected them and its reason. Nothing is dropped without a row.",
    ),
}
"""Title and caption of each figure, in the order in which the report shows them."""
