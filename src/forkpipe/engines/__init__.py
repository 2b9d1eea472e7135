"""Engines, which complete requests: with programs, files of traces, models in this process, servers or clusters."""
