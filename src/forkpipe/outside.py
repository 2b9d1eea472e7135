"""What inputs of the pipelines name outside the project: models and data sets on the hub, folders of models."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

SECONDS = 5.0
"""Longest wait for the hub's answer."""


def refers_to(node: str, name: str, value: Any) -> Mapping[str, Any]:
    """Return what an input names: the model that training starts from, files of benchmarks, commits of data sets."""
    if (node, name) == ("make_base_checkpoint", "params:model") and value.source != "scratch":
        if Path(value.source).exists():
            return {"folder": str(Path(value.source).absolute())}
        return _commit(value.source, value.revision, "model")
    if (node, name) == ("load_benchmarks", "params:benchmarks"):
        return {f"files.{benchmark}": path for benchmark, path in value.files.items() if benchmark in value.use}
    if (node, name) == ("subjects.benchmark", "params:benchmarks"):
        return {
            f"subjects.{subject}.{key}": it
            for subject, entry in value.measure.subjects.items()
            for key, it in _model(entry.model).items()
        }
    if isinstance(members := getattr(value, "sources", None), Mapping):
        of_members = {source: refers_to(node, name, member) for source, member in members.items()}
        return {f"{source}.{key}": it for source, given in of_members.items() for key, it in given.items()}
    if type(value).__name__ == "HFDataset" and not Path(value.dataset_name).exists() and "/" in value.dataset_name:
        return _commit(value.dataset_name, value._dataset_kwargs.get("revision") or "main", "dataset")
    return {}


def _model(name: str) -> dict[str, str]:
    """Return the folder of a model, or the commit of NAME or NAME@REVISION on the hub."""
    if Path(name).expanduser().exists():
        return {"folder": str(Path(name).expanduser().absolute())}
    repository, at, revision = name.rpartition("@")
    return _commit(*((repository, revision) if at else (name, "main")), "model")


def _commit(repository: str, revision: str, kind: str) -> dict[str, str]:
    """Return the commit that a revision is, by the hub, or else by its local cache; nothing if neither can tell."""
    from huggingface_hub import HfApi, constants
    from huggingface_hub.file_download import repo_folder_name

    if re.fullmatch("[0-9a-f]{40}", revision):
        return {"commit": revision}
    try:
        return {"commit": str(HfApi().repo_info(repository, revision=revision, repo_type=kind, timeout=SECONDS).sha)}
    except Exception:  # each version of the library has errors of its own
        folder = Path(constants.HF_HUB_CACHE) / repo_folder_name(repo_id=repository, repo_type=kind)
        cached = folder / "refs" / revision
        return {"commit": cached.read_text().strip()} if cached.is_file() else {}
