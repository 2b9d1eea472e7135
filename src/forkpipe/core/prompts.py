"""Prompts: a template with a place for the problem."""

PLACEHOLDER = "{problem}"


def render(template: str, problem: str) -> str:
    """Put the problem into the template; other braces (LaTeX) stay as they are.

    >>> render("Solve {problem} and box the answer: \\\\boxed{}.", "2 + 2")
    'Solve 2 + 2 and box the answer: \\\\boxed{}.'
    """
    return template.replace(PLACEHOLDER, problem)
