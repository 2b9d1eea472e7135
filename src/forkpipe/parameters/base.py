"""Types that the groups of parameters are made of."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from forkpipe.core.prompts import PLACEHOLDER

Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]


def _holds_problem(template: str) -> str:
    if PLACEHOLDER not in template:
        raise ValueError(f"expected a text that holds {PLACEHOLDER}")
    return template


Template = Annotated[str, AfterValidator(_holds_problem)]


class Settings(BaseModel):
    """A group of parameters: unknown names are refused, values cannot be changed."""

    model_config = ConfigDict(extra="forbid", frozen=True)
