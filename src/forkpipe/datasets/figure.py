"""Figures as catalog entries, with a preview for the narrow side panel of kedro viz."""

import json

import plotly.graph_objects as go
from kedro_datasets._typing import PlotlyPreview
from kedro_datasets.plotly import JSONDataset

SMALL = {"size": 9}


class FigureDataset(JSONDataset):
    """A plotly figure as one JSON file, as in `kedro_datasets`.

    Kedro viz draws it 400 pixels wide, with small letters and few ticks on the first panel alone; the preview has them
    on all panels.
    """

    def preview(self) -> PlotlyPreview:
        """Return the figure with letters, ticks and titles that fit into a narrow panel."""
        figure = self.load()
        figure.update_annotations(font=SMALL)
        for kind in ("scatter", "bar"):
            figure.update_traces(textfont=SMALL, selector={"type": kind})
        figure.update_traces(texttemplate=None, selector={"type": "heatmap"})
        figure.update_traces(header_font=SMALL, cells_font=SMALL, selector={"type": "table"})
        axes = [*figure.select_xaxes(), *figure.select_yaxes()]
        titles: set[str] = set()
        for axis in axes:
            title = axis.title.text or ""
            axis.update(tickfont=SMALL, title={"font": SMALL, "standoff": 4, "text": "" if title in titles else title})
            titles.add(title)
        for axis in figure.select_xaxes() if len(axes) > 2 else ():
            axis.update(nticks=3, dtick=None, tickangle=0)
        _name_all_rows(figure)
        return PlotlyPreview(json.loads(figure.to_json()))


def _name_all_rows(figure: go.Figure) -> None:
    """Let the first vertical axis name all of its categories, of which Kedro viz would name five at most."""
    rows = [
        y for trace in figure.data if trace.type in ("bar", "scatter") and trace.yaxis in (None, "y") for y in trace.y
    ]
    if rows and all(isinstance(y, str) for y in rows):
        figure.layout.yaxis.update(tickmode="array", tickvals=list(dict.fromkeys(rows)))
