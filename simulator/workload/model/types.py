"""The types of a model's counts and switches: strict, so that text and fractions are mistakes."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from simulator import units

Count = Annotated[units.Count, Field(strict=True)]
Width = Annotated[units.Width, Field(strict=True)]
Flag = Annotated[bool, Field(strict=True)]
Activation = Literal["silu", "gelu", "relu", "relu2"]
