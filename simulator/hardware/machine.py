"""The form of a machine's YAML: tiers, engines, links, devices and nodes."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal

from annotated_types import Ge, Le
from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from simulator.config.section import NonEmpty, Section
from simulator.core import Curve
from simulator.hardware.flash import Flash
from simulator.hardware.stack import Pim, Stack
from simulator.hardware.tier_kind import TierKind
from simulator.registry import names, registered
from simulator.units import (
    Bandwidth,
    Bytes,
    Count,
    EnergyPerByte,
    EnergyPerFlop,
    Fraction,
    Hertz,
    PinRate,
    Rate,
    Seconds,
    Size,
    Unit,
    Watts,
    Width,
)


class Efficiency(Section):
    """An achieved fraction over the size of a demand: its log is linear in log(size), and constant beyond the ends."""

    sizes: NonEmpty[list[Bytes]]
    """Bytes of the demands at which the fraction is known, rising."""
    fractions: list[Fraction]
    """The fraction achieved at each of the `sizes`; it grows no faster than they do."""

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


class Bus(Section):
    """The data wires of a memory, which its data sheet has; the peak bandwidth follows."""

    width: Count
    """Data wires (bits) of one stack, chip or channel."""
    rate: PinRate
    """The rate of one wire, such as `6.4 Gbit/s`."""


class Tier(Section):
    """One memory.

    A figure that is derived and given all the same must agree within 1 %; a bandwidth of flash may be lower, one beside
    a `bus` holds (a data sheet rounds it), and so does an efficiency that is given.
    """

    kind: NonEmpty[str]
    """What the memory is, by any name; `sram` and `cache` are on the chip, `flash` may say how it is read."""
    stacks: Count = 1
    """How many stacks, chips or channels the tier of one device has; a number needs `stack` or `bus` beside it."""
    bus: Bus | None = None
    """What joins one stack, chip or channel to its device: the bandwidth follows, `stacks x width x rate`."""
    stack: Stack | None = None
    """What one stack of DRAM is like: capacity, bandwidth and the achieved fraction of it follow."""
    flash: Flash | None = None
    """How a tier of kind `flash` is read."""
    capacity: Bytes = 0.0
    """What the tier of one device holds; derived from `stacks` of a `stack` that has a capacity."""
    reserved: Size = 0.0
    """What of the capacity the software keeps for itself, so that no weights and KV caches lie there."""
    bandwidth: Bandwidth = 0.0
    """Peak rate of reads; derived from a `stack`, from a `bus`, or from channels of `flash`."""
    write_bandwidth: Bandwidth | None = None
    """Peak rate of writes, where it is not that of reads."""
    full_duplex: bool = False
    """Whether writes have a bus of their own; else they share that of reads."""
    latency: Seconds = 0.0
    """What a kernel or a copy waits for before the first byte comes from the tier."""
    granularity: Bytes = 1.0
    """The grain of the tier: a copy moves whole grains, and what is placed in the tier starts at one."""
    efficiency: Fraction | Efficiency = 1.0
    """The fraction of its bandwidth that the tier achieves: one, or a curve over the bytes of a demand."""
    energy: EnergyPerByte | None = None
    """Energy of what crosses the bus of the tier, read or written; rows that are opened come on top (`activation`)."""

    @property
    def of_kind(self) -> TierKind:
        """What sets its kind apart from others; nothing, where none is registered: a memory off the chip."""
        kind: TierKind = registered("tier", self.kind) if self.kind in names("tier") else TierKind()
        return kind

    @property
    def on_chip(self) -> bool:
        """Whether it is on the die."""
        return self.of_kind.on_chip


class Port(Section):
    """How an engine reads a tier. `{}` says that it does, as fast as the tier gives."""

    bandwidth: Bandwidth | None = None
    """Peak rate at which the engine reads; that of the tier unless given, and derived for an engine with `pim`."""
    efficiency: Fraction | Efficiency = 1.0
    """The fraction of the port's bandwidth that is achieved: one, or a curve; derived where the tier has a `stack`."""
    copy_bandwidth: Bandwidth | None = None
    """Rate of copies within the tier, each byte read and written once, for neurons from flash; else the port's."""
    packing: Bandwidth | None = None
    """Rate at which its library lays out operands of a matrix product before it multiplies; none unless given."""
    energy: EnergyPerByte | None = None
    """Energy of what an engine with `pim` reads, which does not cross the bus of the tier; others have none here."""


class Phases(Section):
    """What starting one kernel takes: its program is loaded, its arguments are, and it is set off."""

    load: Seconds = 0.0
    """To load the program, for each PCU and PMU that the kernel configures; the kernel before it runs meanwhile."""
    arguments: Seconds = 0.0
    """To load the arguments."""
    execute: Seconds = 0.0
    """To set the kernel off."""


class Launch(Section):
    """What starting one kernel takes in the hardware, and in a host that orchestrates."""

    hardware: Phases = Phases()
    """The phases in the hardware, which every kernel takes."""
    software: Phases = Phases()
    """What a host adds to them where `orchestration` is `software`."""


class Fabric(Section):
    """The grid of a dataflow engine: compute units (PCUs) and memory units (PMUs), equal parts of it.

    The PMUs are the on-chip tier that the engine reads: each has its capacity and bandwidth over `pmus`; a PCU has the
    peak rate over `pcus`.
    """

    pcus: Count
    """How many compute units the grid has; more of them at the same peak are finer units."""
    pmus: Count
    """How many memory units the grid has."""
    usable: Fraction = 1.0
    """The share of the PCUs, and of the PMUs, that one kernel can fill."""
    tile_rows: Count = 1
    """The most rows of a tensor that stream through the stages of a pipeline at a time."""
    stage_latency: Seconds = 0.0
    """The least time of a tile in a stage, however many units work on it."""
    fusion: Literal["streaming", "conventional", "unfused"] = "streaming"
    """How operators become kernels: the fastest partition into pipelines, as GPU libraries do, or one operator each."""
    max_span: Literal["layer", "none"] = "layer"
    """The most that one kernel holds: a decoder layer, or `none`: as many whole layers as go best in one."""
    collectives: Literal["streamed", "after"] = "after"
    """Whether a collective runs inside the kernel that makes its operand, or when that kernel has ended."""
    prefetch: bool = False
    """Whether PMUs may be set aside so that weights of a kernel are loaded while it is launched."""
    looping: bool = False
    """Whether consecutive calls of one kernel are one launch."""
    programs: Count = 1
    """How many programs of a block are compiled at most, for runs of context lengths; a call runs the fastest."""
    orchestration: Literal["hardware", "software"] = "hardware"
    """What starts kernels: the hardware alone, or a host, whose phases come on top."""
    launch: Launch = Launch()
    """What starting one kernel takes."""


class ChipForm(Section):
    """What an engine of kind `gpu` is made of: streaming multiprocessors (SMs), equal parts of its peak rates.

    Its L2 cache is the first on-chip tier that the engine reads. Kernels are tiled over the SMs (`mapping/gpu`).
    """

    sms: Count
    """How many streaming multiprocessors are enabled."""
    clock: Hertz
    """Their clock at the peak rates."""
    shared_memory: Bytes
    """What one SM has of shared memory; the operands of the tiles in flight lie there."""
    registers: Bytes
    """What one SM has of registers; the sums of a tile lie there."""


class Units(Section):
    """The equal units of an engine, which its data sheet has; the peak rates follow: `count x clock x per_clock`."""

    count: Count | None = None
    """How many units are enabled; unless given, the SMs of the engine's `chip`."""
    clock: Hertz | None = None
    """Their clock at the peak rates of these dtypes; unless given, that of the engine's `chip`."""
    per_clock: NonEmpty[dict[str, Count]]
    """Operations of one unit in a clock by dtype, dense: a multiply-add is two."""


class Operands(Section):
    """What a library writes of operands, by kernels of its own, before a product reads them."""

    widen: str | None = None
    """The number format in which what is stored narrower is written first; null: it is widened in registers."""
    kernels: Count = 1
    """How many kernels widen an operand, one after another; each writes it and the next one reads it."""
    kv_copies: Width = 0
    """How often a decode step copies all keys and values: a cache that grows by concatenation, or is laid out anew."""


class Engine(Section):
    """What computes."""

    kind: str
    """How work is lowered to the engine: `gpu`, `cpu`, `pim`, `dataflow`, or a kind that a plugin lowers to."""
    peak: NonEmpty[dict[str, Rate]] = Field(default_factory=dict)
    """Dense peak rate by dtype; the first named is what ridges go by. Derived of `units`, or of `pim`."""
    units: Units | None = None
    """What the engine is made of: peak rates that are not given follow, one that is holds (a data sheet rounds it)."""
    reads: NonEmpty[dict[str, Port]]
    """The tiers of the device that it reads, fastest first: its main memory is the first off the chip, or the last."""
    default: bool = False
    """Whether it runs a model where no engine is named; none marked: the highest peak (`mapping/engines.py`)."""
    efficiency: Fraction = 1.0
    """The fraction of its peak rate that the engine achieves."""
    launch_overhead: Seconds = 0.0
    """What each kernel waits for before it starts."""
    shape_overhead: Seconds = 0.0
    """What preparing a kernel of a new shape takes, where neurons are read from flash."""
    command: Seconds = 0.0
    """What the host takes to issue a kernel to an engine in the memory; each kernel waits for it."""
    mode_switch: Seconds = 0.0
    """What going from plain reads to those of an engine in the memory takes; each kernel waits for it."""
    slots: Count = 1
    """How many kernels run at once; others wait, first come first served."""
    energy_per_flop: EnergyPerFlop | None = None
    """Energy of an operation in the dtype that `peak` names first; others draw the same power at their full rate."""
    fusion: Literal["unfused", "conventional"] | None = None
    """How operators become kernels; unless given `conventional` for `gpu` and `cpu`, `unfused` for others."""
    operands: Operands = Operands()
    """What its library writes of operands before products read them."""
    experts: Literal["grouped", "one_by_one"] | None = None
    """Whether the experts of a layer are one launch, or one each; unless given one each for `pim`, else one."""
    chip: ChipForm | None = None
    """What an engine of kind `gpu` is made of; the time of one operator by its shape needs it."""
    fabric: Fabric | None = None
    """The grid of an engine of kind `dataflow`, which must have one."""
    pim: Pim | None = None
    """The units of an engine of kind `pim`, in each stack of the tiers that it reads."""

    @property
    def in_memory(self) -> bool:
        """Whether it reads the cells by ways of its own, and not over the bus of their tier."""
        return self.pim is not None


class Link(Section):
    """A link joins two ends, which its name says: `a->b` one way, `a<->b` both ways."""

    bandwidth: Bandwidth
    """Peak rate of one of the parallel links, in each direction; among devices, what each of them puts in."""
    latency: Seconds = 0.0
    """What a copy, or each phase of a collective, waits for on the link."""
    parallel: Count = 1
    """How many links lie side by side; a transfer may use fewer."""
    algorithm: Literal["ring", "tree", "direct"] = "direct"
    """How a collective of n goes over the link: in n - 1 phases, in log2(n), or in one, each sending to all others."""
    efficiency: Fraction | Efficiency = 1.0
    """The fraction of its bandwidth that the link achieves: one, or a curve over the bytes of a demand."""
    energy: Annotated[float, Unit("J/B"), Field(ge=0)] | None = None
    """Energy of what crosses the link; 0: none is charged for it."""


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
    """A socket or package; its parts are resources `<device>.<tier>`, `<device>.<engine>`, `<device>.<a>-><b>`."""

    count: Count = 1
    """How many of the device a node has, alike and in lockstep."""
    product: str | None = None
    """What it is sold as, whatever machine it is in, such as `h100`; a runtime may have figures of it."""
    family: str | None = None
    """The family that it belongs to, such as `hopper`; a runtime may have figures of that."""
    process: str | None = None
    """The process node of its die, one of the `processes` of the cost table; only area and price need it."""
    static_power: Watts | None = None
    """Power of one device that does not depend on its work; energy needs it."""
    tiers: NonEmpty[dict[str, Tier]]
    """The memories of one device, by name."""
    engines: dict[str, Engine] = Field(default_factory=dict)
    """The engines of one device, by name."""
    links: dict[LinkName, Link] = Field(default_factory=dict)
    """Links between the tiers of a device, inside each; the name has the two ends, `ddr<->hbm`."""

    def main_memory(self, engine: Engine) -> str | None:
        """Where what an engine computes on lies: its first tier off the chip; of tiers on it alone, the last."""
        read = [tier for tier in engine.reads if tier in self.tiers]
        return next((tier for tier in read if not self.tiers[tier].on_chip), read[-1] if read else None)


class Machine(Section):
    """A whole machine: nodes that are alike, each of the devices that share a host, tiers outside them, and links.

    Energy is given where every tier, link and engine that takes part has its `energy` (`energy_per_flop`), and devices
    and node a `static_power` (0 W will do); a missing one is named.
    """

    name: str = ""
    """What the machine is called in results; the name of its file unless given."""
    description: str = ""
    """One line for people, which lists show."""
    runtime: str | None = None
    """The software that is assumed where a mapping names none, by its name in `hwconfigs/runtimes/` or its path."""
    vendor: str | None = None
    """Who makes its first device, as lists filter it: `nvidia`; `research` where nobody does yet."""
    year: Annotated[int, Ge(1940), Le(2100)] | None = None
    """The year in which it was released, or its paper published."""
    aliases: tuple[str, ...] = ()
    """Names under which measured data know its first device; not of a machine that extends it."""
    nodes: Count = 1
    """How many nodes the machine has, all alike."""
    static_power: Watts | None = None
    """Power of the rest of a node, outside its devices, that does not depend on its work; energy needs it."""
    devices: NonEmpty[dict[str, Device]]
    """The devices of a node, by name; the first runs a model unless another is named."""
    tiers: dict[str, Tier] = Field(default_factory=dict)
    """Memories of a node outside its devices, by name."""
    links: dict[LinkName, Link] = Field(default_factory=dict)
    """Links outside the devices: `host<->gpu.hbm` of tiers, `gpu<->gpu` among devices, `node<->node` among nodes."""
