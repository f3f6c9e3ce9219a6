"""The forms of a section `router`: who picks the experts of a layer, by a law or as was recorded."""

from __future__ import annotations

from typing import Annotated, Literal, Self, TypeAlias

from pydantic import Field, model_validator

from simulator.config.refused import refused
from simulator.config.section import Section
from simulator.files import remembered
from simulator.units import Count, Positive, Seed, Unit, Width
from simulator.workload.routing.measured import MeasuredRouting, load_measured
from simulator.workload.routing.routers import ROUTERS, Popular


class _Law(Section):
    kind: str
    experts: Count
    """Experts of a layer."""
    top_k: Count
    """How many different ones a token picks."""

    @model_validator(mode="after")
    def _can_be_drawn(self) -> Self:
        with refused():
            self.router()
        return self

    def router(self) -> Popular:
        """Tokens that pick independently."""
        return ROUTERS[self.kind](**self.model_dump(exclude={"kind"}))


class UniformRouter(_Law):
    """All experts equally likely."""

    kind: Literal["uniform"]


class ZipfRouter(_Law):
    """Popularity that falls with the rank."""

    kind: Literal["zipf"]
    exponent: Annotated[float, Unit("1"), Field(ge=0)] = 1.0
    """The expert of rank r has popularity `r^-exponent`."""
    seed: Seed = 0
    """Of the ranks."""


class DirichletRouter(_Law):
    """Popularity drawn a layer."""

    kind: Literal["dirichlet"]
    concentration: Positive = 1.0
    """Nearly even popularity where it is large, peaked where it is small."""
    seed: Seed = 0
    """Of the popularity."""


class TopicsRouter(_Law):
    """Popularity drawn a topic and a layer; the tokens of a step share topics."""

    kind: Literal["topics"]
    concentration: Positive = 1.0
    """Nearly even popularity where it is large, peaked where it is small."""
    topics: Count = 8
    """Topics in all."""
    per_step: Count = 1
    """Topics of a step."""
    seed: Seed = 0
    """Of the popularity."""


class MeasuredRouter(Section):
    """Popularity counted in one layer of a recording."""

    kind: Literal["measured"]
    counts: str
    """A file of counts, by its name in `workloads/routing` or its path."""
    layer: Width
    """The recorded layer."""

    @model_validator(mode="after")
    def _is_recorded(self) -> Self:
        with refused("counts"):
            recording = _recording(self.counts)
        with refused("layer"):
            recording.router(self.layer)
        return self

    def router(self) -> Popular:
        """Tokens that pick independently."""
        return _recording(self.counts).router(self.layer)


RouterForm: TypeAlias = Annotated[
    UniformRouter | ZipfRouter | DirichletRouter | TopicsRouter | MeasuredRouter, Field(discriminator="kind")
]


@remembered(16)
def _recording(counts: str) -> MeasuredRouting:
    return load_measured(counts)
