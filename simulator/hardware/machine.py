"""The form of a machine's YAML: tiers, engines, links, devices and nodes."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from simulator.core import Curve
from simulator.errors import nearest
from simulator.units import Bandwidth, Bytes, EnergyPerByte, EnergyPerFlop, Fraction, Rate, Seconds, Watts

Count = Annotated[int, Field(ge=1)]


class Part(BaseModel):
    """What every part of a machine has in common: no unknown keys, and no change once it is read."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Efficiency(Part):
    """An achieved fraction over the size of a demand: linear in log(size), constant beyond the ends."""

    sizes: Annotated[list[Bytes], Field(min_length=1)]
    fractions: Annotated[list[Fraction], Field(min_length=1)]

    @model_validator(mode="after")
    def _check(self) -> Self:
        if len(self.sizes) != len(self.fractions):
            raise ValueError(f"{len(self.sizes)} sizes, expected as many as fractions ({len(self.fractions)})")
        if sorted(set(self.sizes)) != self.sizes:
            raise ValueError("sizes that do not rise, expected each larger than the one before")
        return self

    def curve(self) -> Curve:
        return Curve(tuple(self.sizes), tuple(self.fractions))


class Tier(Part):
    """One memory. Writes share the bus with reads unless `full_duplex`, and are as fast without `write_bandwidth`."""

    kind: Literal["sram", "hbm", "ddr", "flash", "host", "cxl"]
    capacity: Bytes
    bandwidth: Bandwidth
    write_bandwidth: Bandwidth | None = None
    full_duplex: bool = False
    latency: Seconds = 0.0
    granularity: Bytes = 1.0
    efficiency: Fraction | Efficiency = 1.0
    energy: EnergyPerByte | None = None


class Port(Part):
    """How an engine reads a tier: at its own bandwidth (that of the tier if absent) and achieved fraction."""

    bandwidth: Bandwidth | None = None
    efficiency: Fraction | Efficiency = 1.0


class Engine(Part):
    """What computes. `peak` is the dense rate per dtype; `reads` the tiers that it reads, fastest first."""

    kind: Literal["gpu", "dataflow", "pim", "cpu"]
    peak: Annotated[dict[str, Rate], Field(min_length=1)]
    reads: Annotated[dict[str, Port], Field(min_length=1)]
    efficiency: Fraction = 1.0
    launch_overhead: Seconds = 0.0
    slots: Count = 1
    energy_per_flop: EnergyPerFlop | None = None  # at the dtype named first; others draw the same power at full rate


class Link(Part):
    """Joins two ends; `parallel` like links side by side, each of `bandwidth` a direction."""

    bandwidth: Bandwidth
    latency: Seconds = 0.0
    parallel: Count = 1
    efficiency: Fraction | Efficiency = 1.0
    energy: EnergyPerByte | None = None


class Device(Part):
    """A socket or package; `count` of them work in lockstep. The names of `links` are `a->b` or `a<->b`."""

    count: Count = 1
    static_power: Watts | None = None
    tiers: Annotated[dict[str, Tier], Field(min_length=1)]
    engines: dict[str, Engine] = {}
    links: dict[str, Link] = {}

    @model_validator(mode="after")
    def _check(self) -> Self:
        for name, engine in self.engines.items():
            for tier in engine.reads:
                _expect(tier, self.tiers, f"engine '{name}' reads")
        for name in self.links:
            for end in ends(name):
                _expect(end, {*self.tiers, *self.engines}, f"link '{name}' joins")
        return self


class Machine(Part):
    """A whole machine: `nodes` alike, each of the devices that share a host, tiers outside them, and links.

    A link of a node joins `device.tier`, `device.engine` and the node's own tiers; `device<->device` joins the devices
    of that name with one another: its bandwidth is what each puts in.
    """

    name: str = ""
    description: str = ""
    nodes: Count = 1
    static_power: Watts | None = None
    devices: Annotated[dict[str, Device], Field(min_length=1)]
    tiers: dict[str, Tier] = {}
    links: dict[str, Link] = {}

    @model_validator(mode="after")
    def _check(self) -> Self:
        inner = {f"{d}.{part}" for d, device in self.devices.items() for part in (*device.tiers, *device.engines)}
        for name in self.links:
            for end in ends(name):
                _expect(end, {*inner, *self.devices, *self.tiers, "node"}, f"link '{name}' joins")
        return self


def ends(link: str) -> tuple[str, str]:
    """The two ends of a link by its name: `a->b` (one way) or `a<->b` (both ways)."""
    a, arrow, b = link.partition("<->")
    if not arrow:
        a, arrow, b = link.partition("->")
    if not (a and arrow and b):
        raise ValueError(f"the link name '{link}', expected 'a->b' or 'a<->b'")
    return a, b


def _expect(name: str, known: object, what: str) -> None:
    names = sorted(str(k) for k in known)  # type: ignore[attr-defined]
    if name not in names:
        guess = nearest(name, names)
        hint = f"; did you mean '{guess}'?" if guess else ""
        raise ValueError(f"{what} '{name}', expected one of {', '.join(names)}{hint}")
