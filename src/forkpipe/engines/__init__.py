"""Engines complete requests: programs, files of existing traces, models in this process, servers, clusters."""
