"""Recompute only what changed: records beside artifacts, and a runner that reads them.

This package knows Kedro and nothing of this project's traces or training, so that it could be a plugin of its own. A
*recipe* is all that determines what a node makes: its code, its parameters, the content of its inputs. A *record*
beside each output holds the recipe it was made by and a digest of its content. A node whose record agrees with today's
recipe is fresh; see `scheduler` for what runs.
"""
