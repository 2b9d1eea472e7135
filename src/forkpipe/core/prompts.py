"""Prompts: templates with a place for the problem, and those that have names."""

import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from string import ascii_uppercase

from forkpipe.core.data_files import data_text
from forkpipe.core.errors import InputError
from forkpipe.core.records import Problem

PLACEHOLDER = "{problem}"


def render(template: str, problem: str) -> str:
    """Put the problem into the template; other braces (LaTeX) stay as they are.

    >>> render("Solve {problem} and box the answer: \\\\boxed{}.", "2 + 2")
    'Solve 2 + 2 and box the answer: \\\\boxed{}.'
    """
    return template.replace(PLACEHOLDER, problem)


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt by name: a template for each kind of answer, in the words of the project that it comes from.

    `prompts.toml` says which names stand for what in a template.
    """

    name: str
    source: str
    """Repository and file."""
    licence: str
    math: str
    """For all answer types without a template of their own."""
    choice: str | None = None
    code: str | None = None
    with_starter: str | None = None

    def template(self, answer_type: str, *, starter: bool = False) -> str:
        """Return the template for an answer type; InputError if this prompt has none for programs or letters."""
        kind = answer_type if answer_type in ("choice", "code") else "math"
        template = {"choice": self.choice, "code": self.with_starter if starter else self.code}.get(kind, self.math)
        if template is None:
            having = [name for name, prompt in PROMPTS.items() if getattr(prompt, kind)]
            raise InputError(
                f"prompt '{self.name}' has no text for the answer type {kind}, expected one of: {', '.join(having)}, "
                f"or a text that holds {PLACEHOLDER}"
            )
        return template


PROMPTS = {name: Prompt(name, **entry) for name, entry in tomllib.loads(data_text(__file__, "prompts.toml")).items()}


def check_prompt(prompt: str) -> str:
    """Return the prompt if it is a name in `PROMPTS` or a text with a place for the problem, else raise ValueError."""
    if prompt not in PROMPTS and PLACEHOLDER not in prompt:
        raise ValueError(f"expected one of {', '.join(PROMPTS)}, or a text that holds {PLACEHOLDER}")
    return prompt


def prompt_for(problem: Problem, prompt: str) -> str:
    """Return what a model is asked: the problem in the named prompt, or in a text with a place for it.

    Starter code is taken from the problem's metadata (`starter_code`), the number of options from `choices`.

    Raises:
        InputError: there is no prompt of that name, or it has no text for the problem's answer type.
    """
    try:
        check_prompt(prompt)
    except ValueError as error:
        raise InputError(f"prompt is '{prompt}': {error}") from None
    metadata = json.loads(problem.metadata)
    starter = str(metadata.get("starter_code") or "")
    if prompt in PROMPTS:
        template = PROMPTS[prompt].template(problem.answer_type, starter=bool(starter.strip()))
    else:
        template = prompt
    letters = ascii_uppercase[: len(metadata.get("choices") or "ABCD")]
    return fill(
        template,
        {
            "problem": problem.problem,
            "starter": starter,
            "letters": letters,
            "letters_comma": ",".join(letters),
            "letters_or": f"{', '.join(letters[:-1])}, or {letters[-1]}",
        },
    )


def fill(template: str, values: Mapping[str, str]) -> str:
    """Replace the named places of a template at once: a value that holds the name of another place stays as it is.

    >>> fill("{a} and {b}, not {}", {"a": "{b}", "b": "2"})
    '{b} and 2, not {}'
    """
    return re.sub(r"\{(\w+)\}", lambda place: values.get(place[1], place[0]), template)
