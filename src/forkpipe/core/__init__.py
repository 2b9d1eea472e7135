"""Pure functions over records and arrays: no Kedro, no engine, no trainer is imported here.

Everything in this folder can be tested with values derived by hand.
"""
