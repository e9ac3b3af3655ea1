"""What all sections share: values that are frozen, and times."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["Frozen", "Seconds"]

Seconds = Annotated[float, Field(gt=0, le=3600)]


class Frozen(BaseModel):
    """A section: cannot change, has no keys but its own, and repeats no value in an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)
