"""The one error that is the user's to mend."""


class InputError(ValueError):
    """Something the user gave is wrong: a file, a row, a field or a parameter.

    The message is one line that names what is wrong and what is expected. `kedro run` prints that line and
    no traceback, so everything the user needs must be in it.

    >>> raise InputError("data/problems.jsonl row 3: field 'answer' is list, expected text")
    Traceback (most recent call last):
    forkpipe.core.errors.InputError: data/problems.jsonl row 3: field 'answer' is list, expected text
    """
