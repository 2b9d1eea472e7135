"""The look of all figures: one template, one colour for each method, and names and panels that do not overlap."""

from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from forkpipe.parameters.methods import COMPARED

if TYPE_CHECKING:
    import plotly.graph_objects as go
    from plotly.graph_objects import Figure as Drawing
else:
    Drawing = Any  # plotly is imported when a figure is drawn, so that pipelines list fast

METHOD_COLOURS = {name: method.colour for name, method in COMPARED.items()}
_OTHER_COLOURS = ("#8C6D1F", "#5B3A8C")

VERDICT_COLOURS = {
    "correct": "#009E73",
    "wrong": "#D55E00",
    "unparsed": "#E69F00",
    "truncated": "#56B4E9",
    "timeout": "#CC79A7",
    "failed": "#767676",
}

NEUTRAL = "#4C6A85"
INK = "#222222"
FAINT = "#D9D9D9"
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"

_AXIS = {"showgrid": True, "gridcolor": "#EEEEEE", "linecolor": FAINT, "zeroline": False}
COLOUR_SCALE = [[0.0, "#FFFFFF"], [1.0, "#0072B2"]]


@cache
def template() -> "go.layout.Template":
    """Return the template of all figures."""
    import plotly.graph_objects as go

    return go.layout.Template(
        layout={
            "font": {"family": FONT, "size": 13, "color": INK},
            "paper_bgcolor": "white",
            "plot_bgcolor": "white",
            "colorway": [*METHOD_COLOURS.values(), *_OTHER_COLOURS],
            "margin": {"l": 70, "r": 24, "t": 64, "b": 56},
            "xaxis": {**_AXIS, "ticks": "outside"},
            "yaxis": _AXIS,
            "legend": {"orientation": "h", "x": 0, "xanchor": "left", "y": 1.12, "yanchor": "bottom"},
            "hoverlabel": {"font": {"family": FONT}},
            "colorscale": {"sequential": COLOUR_SCALE},
        }
    )


def blank() -> Drawing:
    """Return an empty figure."""
    import plotly.graph_objects as go

    return go.Figure()


def panels(rows: int, columns: int, **options: Any) -> Drawing:
    """Return an empty figure of several panels; options are those of plotly's `make_subplots`."""
    from plotly.subplots import make_subplots

    return make_subplots(rows, columns, **options)


def colour_of(method: str) -> str:
    """Return the colour of a method; an unknown one gets a colour that depends on its name only."""
    return METHOD_COLOURS.get(method) or _OTHER_COLOURS[sum(method.encode()) % len(_OTHER_COLOURS)]


def plain(text: str, most: int = 0) -> str:
    """Return a text that plotly shows as it is; with `most`, longer ones lose their middle."""
    if most and len(text) > most:
        text = f"{text[: most - most // 2 - 1]}\u2026{text[len(text) - most // 2 :]}"
    return text.replace("&", "&amp;").replace("<", "&lt;").replace("$", "&#36;")


def name_axis(names: Sequence[str], most: int = 28) -> dict[str, Any]:
    """Return the settings of an axis of names: all are written, each with at most this many characters."""
    return {
        "type": "category",
        "tickmode": "array",
        "tickvals": list(names),
        "ticktext": [plain(name, most) for name in names],
        "automargin": True,
    }


def number_axis(numbers: Sequence[int], most: int) -> dict[str, Any]:
    """Return the settings of an axis whose categories are these numbers, of which it writes at most so many."""
    shown = list(numbers)[:: -(-len(numbers) // most) or 1]
    return {
        "type": "category",
        "categoryorder": "array",
        "categoryarray": [str(number) for number in numbers],
        "range": [-0.5, len(numbers) - 0.5],
        "tickmode": "array",
        "tickvals": [str(number) for number in shown],
        "ticktext": shown,
    }


def blocks(
    titles: Sequence[str], heights: Sequence[int], per_line: int
) -> tuple[Drawing, Callable[[int, int], dict[str, int]]]:
    """Return an empty figure with one block of panels for each title, `per_line` blocks beside each other.

    Args:
        heights: pixels of the panels of a block, the upper first.

    Returns:
        (figure, place): `place(block, panel)` gives the `row` and `col` of a panel, both counted from 0.
    """
    gap, between = 14, 74  # pixels below a panel, and between lines of blocks with their titles
    per_line = max(1, min(per_line, len(titles)))
    lines, size = -(-len(titles) // per_line), len(heights) + 1  # the last row of a line is empty
    rows = ([*heights, between - 2 * gap] * lines)[:-1]
    names: list[str] = []
    specs: list[list[dict[str, Any] | None]] = []
    for row in range(len(rows)):
        line, panel = divmod(row, size)
        beside = titles[line * per_line : (line + 1) * per_line] if panel < len(heights) else []
        specs.append([{} if column < len(beside) else None for column in range(per_line)])
        names += [plain(title, 24) if panel == 0 else "" for title in beside]
    inner = sum(rows) + gap * (len(rows) - 1)
    figure = panels(
        len(rows), per_line, specs=specs, subplot_titles=names, row_heights=rows, vertical_spacing=gap / inner,
        horizontal_spacing=0.03,
    )  # fmt: skip
    finish(figure, inner + 96).update_layout(margin={"t": 44, "b": 52})
    return figure, lambda block, panel: {
        "row": 1 + block // per_line * size + panel,
        "col": 1 + block % per_line,
    }


def translucent(colour: str, opacity: float) -> str:
    """Return "#rrggbb" as rgba with an opacity of 0 to 1, for the band of an interval."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity})"


def finish(figure: Drawing, height: int) -> Drawing:
    """Give a figure the template and a height in pixels."""
    return figure.update_layout(template=template(), height=height)


def nothing(message: str) -> Drawing:
    """Return a figure that says why there is nothing to see."""
    figure = blank()
    figure.add_annotation(text=message, x=0.5, y=0.5, xref="paper", yref="paper", showarrow=False)
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False)
    return finish(figure, 140)
