"""What a generation costs in energy, resource by resource."""

from __future__ import annotations

from dataclasses import dataclass

from simulator.core import Resource
from simulator.hardware import System
from simulator.serving.generation import Generation, summed


@dataclass(frozen=True)
class EnergyPart:
    """One term: `count * amount * each` joules.

    Attributes:
        name: the resource, or the key of a static power.
        key: where the machine's YAML has the figure `each`, or would have it.
        count: copies of the resource.
        amount: what one copy served: bytes, engine-seconds; for static power, seconds.
        each: J a unit (W for seconds); None where the machine gives no figure.
    """

    name: str
    key: str
    count: int
    amount: float
    each: float | None

    @property
    def joules(self) -> float | None:
        return None if self.each is None else self.count * self.amount * self.each


def energy(system: System, run: Generation, replicas: int = 1) -> tuple[EnergyPart, ...]:
    """Dynamic energy, `demand x energy a unit` of each resource, and static power x time, over all devices.

    `run` is what each of the replicas does; resources of one name, one for each pipeline stage, are one term.
    """
    served: dict[str, tuple[Resource, float]] = {}
    for plan, steps in run.over_steps():
        for resource, demand in plan.demand().items():
            before = served[resource.name][1] if resource.name in served else 0.0
            served[resource.name] = resource, before + summed(demand, steps)
    parts = []
    for resource, amount in served.values():
        if amount > 0 and resource.energy != 0:
            key = system.key(resource.name)
            figure = ".".join((*key, "energy_per_flop" if key[-2] == "engines" else "energy"))
            each = None if resource.energy is None else float(resource.energy)
            parts.append(EnergyPart(resource.name, figure, resource.count * replicas, amount, each))
    machine = system.machine
    powers = [("static_power", machine.static_power, machine.nodes)]
    powers += [(f"devices.{n}.static_power", d.static_power, system.count(n)) for n, d in machine.devices.items()]
    return (*parts, *(EnergyPart(name, name, count, run.seconds, power) for name, power, count in powers))
