"""Evaluation: which samples a checkpoint is asked for, and the metrics computed from them."""
