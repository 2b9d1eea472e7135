"""Show the strategies of a problem side by side, with the steps that set them apart."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from forkpipe.strategies.base import Clusters
from forkpipe.strategies.trace_steps import Step, steps_of

STEPS_SHOWN = 6
LONGEST_STEP = 160


class Column(NamedTuple):
    """A strategy: the teachers of its traces, and the steps that only its representative takes."""

    title: str
    teachers: list[str]
    steps: list[str]


def columns_of(problem: str, texts: Sequence[str], teachers: Sequence[str], clusters: Clusters) -> list[Column]:
    """Return one column for each strategy, with the steps of its representative that no other representative takes.

    For a representative without steps (bare notation) the column shows its beginning.
    """
    described = [steps_of(problem, texts[index]) for index in clusters.representatives]
    facts = [set().union(*map(facts_of, steps)) if steps else set() for steps in described]
    columns = []
    for label, steps in enumerate(described):
        others = set().union(*(held for other, held in enumerate(facts) if other != label))
        own = [
            (step, sorted(facts_of(step) - others, key=lambda fact: (fact not in step.techniques, fact)))
            for step in steps
        ]
        members = [teachers[index] for index, cluster in enumerate(clusters.labels) if cluster == label]
        shown = [_line(step, apart) for step, apart in own if apart or len(described) == 1]
        if not steps:  # bare notation
            shown = [_short(" ".join(texts[clusters.representatives[label]].split()))]
        columns.append(
            Column(
                title=f"strategy {label}: {len(members)} of {len(texts)}",
                teachers=[f"{name} x {members.count(name)}" for name in dict.fromkeys(members)],
                steps=shown[:STEPS_SHOWN],
            )
        )
    return columns


def facts_of(step: Step) -> set[str]:
    """Return the techniques, equations, computations and values of a step."""
    return set(step.techniques | step.equations | step.computations | step.values)


def _line(step: Step, apart: Sequence[str]) -> str:
    text = _short(step.text)
    return f"{text}  [{', '.join(apart[:4])}]" if apart else text


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_STEP else f"{text[: LONGEST_STEP - 1]}…"


def table_of(problem: str, columns: Sequence[Column]) -> Any:
    """Return a rich table."""
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=escape(" ".join(problem.split())[:300]), title_justify="left", show_lines=True, expand=True)
    for column in columns:
        table.add_column(escape(f"{column.title}\n{', '.join(column.teachers)}"), overflow="fold", ratio=1)
    table.add_row(*(escape("\n\n".join(column.steps) or "nothing that sets it apart") for column in columns))
    return table
