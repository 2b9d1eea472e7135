"""Trace sets -> checkpoints: base model, supervised methods, policies."""
