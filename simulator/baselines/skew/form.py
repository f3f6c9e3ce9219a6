"""The form of a `skew` experiment's YAML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field

import simulator.mapping.experts  # noqa: F401  # this registers splits
from simulator.baselines.experiment import Experiment
from simulator.config.choose import registered_as
from simulator.config.section import Section
from simulator.units import Count, Positive, Seed, Unit, Width
from simulator.workload.measured import MeasuredRouting, load_measured
from simulator.workload.routers import ROUTERS, Popular


class _Router(Section):
    """Experts of one layer; with `devices`, they lie on so many, each with its block of them."""

    devices: Count | None = None


class _Generated(_Router):
    kind: str
    experts: Count
    top_k: Count

    def router(self) -> Popular:
        """The generator of that name, with all that the section says of it."""
        return ROUTERS[self.kind](**self.model_dump(exclude={"kind", "devices"}))


class UniformRouter(_Generated):
    """All experts equally likely."""

    kind: Literal["uniform"]


class ZipfRouter(_Generated):
    """Popularity that falls with the rank."""

    kind: Literal["zipf"]
    exponent: Annotated[float, Unit("1"), Field(ge=0)]
    seed: Seed = 0


class DirichletRouter(_Generated):
    """Popularity drawn a layer."""

    kind: Literal["dirichlet"]
    concentration: Positive
    seed: Seed = 0


class TopicsRouter(_Generated):
    """Popularity drawn a topic and a layer; the tokens of a step share topics."""

    kind: Literal["topics"]
    concentration: Positive
    topics: Count
    per_step: Count = 1
    seed: Seed = 0


class MeasuredRouter(_Router):
    """Popularity counted in one `layer` of a recording, by its name in `workloads/routing`."""

    kind: Literal["measured"]
    counts: str
    layer: Width

    def router(self) -> Popular:
        """Tokens that pick independently."""
        return self.read().router(self.layer)

    def read(self) -> MeasuredRouting:
        """The file of counts."""
        return load_measured(self.counts)


AnyRouter: TypeAlias = Annotated[
    UniformRouter | ZipfRouter | DirichletRouter | TopicsRouter | MeasuredRouter, Field(discriminator="kind")
]


class Sharing(Section):
    """Two engines of one device that share its experts: those of `model`, as many as the router has.

    `split` is a registered way to share them.
    """

    hardware: str
    model: str
    high: str
    low: str
    split: Annotated[str, registered_as("split")] = "greedy"


class SkewExperiment(Experiment):
    """The YAML of a `skew` experiment: steps of `tokens` tokens, `draws` of them in each of `layers` layers."""

    kind: Literal["skew"]
    routers: Annotated[dict[str, AnyRouter], Field(min_length=1)]
    tokens: Annotated[list[Count], Field(min_length=1)]
    layers: Count = 1
    draws: Count
    seed: Seed = 0
    sharing: Sharing | None = None

    def only(self, conditions: Sequence[Mapping[str, Any]]) -> SkewExperiment:
        """The same experiment with no more than the routers and the tokens that conditions name."""
        routers = {
            name: r for name, r in self.routers.items() if any(c.get("router", name) == name for c in conditions)
        }
        tokens = [n for n in self.tokens if any(c.get("tokens", n) == n for c in conditions)]
        return self.model_copy(update={"routers": routers, "tokens": tokens})
