"""One folder a stage: `pipeline.py` wires, `nodes.py` does the work of a node in a few lines."""
