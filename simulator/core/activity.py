"""An activity: demands on resources, and a latency."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import inf
from typing import Any

import numpy as np

from simulator.core.resource import Quantity, Resource


@dataclass(frozen=True, eq=False)
class Activity:
    """A kernel, a copy, a read or a collective. Alone it takes `latency + max_r(demand_r / capacity_r)`.

    Attributes:
        name: what it is, for reports.
        demand: units of each resource (bytes, engine-seconds), real ones: efficiency belongs to the resource.
        latency: seconds, spent first; uses nothing.
        weight: its priority where it shares a resource: a double weight is slowed down half as much. From 1e-3 to 1e3.

    Raises:
        ValueError: a demand or latency that is negative or not finite, a weight out of range.
    """

    name: str
    demand: Mapping[Resource, Quantity] = field(default_factory=dict)
    latency: Quantity = 0.0
    weight: float = 1.0

    def __post_init__(self) -> None:
        for what, value in (("latency", self.latency), *((r.name, d) for r, d in self.demand.items())):
            if not (0 <= value < inf if isinstance(value, float | int) else np.all((value >= 0) & np.isfinite(value))):
                raise ValueError(f"activity {self.name}: {what} must be 0 or more and finite, found {value}")
        if not 1e-3 <= self.weight <= 1e3:
            raise ValueError(f"activity {self.name}: weight must be 1e-3 to 1e3, found {self.weight}")

    def seconds(self) -> dict[Resource, Any]:
        """Seconds that each resource is busy with it."""
        return {resource: resource.seconds(demand) for resource, demand in self.demand.items()}

    def scaled(self, factor: Quantity) -> Activity:
        """The same with each demand and its latency times a factor; nothing at the points at which that is 0."""
        demand = {resource: units * factor for resource, units in self.demand.items()}
        return replace(self, demand=demand, latency=self.latency * factor)

    @cached_property
    def alone(self) -> float:
        """Seconds that it takes on an idle machine once its latency is spent: `max_r(demand_r / capacity_r)`."""
        return float(max(self.seconds().values(), default=0.0))

    @cached_property
    def shares(self) -> tuple[tuple[Resource, float], ...]:
        """The share in (0, 1] of each resource that it takes while it runs at the speed that it has alone."""
        return tuple((resource, float(busy) / self.alone) for resource, busy in self.seconds().items() if busy > 0)

    @cached_property
    def slotted(self) -> tuple[Resource, ...]:
        """The resources that it needs a slot of: none where it demands nothing."""
        return tuple(resource for resource in self.demand if resource.slots is not None) if self.alone else ()


def add(total: dict[Resource, Any], demand: Mapping[Resource, Quantity], times: float = 1) -> None:
    """Add a demand, so many times, to a total by resource."""
    for resource, units in demand.items():
        total[resource] = total.get(resource, 0.0) + (units if times == 1 else units * times)


def launched(name: str, demand: Mapping[Resource, Quantity], latency: Quantity) -> Activity:
    """A kernel or a transfer, whose latency is that of its start: where it demands nothing it is not started.

    At points of an array where all demands are 0, so is the latency.
    """
    return Activity(name, demand, _where_demanded(demand, latency))


def _where_demanded(demand: Mapping[Resource, Quantity], latency: Quantity) -> Quantity:
    """A latency at the points at which anything is demanded, and 0 at the others."""
    some: Any = False
    for units in demand.values():
        some = some | (np.asarray(units) > 0)
        if np.all(some):
            return latency
    return latency * some if np.any(some) else 0.0


def paced(name: str, seconds: float, demand: Mapping[Resource, Quantity] | None = None) -> Activity:
    """An activity with a pace of its own: it takes at least `seconds`, and its demands are spread evenly over them.

    Stands for many activities whose time alone and whose total demands are known. Alone it takes `seconds` as long as
    no demand takes longer by itself; where it meets others, peaks and troughs are smoothed.
    """
    pace = Resource(f"{name} (pace)", 1.0, unit="s", energy=0.0)
    return Activity(name, {pace: seconds, **(demand or {})})
