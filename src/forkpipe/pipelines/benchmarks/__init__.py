"""Benchmarks and models -> samples -> scores -> metrics of benchmarks."""
