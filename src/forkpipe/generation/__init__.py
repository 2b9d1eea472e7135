"""Trace generation: which requests teachers are asked, within which limits, and what becomes a trace set."""
