"""From what a trainer has logged to the training log."""

from forkpipe.training.logs import logged_columns


def test_metrics_that_are_columns_are_kept_and_others_left_out():
    logs = {"step": 4, "epoch": 1.0, "loss": 1, "grad_norm": 2.0, "trace_loss": 0.5}
    assert logged_columns(logs) == {"loss": 1.0, "trace_loss": 0.5}


def test_metrics_of_evaluation_lose_their_prefix_where_the_column_has_none():
    logs = {"step": 4, "eval_loss": 3.0, "eval_tag_purity": 0.5, "eval_usage_1": 1.0, "eval_runtime": 2.0}
    assert logged_columns(logs) == {"eval_loss": 3.0, "tag_purity": 0.5}
