"""Reinforcement learning in phases: each phase of a method trains from one checkpoint to the next."""
