"""The form of an axis: the values that a figure takes."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import Field

from simulator.config.section import Section
from simulator.units import Count

Scalar: TypeAlias = bool | int | float | str | None
End: TypeAlias = int | float | str
"""An end of a range: a number, or a text with a unit."""


class Steps(Section):
    """The values of an axis, in one of four `WAYS`; `range` is start, stop (which is not one of them) and step.

    `linspace` and `geomspace` are first, last and how many. `name` is for expressions; under `when`, an expression of
    the axes before this one, it varies: elsewhere it is as in `base`.
    """

    values: Annotated[list[Scalar], Field(min_length=1)] | None = None
    """The values, in their order."""
    range: Annotated[tuple[End, ...], Field(min_length=2, max_length=3)] | None = None
    """Start, stop (which is not one of them) and, unless it is 1, step."""
    linspace: tuple[End, End, Count] | None = None
    """First, last and how many, at equal distances."""
    geomspace: tuple[End, End, Count] | None = None
    """First, last and how many, at equal ratios."""
    name: str | None = None
    """What expressions and tables call it; the last word of its path unless given."""
    when: str | None = None
    """An expression of axes before it, under which it varies; elsewhere it is as in `base`."""


WAYS = ("values", "range", "linspace", "geomspace")

Varied: TypeAlias = Annotated[list[Scalar], Field(min_length=1)] | Steps
