"""Subjects: the models that are measured, with whatever tags they have. Their files are read and never written."""

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from forkpipe.core.errors import InputError, one_line
from forkpipe.core.forking import NO_TAGS, parse_tags
from forkpipe.core.hub import unreachable
from forkpipe.core.ids import content_hash
from forkpipe.core.protocols import Asked, TagPolicy
from forkpipe.models.checkpoint import Checkpoint
from forkpipe.models.identity import FILES

_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class Subject:
    """A model on disk that is measured.

    Attributes:
        name: what tables call it.
        folder: its files.
        tags: the tags that it has without forking.json ("text:6"), "none" to leave out those that it has, None to
            take them from forking.json, if there is one.
        commit: of a model on the hub, if its weights are not here.
    """

    name: str
    folder: Path
    tags: str | None = None
    commit: str = ""

    @cached_property
    def plain(self) -> Checkpoint:
        """The model, as it is asked without tags."""
        return Checkpoint(str(self.folder), tags_given=NO_TAGS)

    @cached_property
    def tagged(self) -> Checkpoint:
        """The model, as it is asked under tags."""
        return Checkpoint(str(self.folder), tags_given=self.tags)

    @cached_property
    def digest(self) -> str:
        """What names the model in requests: a hash of what changes its answers, or its commit on the hub."""
        return content_hash("hub", self.name, self.commit) if self.commit else self.plain.digest

    @property
    def n_tags(self) -> int:
        """Number of forking tags, 0 for a plain model."""
        return self.tagged.tags.n if self.tagged.has_tags else 0

    def engine_tags(self, asked: Asked) -> str | None:
        """Return what an engine is told of tags for requests of a kind (its option `tags`)."""
        return self.tags if asked.kind != "none" else NO_TAGS if self.tagged.has_tags else None

    def prompt(self, content: str, asked: Asked) -> str:
        """Put a user's message through the chat template, up to where a forced tag or the answer begins."""
        return (self.plain if asked.kind == "none" else self.tagged).prompt(content)

    def prefix(self, asked: Asked) -> tuple[int, ...]:
        """Return the token ids that stand after the prompt: those of the forced tag."""
        return self.tagged.tags.token_ids[asked.tag] if asked.kind == "forced" else ()

    def check(self, policy: TagPolicy) -> None:
        """Raise InputError if the model cannot be asked under a policy."""
        policy.split(1, self.n_tags)
        if policy.kind == "router" and not self.tagged.has_router:
            raise InputError(f"policy 'router': {self.folder} has no router, expected policy own")


def open_subject(model: str, *, name: str | None = None, tags: str | None = None, weights: bool = True) -> Subject:
    """Return the model of a folder, or of NAME or NAME@REVISION on the hub, whose files are then fetched to its cache.

    Args:
        model: the folder, or the name.
        name: what tables call it, by default `model`.
        tags: see `Subject`.
        weights: whether they are needed here; a server may have them.

    Raises:
        InputError: there is no such model, it is incomplete, or its tokenizer does not suit the tags.
    """
    if tags is not None:
        parse_tags(tags)
    folder, commit = Path(model).expanduser(), ""
    if not folder.exists():
        folder, commit = _from_hub(model, weights)
    if not (folder / "config.json").is_file():
        raise InputError(f"model '{model}': {folder} has no config.json, expected a folder of a Hugging Face model")
    if weights and not any(folder.glob("*.safetensors")):
        raise InputError(f"model '{model}': {folder} has no *.safetensors, expected weights in that format")
    subject = Subject(name or model, folder.resolve(), tags, "" if weights else commit)
    try:
        _ = subject.n_tags
        subject.plain.prompt("2 + 2")
    except (OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"model '{model}': its tokenizer cannot be loaded: {one_line(error)}") from error
    return subject


def _from_hub(model: str, weights: bool) -> tuple[Path, str]:
    """Return the local copy of a model on the hub, and its commit."""
    from huggingface_hub import snapshot_download

    repository, at, revision = model.rpartition("@") if "@" in model else (model, "", "main")
    if not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", repository) or (at and not revision):
        raise InputError(f"model '{model}': no such folder, and no name on the hub (NAME or NAME@REVISION)")
    wanted = [*FILES, "*/adapter_config.json", "*/*.safetensors", "additional_chat_templates/*"]
    patterns = wanted if weights else [pattern for pattern in wanted if "safetensors" not in pattern]
    missing = unreachable()
    try:
        folder = Path(
            snapshot_download(repository, revision=revision, allow_patterns=patterns, local_files_only=bool(missing))
        )
    except Exception as error:  # each version of the library has errors of its own
        raise InputError(
            f"model '{model}': no such folder, and it cannot be fetched from the hub: {missing or one_line(error)}"
        ) from error
    return folder, folder.name if _COMMIT.fullmatch(folder.name) else revision
