"""The form of a `study` experiment's YAML: what to show of a sweep that stands beside it."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field

import simulator.explore.sweep.search  # noqa: F401  # this registers methods
from simulator.baselines.experiment import Experiment
from simulator.config.choose import registered_as
from simulator.config.section import Section
from simulator.units import Count, Fraction

Sense: TypeAlias = Literal["max", "min"]


class Heat(Section):
    """A metric over two axes, each by its name; `where` keeps points alone that have these values."""

    x: str
    y: str
    value: str
    best: Sense | None = None
    where: Annotated[dict[str, Any], Field(default_factory=dict)]
    title: str = ""


class Front(Section):
    """All designs by two metrics, with the front of the sweep's objectives among those that `where` keeps."""

    x: str
    y: str
    colour: str | None = None
    label: tuple[str, ...] = ()
    where: Annotated[dict[str, Any], Field(default_factory=dict)]
    title: str = ""


class Crossing(Section):
    """Two values of one axis beside one another over another: where does one begin to win?"""

    x: str
    value: str
    between: str
    first: Any
    second: Any
    where: Annotated[dict[str, Any], Field(default_factory=dict)]
    title: str = ""


class Searches(Section):
    """Searches of the same space beside the whole: each with so many seeds, and as many evaluations as a `share` of
    the feasible points that have all objectives.
    """

    methods: Annotated[list[Annotated[str, registered_as("search")]], Field(min_length=1)]
    share: Fraction = 0.05
    seeds: Count = 5
    batch: Count = 32


class StudyExperiment(Experiment):
    """The YAML of a `study`: `sweep` names a study's `sweep.yaml`, or a path.

    `keep`: whether the table has all points, or those alone that are on the front of the objectives.
    """

    kind: Literal["study"]
    sweep: str
    keep: Literal["all", "front"] = "all"
    fronts: Annotated[dict[str, Front], Field(default_factory=dict)]
    heats: Annotated[dict[str, Heat], Field(default_factory=dict)]
    crossings: Annotated[dict[str, Crossing], Field(default_factory=dict)]
    search: Searches | None = None
    set: tuple[str, ...] = ()
