"""The error for wrong input, and other errors as one line."""


class InputError(ValueError):
    """A file, a row, a field or a parameter of the user is wrong.

    The message is one line that says what is wrong and what is expected. `kedro run` prints this line without a
    traceback, so it must hold everything that the user needs.

    >>> raise InputError("data/problems.jsonl row 3: field 'answer' is list, expected text")
    Traceback (most recent call last):
    forkpipe.core.errors.InputError: data/problems.jsonl row 3: field 'answer' is list, expected text
    """


class DoesNotFitError(InputError):
    """The machine or the model cannot do what a method needs, now or later.

    In a run of several methods it costs the method its row, and the run goes on with the others.
    """


def one_line(error: BaseException) -> str:
    """Return the message of an error on one line, its class where it has none."""
    return " ".join(str(error).split()) or type(error).__name__
