"""`--params` whose values may be lists: `--params=generation.use=[a,b],seed=1`."""

import copy
from typing import Any

import click
from omegaconf import OmegaConf
from yaml import YAMLError


def with_lists(command: click.Command) -> click.Command:
    """Let the option --params of a command take lists and mappings, at whose commas Kedro would split."""
    command.params = [_taking_lists(option) if option.name == "params" else option for option in command.params]
    return command


def _taking_lists(option: click.Parameter) -> click.Parameter:
    split_at_commas: Any = option.callback

    def split(context: click.Context, parameter: click.Parameter, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        items = [item.strip() for item in _outside_brackets(value) if item.strip()]
        for item in items:
            if not item.partition("=")[0].strip() or "=" not in item:
                split_at_commas(context, parameter, item)  # refuses it
        try:
            return OmegaConf.to_container(OmegaConf.from_dotlist(items))
        except (ValueError, YAMLError) as error:
            return context.fail(f"--params={value}: {' '.join(str(error).split())}")

    changed = copy.copy(option)
    changed.callback = split
    return changed


def _outside_brackets(text: str) -> list[str]:
    """Split a text at the commas that stand in no brackets."""
    items, depth = [""], 0
    for letter in text:
        depth += (letter in "[{") - (letter in "]}")
        if letter == "," and depth <= 0:
            items.append("")
        else:
            items[-1] += letter
    return items
