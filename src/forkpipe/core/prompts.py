"""From a problem to the text that is asked."""

from forkpipe.core.errors import InputError

PLACEHOLDER = "{problem}"


def check_template(template: str, where: str) -> None:
    """Raise InputError unless the template holds `{problem}`."""
    if PLACEHOLDER not in template:
        raise InputError(f"{where} is {template!r}, expected a text that holds {PLACEHOLDER}")


def render(template: str, problem: str) -> str:
    """Put the problem into the template; other braces (LaTeX) stay as they are.

    >>> render("Solve {problem} and box the answer: \\\\boxed{}.", "2 + 2")
    'Solve 2 + 2 and box the answer: \\\\boxed{}.'
    """
    return template.replace(PLACEHOLDER, problem)
