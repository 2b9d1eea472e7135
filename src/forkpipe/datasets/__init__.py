"""Kedro datasets of the project's own: tables with a declared schema, stores, checkpoints, raw records."""
