"""Records, tables and pure functions over arrays. Nothing here imports Kedro, an engine or a trainer.

Everything in this folder can be tested with values derived by hand.
"""
