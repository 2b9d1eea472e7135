"""The Kedro datasets of forkpipe: tables with a declared schema, stores, checkpoints, raw records."""
