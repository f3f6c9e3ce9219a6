"""The form of a machine's YAML: tiers, engines, links, devices and nodes."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from simulator.config.section import NonEmpty, Section
from simulator.core import Curve
from simulator.hardware.flash import Flash
from simulator.hardware.stack import Pim, Stack
from simulator.units import (
    Bandwidth,
    Bytes,
    Count,
    EnergyPerByte,
    EnergyPerFlop,
    Fraction,
    Rate,
    Seconds,
    Size,
    Unit,
    Watts,
)


class Efficiency(Section):
    """An achieved fraction over the size of a demand: its log is linear in log(size), and constant beyond the ends."""

    sizes: NonEmpty[list[Bytes]]
    fractions: list[Fraction]

    @field_validator("sizes")
    @classmethod
    def _rise(cls, sizes: list[float]) -> list[float]:
        if any(b <= a for a, b in pairwise(sizes)):
            raise ValueError("sizes that do not rise: expected each larger than the one before")
        return sizes

    @field_validator("fractions")
    @classmethod
    def _as_many(cls, fractions: list[float], info: ValidationInfo) -> list[float]:
        sizes = info.data.get("sizes", fractions)  # absent where they are wrong themselves
        if len(fractions) != len(sizes):
            raise ValueError(f"found {len(fractions)}, expected as many as sizes ({len(sizes)})")
        for (a, b), (f, g) in zip(pairwise(sizes), pairwise(fractions), strict=True):
            if g / f > b / a * (1 + 1e-12):
                raise ValueError(f"found {f:g} and then {g:g}, expected to grow no faster than the sizes")
        return fractions

    def curve(self) -> Curve:
        return Curve(tuple(self.sizes), tuple(self.fractions))


class Tier(Section):
    """One memory. Writes share the bus with reads unless `full_duplex`, and are as fast without `write_bandwidth`.

    Capacity and bandwidth may be left out where they follow from `stacks` of DRAM, bandwidth from channels of flash
    (`derive.py`).
    """

    kind: Literal["sram", "hbm", "ddr", "flash", "host", "cxl"]
    stacks: Count = 1
    stack: Stack | None = None  # what one is like
    flash: Flash | None = None  # how one of kind flash is read
    capacity: Bytes = 0.0  # left out: derived
    reserved: Size = 0.0  # kept by the runtime, not for weights and KV
    bandwidth: Bandwidth = 0.0  # left out: derived
    write_bandwidth: Bandwidth | None = None
    full_duplex: bool = False
    latency: Seconds = 0.0
    granularity: Bytes = 1.0
    efficiency: Fraction | Efficiency = 1.0
    energy: EnergyPerByte | None = None


class Port(Section):
    """How an engine reads a tier: at its own bandwidth (that of the tier if absent) and achieved fraction.

    The bytes of an engine in the memory do not cross the tier's bus: what they cost is the `energy` of the port.
    """

    bandwidth: Bandwidth | None = None
    efficiency: Fraction | Efficiency = 1.0
    copy_bandwidth: Bandwidth | None = None  # that the engine copies within the tier: rows, each read and written
    energy: EnergyPerByte | None = None


class Phases(Section):
    """What starting one kernel takes: its program is loaded, its arguments are, and it is set off."""

    load: Seconds = 0.0  # for each PCU and PMU that the kernel configures, while the kernel before it runs
    arguments: Seconds = 0.0
    execute: Seconds = 0.0


class Launch(Section):
    """The phases of the hardware, always, and those that a host adds where software orchestrates."""

    hardware: Phases = Phases()
    software: Phases = Phases()


class Fabric(Section):
    """The grid of a dataflow engine: compute units (PCUs) and memory units (PMUs), equal parts of it.

    The PMUs are the on-chip tier that the engine reads: each has its capacity and bandwidth over `pmus`; a PCU has the
    peak rate over `pcus`.
    """

    pcus: Count
    pmus: Count
    usable: Fraction = 1.0  # of each, that one kernel can fill
    tile_rows: Count = 1  # rows of a tensor that a stage takes at a time
    stage_latency: Seconds = 0.0  # a tile's way through a stage, however many units work on it
    fusion: Literal["streaming", "conventional", "unfused"] = "streaming"
    max_span: Literal["layer", "none"] = "layer"  # the most that one kernel holds
    collectives: Literal["streamed", "after"] = "after"  # inside a kernel, or when it has ended
    prefetch: bool = False  # weights of a kernel are loaded while it is launched
    looping: bool = False  # consecutive calls of one kernel are one launch
    programs: Count = 1  # of a block, compiled for different sizes, among which each call has the fastest
    orchestration: Literal["hardware", "software"] = "hardware"
    launch: Launch = Launch()


class Engine(Section):
    """What computes. `peak` is the dense rate per dtype; `reads` the tiers that it reads, fastest first.

    An engine with `pim` sits in the stacks of its tiers; its peak may be left out (`derive.py`).
    """

    kind: str  # gpu, dataflow, pim, cpu, or what a plugin registers a lowering for
    peak: NonEmpty[dict[str, Rate]] = Field(default_factory=dict)
    reads: NonEmpty[dict[str, Port]]
    default: bool = False  # runs a model where no engine is named; none marked: see mapping/target.py
    efficiency: Fraction = 1.0
    launch_overhead: Seconds = 0.0
    shape_overhead: Seconds = 0.0  # of a kernel whose shape is new: what preparing it takes
    command: Seconds = 0.0  # of a kernel of an engine in the memory: what the host takes to issue it
    mode_switch: Seconds = 0.0  # from plain reads to those of an engine in the memory, or back
    slots: Count = 1
    energy_per_flop: EnergyPerFlop | None = None  # at the dtype named first; others draw the same power at full rate
    fusion: Literal["unfused", "conventional"] | None = None  # None: as its kind has it
    experts: Literal["grouped", "one_by_one"] | None = None  # one launch, or one an expert; None: as its kind has it
    fabric: Fabric | None = None  # of a dataflow engine
    pim: Pim | None = None  # of an engine in the memory

    @property
    def in_memory(self) -> bool:
        """Whether it reads the cells by ways of its own, and not over the bus of their tier."""
        return self.pim is not None


class Link(Section):
    """Joins two ends; `parallel` like links side by side, each of `bandwidth` a direction."""

    bandwidth: Bandwidth
    latency: Seconds = 0.0
    parallel: Count = 1
    algorithm: Literal["ring", "tree", "direct"] = "direct"  # of collectives over it (mapping/collective.py)
    efficiency: Fraction | Efficiency = 1.0
    energy: Annotated[float, Unit("J/B"), Field(ge=0)] | None = None  # 0: none is charged for it


def ends(link: str) -> tuple[str, str]:
    """The two ends of a link by its name: `a->b` (one way) or `a<->b` (both ways).

    Raises:
        ValueError: the name has not two ends.
    """
    a, arrow, b = link.partition("<->")
    if not arrow:
        a, arrow, b = link.partition("->")
    if not (a and arrow and b):
        raise ValueError("no name of a link: expected 'a->b' (one way) or 'a<->b' (both ways)")
    return a, b


def _with_ends(link: str) -> str:
    ends(link)
    return link


LinkName = Annotated[str, AfterValidator(_with_ends)]


class Device(Section):
    """A socket or package; `count` of them work in lockstep. The names of `links` are `a->b` or `a<->b`."""

    count: Count = 1
    process: str | None = None  # of its die: a node that the cost tables know (cost.py)
    static_power: Watts | None = None
    tiers: NonEmpty[dict[str, Tier]]
    engines: dict[str, Engine] = Field(default_factory=dict)
    links: dict[LinkName, Link] = Field(default_factory=dict)


class Machine(Section):
    """A whole machine: `nodes` alike, each of the devices that share a host, tiers outside them, and links.

    A link of a node joins `device.tier`, `device.engine` and the node's own tiers; `device<->device` joins the devices
    of that name with one another: its bandwidth is what each puts in.
    """

    name: str = ""
    description: str = ""
    nodes: Count = 1
    static_power: Watts | None = None
    devices: NonEmpty[dict[str, Device]]
    tiers: dict[str, Tier] = Field(default_factory=dict)
    links: dict[LinkName, Link] = Field(default_factory=dict)
