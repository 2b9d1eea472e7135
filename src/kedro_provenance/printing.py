"""What the commands print: a plan as one line a node, or counts where an update of the code made many nodes stale."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import click
from kedro.pipeline.node import Node

from kedro_provenance.records import is_about_code
from kedro_provenance.scheduler import Planned

MANY = 5
"""Number of nodes, or of reasons, that are printed one by one; more are counted."""


def print_plan(plan: Sequence[Planned], running: bool) -> None:
    """Print which nodes will run and why, which may, and how many are fresh.

    Args:
        running: whether these nodes run now, as opposed to a plan only.
    """
    updated = [planned for planned in plan if planned.status == "run" and all(map(is_about_code, planned.reasons))]
    counted = len(updated) > MANY
    shown = [planned for planned in plan if not (counted and planned in updated)]
    for name, status, reasons in _folded(shown):
        if status == "run":
            click.echo(f"run   {name}: {_listed(reasons)}")
        elif status == "if inputs change" and not counted:
            click.echo(f"maybe {name}: {'; '.join(reasons)}")
    if counted:
        _print_update(plan, updated, running)
    fresh = sum(planned.status == "fresh" for planned in plan)
    if fresh == len(plan):
        click.echo(f"nothing to run: all {fresh} nodes are fresh")
    elif fresh:
        click.echo(f"fresh {fresh} other nodes")


def _folded(plan: Iterable[Planned]) -> Iterator[tuple[str, str, list[str]]]:
    """Yield (name, status, reasons) of nodes, of all variants of a node with one status together.

    A node may have an attribute `variant`: the name of the node that it is a variant of, in what, and with which value,
    as ("ssft.train", "seed", "1"). Then it is called "ssft-seed1.train", and "-seed1" also marks the names of its data.
    """
    groups: dict[tuple[str, str], list[tuple[Planned, tuple[str, str, str] | None]]] = {}
    for planned in plan:
        variant = getattr(planned.node, "variant", None)
        groups.setdefault((variant[0] if variant else planned.node.name, planned.status), []).append((planned, variant))
    for (name, status), members in groups.items():
        reasons: dict[str, None] = {}
        for planned, variant in members:
            mark = f"-{variant[1]}{variant[2]}" if variant and len(members) > 1 else ""
            reasons |= dict.fromkeys(reason.replace(mark, "") if mark else reason for reason in planned.reasons)
        kind = next((variant[1] for _, variant in members if variant), "")
        many = f"{name} ({len(members)} {kind}s)"
        yield many if len(members) > 1 else members[0][0].node.name, status, [*reasons]


def _print_update(plan: Sequence[Planned], updated: Sequence[Planned], running: bool) -> None:
    """Print the nodes whose code changed as counts, and what a user can do about them."""
    will = _count_groups(planned.node for planned in updated)
    may = _count_groups(planned.node for planned in plan if planned.status == "if inputs change")
    for group in will:
        more = f", {may[group]} more if inputs change" if may[group] else ""
        click.echo(f"run   {group}: {_nodes(will[group])} whose code changed{more}")
    for group in [group for group in may if group not in will]:
        click.echo(f"maybe {group}: {_nodes(may[group])} if inputs change")
    click.echo(f"The code of {_nodes(len(updated))} changed after their results were made.")
    if running:
        click.echo("To keep the results as they are, stop this run and use `kedro accept` with the same options.")
    else:
        click.echo("`kedro accept` keeps the results as they are; `kedro run` makes them again.")


def print_accepted(accepted: Sequence[Planned], incomplete: Sequence[Planned] = ()) -> None:
    """Print which results were accepted as they are, and which were not because an output does not exist."""
    if len(accepted) > MANY:
        groups = _count_groups(planned.node for planned in accepted)
        listed = ", ".join(f"{group} {n}" for group, n in groups.items())
        click.echo(f"accepted the results of {_nodes(len(accepted))} as they are: {listed}")
    else:
        for planned in accepted:
            click.echo(f"accepted {planned.node.name} as it is: {_listed(planned.reasons)}")
    for planned in incomplete:
        name = planned.node.name
        click.echo(
            f"not accepted {name}: {'; '.join(planned.reasons)}. `kedro run --nodes={name}` makes it, "
            f"`kedro run --force={name}` with all that it needs"
        )
    if not accepted and not incomplete:
        click.echo("nothing to accept: no output that exists is stale")


def _listed(reasons: Sequence[str]) -> str:
    """Join reasons, of many that name code only the first."""
    code = [reason for reason in reasons if is_about_code(reason)]
    if len(code) <= MANY:
        return "; ".join(reasons)
    others = [reason for reason in reasons if reason not in code]
    return "; ".join([*others, *code[: MANY - 1], f"{len(code) - MANY + 1} more changes of code"])


def _count_groups(nodes: Iterable[Node]) -> Counter[str]:
    """Count nodes by what a user calls them by: their tags, else their namespace."""
    return Counter(", ".join(sorted(node.tags)) or node.namespace or "other nodes" for node in nodes)


def _nodes(n: int) -> str:
    return f"{n} node{'' if n == 1 else 's'}"
