"""Models: what a checkpoint is on disk, its tags, adapters and router."""
