"""The form of a sweep's YAML: what stays, what varies, what follows from it, what must hold and what is wanted."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from simulator.config.section import Section
from simulator.scenario.form import Scenario
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
    range: Annotated[tuple[End, ...], Field(min_length=2, max_length=3)] | None = None
    linspace: tuple[End, End, Count] | None = None
    geomspace: tuple[End, End, Count] | None = None
    name: str | None = None
    when: str | None = None


WAYS = ("values", "range", "linspace", "geomspace")

Varied: TypeAlias = Annotated[list[Scalar], Field(min_length=1)] | Steps


class Form(Section):
    """The YAML of a sweep: points are all combinations of the `axes`, by dotted path, of which the last varies fastest.

    The axes of each mapping of `zip` move together; such groups vary before the others. `derived` values follow one
    from another, `constraints` must hold, and `objectives` name axes, derived values or metrics.
    """

    title: str = ""
    base: Scenario = Field(default_factory=Scenario)
    axes: Annotated[dict[str, Varied], Field(default_factory=dict)]
    zip: Annotated[list[Annotated[dict[str, Varied], Field(min_length=1)]], Field(default_factory=list)]
    derived: Annotated[dict[str, str | float], Field(default_factory=dict)]
    constraints: tuple[str, ...] = ()
    objectives: Annotated[dict[str, Literal["max", "min"]], Field(default_factory=dict)]
