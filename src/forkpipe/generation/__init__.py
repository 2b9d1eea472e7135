"""Trace generation: plans requests to teachers, sends them within limits, and selects trace sets."""
