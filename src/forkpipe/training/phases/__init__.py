"""Reinforcement learning in phases: each leads from a checkpoint to the next, and a method is a list of them."""
