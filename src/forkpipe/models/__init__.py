"""Models: checkpoints on disk, their forking tags, adapters and routers."""
