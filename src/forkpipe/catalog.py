"""Kedro's catalog, which holds every parameter of the project as a dataset in memory."""

from typing import Any

from kedro.io import AbstractDataset, DataCatalog, MemoryDataset

from kedro_provenance.recipes import is_parameter


class ProjectCatalog(DataCatalog):
    """Kedro's catalog, but it says how parameters are copied.

    To find that out, Kedro imports pandas and looks for ibis, for each of several hundred parameters: half a second.
    Values of YAML files are copied deeply in both cases.
    """

    def __setitem__(self, key: str, value: Any) -> None:
        if is_parameter(key) and not isinstance(value, AbstractDataset):
            value = MemoryDataset(value, copy_mode="deepcopy")
        super().__setitem__(key, value)
