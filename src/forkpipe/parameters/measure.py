"""Parameters of measuring models on benchmarks: which models, how they are asked, what is computed."""

from typing import Annotated

from pydantic import Field, field_validator, model_validator

from forkpipe.core.forking import NO_TAGS, TagStyle
from forkpipe.core.protocols import Protocol, Share, TagPolicy, parse_share
from forkpipe.parameters.base import AsksEngine, Count, EngineSettings, Settings
from forkpipe.parameters.methods import COMPARED
from forkpipe.parameters.traces import SamplingSettings


class GivenTags(Settings):
    """The tags of a model that has no forking.json."""

    style: TagStyle
    n: Count


class SubjectSettings(Settings):
    """A model that is measured: it is read and never written."""

    model: str
    """Folder of a Hugging Face model, or NAME or NAME@REVISION on the hub."""
    tags: GivenTags | str | None = None
    """null: those of its forking.json, if it has one; none: no tags, whatever it has."""
    engine: EngineSettings | None = None
    """Another engine for this model, such as {name: openai, options: {base_url: ..., model: name at the server}}."""

    @field_validator("tags")
    @classmethod
    def _none_by_name(cls, tags: GivenTags | str | None) -> GivenTags | str | None:
        if isinstance(tags, str) and tags != NO_TAGS:
            raise ValueError("expected none, or style and n")
        return tags

    @property
    def tags_given(self) -> str | None:
        """The tags as `models.checkpoint.Checkpoint` takes them."""
        return f"{self.tags.style}:{self.tags.n}" if isinstance(self.tags, GivenTags) else self.tags


class MeasureSettings(AsksEngine):
    """Which models are measured on the benchmarks, and how; the grammar is in `core.protocols`."""

    methods: list[str] = []
    """The run's own methods that are measured, of those that the run trains; base: the model that they start from."""
    subjects: dict[Annotated[str, Field(pattern=r"^[\w-]+$")], SubjectSettings] = {}
    """Further models by name."""
    benchmarks: list[str] = []
    """NAME or NAME:SAMPLES, as aime24:66; empty for all of `benchmarks.use`."""
    policies: Annotated[list[str], Field(min_length=1)] = ["spread"]
    """Under which tags a model is asked; one without tags is asked under none."""
    protocols: Annotated[list[str], Field(min_length=1)] = ["avg@4"]
    """What is computed."""
    sampling: SamplingSettings = Field(
        default_factory=lambda: SamplingSettings(temperature=0.7, top_p=0.95, max_tokens=32768)
    )
    engine: EngineSettings = Field(default_factory=EngineSettings)
    batch_rows: Count = 64
    """Sequences generated at a time by the engine transformers."""
    bootstrap: Annotated[int, Field(ge=100)] = 2000
    """Number of bootstrap resamples for the interval of each difference between two models."""

    @field_validator("policies")
    @classmethod
    def _known_policies(cls, texts: list[str]) -> list[str]:
        return [str(TagPolicy.parse(text)) for text in texts]

    @field_validator("protocols")
    @classmethod
    def _known_protocols(cls, texts: list[str]) -> list[str]:
        return [str(Protocol.parse(text)) for text in texts]

    @field_validator("benchmarks")
    @classmethod
    def _readable_shares(cls, texts: list[str]) -> list[str]:
        names = [parse_share(text).name for text in texts]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"names {name} twice, expected each benchmark once")
        return texts

    @model_validator(mode="after")
    def _names_differ(self) -> "MeasureSettings":
        for name in self.methods:
            if name not in COMPARED:
                raise ValueError(f"methods names '{name}', expected some of: {', '.join(COMPARED)}")
        for name in self.subjects:
            if name in (*COMPARED, "subjects"):
                raise ValueError(f"subjects has '{name}', which is a method: expected another name")
        return self

    def shares(self, use: list[str]) -> list[Share]:
        """Return the benchmarks with their numbers of samples.

        Args:
            use: the benchmarks of the run.
        """
        return [parse_share(text) for text in self.benchmarks or use]
