"""What all parts of the report's model have in common."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Probability = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class Record(BaseModel):
    """A part of the report: immutable, nothing unknown in it."""

    model_config = ConfigDict(frozen=True, extra="forbid")
