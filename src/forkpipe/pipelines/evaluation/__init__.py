"""Checkpoints -> generations -> scores -> metrics -> comparison."""
