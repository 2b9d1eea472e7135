"""From what a trainer has logged to rows of the table `training_log`."""

from collections.abc import Mapping
from typing import Any, cast

from forkpipe.core.rows import StepColumns

COLUMNS = frozenset(StepColumns.__annotations__)


def logged_columns(logs: Mapping[str, Any]) -> StepColumns:
    """Return the metrics that are columns of `training_log`: a new metric needs a column there and nothing else.

    A metric of evaluation goes to the column of its name, or of its name without `eval_`.
    """
    named = {name if name in COLUMNS else name.removeprefix("eval_"): value for name, value in logs.items()}
    row = {name: float(value) for name, value in named.items() if name in COLUMNS and name != "step"}
    return cast(StepColumns, row)
