"""Titles and captions of the report, for a reader who has not seen the project before."""

from forkpipe.parameters.methods import METHODS as _METHODS
from forkpipe.report.figures.registry import FIGURES as _FIGURES

METHODS = {name: method.caption for name, method in _METHODS.items()}

POLICIES = {
    "mixed": "samples of all tags pooled (of a method with one plain tag, simply its samples)",
    "best_tag": "one tag for all problems, the most accurate on validation",
    "covering_tag": "one tag for all problems, the one that training matched with the most teachers",
    "own": "the model writes its own tag",
    "native": "one sample under each tag",
}

FIGURES = {name: (figure.title, figure.caption) for name, figure in _FIGURES.items()}
"""Title and caption of each figure, in the order in which the report shows them."""
