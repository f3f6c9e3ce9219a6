"""What the parts of a machine have in common."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Count = Annotated[int, Field(ge=1)]


class Part(BaseModel):
    """What every part of a machine has in common: no unknown keys, and no change once it is read."""

    model_config = ConfigDict(extra="forbid", frozen=True)
