"""Runs programs that nobody has read, in confined processes; knows nothing of problems, answers or verdicts.

`local.LocalSandbox` forks a confined process for each run from a worker that has imported the standard library
already; `sandbox_fusion` and `piston` ask a service. `probe` says what this machine can isolate.
"""
