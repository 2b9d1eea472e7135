"""The work of a stage on many items, over the cores of this machine or a Ray cluster: `mapped.mapped`, and no more."""
