"""The base of every section of a YAML, and a type of its keys."""

from __future__ import annotations

from typing import Annotated, TypeVar

from annotated_types import MinLen
from pydantic import BaseModel, ConfigDict

T = TypeVar("T")

NonEmpty = Annotated[T, MinLen(1)]
"""A list or a table of at least one: `NonEmpty[list[Count]]`."""


class Section(BaseModel):
    """A section of a YAML file: unknown keys are errors, and nothing changes once it is read.

    The docstring under a key is its line in the reference.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True)
