"""Flash as a tier: what one read takes by itself, and what bounds many of them.

By itself a read takes a fixed time and one that grows with its bytes. That many are in flight at once is what makes
flash fast, up to its bandwidth: by Little's law, `in flight / time of one` reads a second. Two forms give the time of
one: two constants, for a device that is known by measurements only, or channels, dies and pages, as SSD simulators have
them (MQSim, FAST 2018; SimpleSSD, CAL 2018).
"""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from simulator.config.section import Section
from simulator.core import Quantity
from simulator.hardware.stack import Interval
from simulator.units import Bandwidth, Bytes, Count, Hertz, Seconds


class TwoConstant(Section):
    """One read of c bytes takes `fixed + c / stream` by itself."""

    kind: Literal["two_constant"]
    """Two constants: what is known of a device by measurements alone."""
    fixed: Seconds
    """What a read takes whatever its size."""
    stream: Bandwidth
    """The rate at which its bytes come after that."""


class Nand(Section):
    """Channels, each a bus to its dies, each of planes that read one page at a time.

    A read of c bytes starts at a page. Its `ceil(c / page)` pages lie in successive channels, then dies, then planes.
    """

    kind: Literal["nand"]
    """Channels, dies and planes, as SSD simulators have them; the bandwidth of the tier follows."""
    channels: Count
    """How many channels the device has."""
    dies: Count
    """How many dies a channel has."""
    planes: Count
    """How many planes a die has."""
    page: Bytes
    """What a plane reads at once."""
    read_time: Interval
    """How long a page takes from the cells to the register of its plane (tR)."""
    bus: Bandwidth
    """The rate of the bus of one channel."""


class Controller(Section):
    """The part of reads that no two do at once: one read of c bytes keeps it busy for `each + c / stream`."""

    each: Seconds
    """What a read takes of it whatever its size."""
    stream: Bandwidth
    """The rate at which it hands on the bytes of a read."""


class Flash(Section):
    """How a tier of flash is read: chunks, so many in flight at once.

    What bounds reads beside the bandwidth are resources: `<tier>.inflight`, `.operations`, `.controller`, `.channels`,
    `.array`.
    """

    queue_depth: Count
    """How many reads are in flight at most."""
    reads: Annotated[TwoConstant | Nand, Field(discriminator="kind")]
    """What one read takes by itself."""
    host_cost: Seconds = 0.0
    """What each read takes in the thread that waits for it: system call, interrupt, copy out."""
    operations: Hertz | None = None
    """How many reads a second controller or host can take at most; no such limit unless given."""
    controller: Controller | None = None
    """A controller, or a thread of the host, that all reads pass one by one; none unless given."""
    page_cache: bool = False
    """Whether reads go through the operating system's page cache: copied once more, and held in the DRAM left over."""


def array_bandwidth(nand: Nand) -> Quantity:
    """Bytes/s from the cells of all planes: `channels dies planes page / tR`."""
    return nand.channels * nand.dies * nand.planes * nand.page / nand.read_time


def channel_bandwidth(nand: Nand) -> Quantity:
    """Bytes/s over all channels: `channels bus`."""
    return nand.channels * nand.bus


def grains(size: Quantity, granularity: float, packed: bool = False) -> Quantity:
    """Bytes that a read of `size` whole bytes moves, in grains of g bytes.

    A chunk of c bytes that starts at a grain moves `ceil(c / g) g`. Of chunks that lie end to end, one starts at any
    multiple of `gcd(c, g)` in a grain, all equally often, and moves `((c - gcd(c, g)) / g + 1) g` on average: 7,680 B
    move 8 KiB in grains of 4 KiB, and 11 KiB where they are packed.
    """
    if not packed:
        return np.ceil(size / granularity) * granularity
    step = np.gcd(np.asarray(size, dtype=np.int64), int(granularity))
    return size - step + granularity


def read_seconds(flash: Flash, size: Quantity) -> Quantity:
    """Seconds that one read of `size` bytes takes by itself, `host_cost` included.

    Two constants: `fixed + size / stream`. Channels and dies, with `pages = ceil(size / page)`, cells first and then
    buses (one read does not overlap them, many do):
        ceil(pages / (channels dies planes)) tR + ceil(pages / channels) min(size, page) / bus
    """
    reads = flash.reads
    if isinstance(reads, TwoConstant):
        return flash.host_cost + reads.fixed + size / reads.stream
    pages = np.ceil(size / reads.page)
    cells = np.ceil(pages / _planes(reads)) * reads.read_time
    return flash.host_cost + cells + np.ceil(pages / reads.channels) * np.minimum(size, reads.page) / reads.bus


def capacities(flash: Flash) -> dict[str, tuple[Quantity, str]]:
    """What bounds reads beside the bandwidth of the tier: units a second, and the unit.

    inflight: read-seconds; operations: reads; controller: its seconds; array: plane-seconds; channels: bytes.
    """
    resources: dict[str, tuple[Quantity, str]] = {"inflight": (float(flash.queue_depth), "s")}
    if flash.operations is not None:
        resources["operations"] = flash.operations, "op"
    if flash.controller is not None:
        resources["controller"] = 1.0, "s"
    if isinstance(flash.reads, Nand):
        resources["array"] = float(_planes(flash.reads)), "s"
        resources["channels"] = channel_bandwidth(flash.reads), "B"
    return resources


def demands(flash: Flash, size: Quantity) -> dict[str, Quantity]:
    """What one read of `size` bytes takes of each of the `capacities`."""
    demand: dict[str, Quantity] = {"inflight": read_seconds(flash, size)}
    if flash.operations is not None:
        demand["operations"] = 1.0
    if flash.controller is not None:
        demand["controller"] = flash.controller.each + size / flash.controller.stream
    if isinstance(flash.reads, Nand):
        demand["array"] = np.ceil(size / flash.reads.page) * flash.reads.read_time
        demand["channels"] = size
    return demand


def _planes(nand: Nand) -> int:
    return nand.channels * nand.dies * nand.planes
