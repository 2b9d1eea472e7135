"""Figures as catalog entries, with a preview for the narrow side panel of kedro viz."""

import json
from typing import Any

import fsspec
from kedro.io import AbstractDataset
from kedro_datasets._typing import PlotlyPreview

SMALL = {"size": 9}


class FigureDataset(AbstractDataset[Any, Any]):
    """A plotly figure as one JSON file, written and read by the dataset of `kedro_datasets`.

    That one imports plotly, which takes longer than a plan in which all figures are fresh. So it is made when a figure
    is loaded or saved. Kedro viz draws figures 400 pixels wide, with small letters and few ticks on the first panel
    alone; the preview has them on all panels.

    Args:
        filepath: local path or any URL that fsspec knows.
        metadata: ignored by Kedro, used by plugins.
        options: other arguments of `kedro_datasets.plotly.JSONDataset`.
    """

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None, **options: Any) -> None:
        self._filepath = filepath
        self._options = options
        self.metadata = metadata

    def load(self) -> Any:
        """Return the figure."""
        return self._dataset().load()

    def save(self, data: Any) -> None:
        """Replace the file."""
        self._dataset().save(data)

    def _dataset(self) -> Any:
        from kedro_datasets.plotly import JSONDataset

        return JSONDataset(filepath=self._filepath, **self._options)

    def _exists(self) -> bool:
        filesystem, path = fsspec.core.url_to_fs(self._filepath)
        return bool(filesystem.exists(path))

    def _describe(self) -> dict[str, Any]:
        return {"filepath": self._filepath, **self._options}

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


def _name_all_rows(figure: Any) -> None:
    """Let the first vertical axis name all of its categories, of which Kedro viz would name five at most."""
    rows = [
        y for trace in figure.data if trace.type in ("bar", "scatter") and trace.yaxis in (None, "y") for y in trace.y
    ]
    if rows and all(isinstance(y, str) for y in rows):
        figure.layout.yaxis.update(tickmode="array", tickvals=list(dict.fromkeys(rows)))
