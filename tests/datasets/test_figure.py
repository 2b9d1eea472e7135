"""Figures: saved as they are, previewed for a narrow panel."""

import subprocess
import sys

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from forkpipe.datasets.figure import FigureDataset


def test_the_preview_fits_a_narrow_panel_and_the_file_is_as_it_was(tmp_path):
    figure = make_subplots(1, 2, shared_yaxes=True, subplot_titles=["first", "second"])
    for column in (1, 2):
        figure.add_scatter(x=[0.1, 0.2], y=["sft", "ssft"], text=["10", "20"], mode="markers+text", row=1, col=column)
        figure.update_xaxes(title_text="share", dtick=0.25, row=1, col=column)
    dataset = FigureDataset(filepath=str(tmp_path / "figure.json"))
    dataset.save(figure)
    preview = dataset.preview()
    assert preview["layout"]["yaxis"]["tickvals"] == ["sft", "ssft"]
    assert [preview["layout"][axis]["title"]["text"] for axis in ("xaxis", "xaxis2")] == ["share", ""]
    assert [preview["layout"][axis]["nticks"] for axis in ("xaxis", "xaxis2")] == [3, 3]
    assert {trace["textfont"]["size"] for trace in preview["data"]} == {9}
    assert dataset.load() == figure


def test_tables_and_heatmaps_have_a_preview(tmp_path):
    figure = make_subplots(2, 1, specs=[[{"type": "xy"}], [{"type": "table"}]])
    figure.add_heatmap(z=[[0.5]], texttemplate="%{z:.0%}", row=1, col=1)
    figure.add_table(header={"values": ["step"]}, cells={"values": [["7 sq"]]}, row=2, col=1)
    dataset = FigureDataset(filepath=str(tmp_path / "figure.json"))
    dataset.save(go.Figure(figure))
    heatmap, table = dataset.preview()["data"]
    assert heatmap.get("texttemplate") is None
    assert table["cells"]["font"]["size"] == 9


def test_a_catalog_of_figures_and_parameters_imports_neither_plotly_nor_pandas(tmp_path):
    program = """
import sys
from forkpipe.catalog import ProjectCatalog
entry = {"type": "forkpipe.datasets.figure.FigureDataset", "filepath": sys.argv[1]}
catalog = ProjectCatalog.from_config({"figure": entry})
given = {"teachers": ["a"]}
catalog["params:generation"] = given
given["teachers"].append("b")
assert catalog.load("params:generation") == {"teachers": ["a"]}, "a parameter is a copy"
assert not catalog.exists("figure")
print([name for name in ("plotly", "pandas") if name in sys.modules])
"""
    command = [sys.executable, "-c", program, str(tmp_path / "figure.json")]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "[]\n"
