"""The form of a cache of routed experts: how much of a fast tier it fills, and what leaves it."""

from __future__ import annotations

from math import floor
from os.path import isfile
from typing import Annotated, Any, Self, TypeAlias

from pydantic import AfterValidator, Discriminator, Field, Tag, model_validator
from pydantic_core import PydanticCustomError

from simulator.config.choose import choose, registered_as
from simulator.config.section import Section
from simulator.errors import ConfigError
from simulator.files import remembered
from simulator.mapping.placement.amount import Room, amount_of
from simulator.units import Seed, Unit
from simulator.workload import Model
from simulator.workload.routing.forms import RouterForm
from simulator.workload.routing.recording import RoutingTrace, load_routing
from simulator.workload.routing.routers import ROUTERS, Router

Portion: TypeAlias = Annotated[float, Unit("1"), Field(ge=0, le=1)]


def _routing(name: str) -> str:
    return name if isfile(name) else choose(name, ROUTERS)


def _kind(value: Any) -> str:
    return "name" if isinstance(value, str) else "law"


class ExpertCache(Section):
    """A cache of routed experts in the main memory of the engine that computes them, filled before the first token.

    It begins with the most popular ones. Experts that it lacks are copied once their router has chosen them; those that
    it does not admit pass through a buffer. Shared experts are part of `ffn`, and none of its business.
    """

    in_: str | None = Field(None, alias="in")
    """The tier by its name, which must be the one that the engine runs from; null: that one."""
    amount: Room | None = None
    """Its size over all layers, of which any may fill it: bytes such as `20 GB`, or a share of the experts such as
    `30 %`."""
    experts: Annotated[int, Field(ge=0)] | None = None
    """Or how many experts of each layer it holds, each layer having room of its own."""
    policy: Annotated[str, registered_as("residency")] = "lru"
    """What leaves it: `lru`, `lfu`, `fifo`; `popularity`, by which the most popular ones stay; or `belady`, the bound
    by the choices to come."""
    inclusive: bool = True
    """Whether the tier behind keeps what is cached too; else what comes swaps places with what leaves, which is copied
    back."""
    prefetch: Portion | None = None
    """The share of the experts of a layer that the router of the layer before foretells from its own input: these are
    copied ahead, and as many in vain as it is wrong about; null: none are."""
    routing: Annotated[
        Annotated[str, AfterValidator(_routing), Tag("name")] | Annotated[RouterForm, Tag("law")], Discriminator(_kind)
    ] = "uniform"
    """Which experts tokens choose: a law by its name (`uniform`, `zipf`, `dirichlet`, `topics`), or as a section with
    its figures; or the path of a recording, whose successive tokens each sequence walks through."""
    seed: Seed = 0
    """Of the draws."""

    @model_validator(mode="after")
    def _draws_or_reads(self) -> Self:
        if "seed" in self.model_fields_set and isinstance(self.routing, str) and self.routing not in ROUTERS:
            context = {"at": ("seed",), "found": "one beside a recording", "expected": "none: nothing is drawn"}
            raise PydanticCustomError("name", "{found}, expected {expected}", context)
        return self

    @model_validator(mode="after")
    def _has_one_size(self) -> Self:
        if (self.amount is None) == (self.experts is None):
            found = "neither" if self.amount is None else "both"
            raise PydanticCustomError(
                "size", "{found}, expected one of `amount` and `experts`", {"found": f"{found} of them"}
            )
        return self

    def room(self, model: Model, layers: int, size: float) -> int:
        """How many experts of `size` bytes it holds: of each layer, or of all together by an `amount`."""
        number = experts_of(model)
        if self.experts is not None:
            return min(self.experts, number)
        share, unit = amount_of(self.amount, least=0.0)
        return min(floor(share * number * layers if unit == "1" else share / size), number * layers)

    def chooser(self, model: Model) -> Router | RoutingTrace:
        """Who chooses the experts of a model.

        Raises:
            ConfigError: a recording that cannot be read, or of other numbers of experts.
        """
        moe = model.moe
        assert moe
        routing: Router | RoutingTrace
        if not isinstance(self.routing, str):
            routing = self.routing.router()
        elif self.routing in ROUTERS:
            routing = ROUTERS[self.routing](moe.experts, moe.top_k)
        else:
            routing = _recording(self.routing, moe.experts)
        if (routing.experts, routing.top_k) != (moe.experts, moe.top_k):
            found = f"{routing.top_k} of {routing.experts} experts"
            raise ConfigError(path=("routing",), found=found, expected=f"{moe.top_k} of {moe.experts}, as {model.name}")
        return routing


def experts_of(model: Model) -> int:
    """Routed experts of a layer that has any."""
    return model.moe.experts if model.moe else 0


@remembered(16)
def _recording(file: str, experts: int) -> RoutingTrace:
    return load_routing(file, experts)
