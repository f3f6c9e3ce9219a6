"""Stacks of DRAM and the units in them that compute: their form, and the rates that follow from their timing.

Two ways lead to the cells. The bus of a pseudo channel takes bursts from one bank after another, `tCCD_S` apart. Units
in the memory read many banks of a pseudo channel at once, `tCCD_L` apart: Logic-PIM those of a bank bundle, over wires
of its own (arXiv 2409.01141), others in place.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

import numpy as np
from pydantic import Field, ValidationInfo, field_validator

from simulator.config.section import NonEmpty, Section
from simulator.core import Quantity
from simulator.core.resource import plain
from simulator.units import Bytes, Count, Fraction, Hertz, Joules, Seconds, SquareMetres, Unit

Interval: TypeAlias = Annotated[float, Unit("s"), Field(gt=0)]


class Timing(Section):
    """Least times between commands, named as JEDEC names them (JESD238): those that the rates follow from."""

    tCCD_S: Interval
    """Burst to burst in another bank group."""
    tCCD_L: Interval
    """Burst to burst in the same bank group; no shorter than `tCCD_S`."""
    tRCD: Seconds
    """From the opening of a row to its first burst."""
    tRAS: Seconds
    """From the opening of a row to its closing."""
    tRP: Seconds
    """From the closing of a row to the opening of the next in its bank."""
    tRTP: Seconds
    """From the last read of a row to its closing."""
    tRRD_S: Seconds
    """From the opening of a row to that of one in another bank group."""
    tFAW: Seconds
    """The time in which no more than four rows are opened."""
    tCL: Seconds
    """From a read to its data."""
    tRTW: Seconds
    """The bus is idle so long from reads to writes."""
    tWTR: Seconds
    """From the data of a write to a read."""
    tRFC: Seconds
    """One refresh of all banks."""
    tREFI: Interval
    """From refresh to refresh; more than `tRFC`."""

    @field_validator("tCCD_L")
    @classmethod
    def _no_shorter(cls, long: float, info: ValidationInfo) -> float:
        if long < info.data.get("tCCD_S", long):
            raise ValueError(f"found {long:g} s, expected tCCD_S ({info.data['tCCD_S']:g} s) or more")
        return long


class Writes(Section):
    """Writes among the reads of a stack, which turn the bus round."""

    share: Fraction
    """The share of the bytes on the bus that are writes."""
    drain: Bytes
    """What each pseudo channel gathers, and then writes at a time."""


class Stack(Section):
    """One stack of DRAM."""

    timing: Timing
    """Least times between commands, from which the rates follow."""
    capacity: Bytes | None = None
    """What one stack holds; that of the tier follows."""
    pseudo_channels: Count = 32
    """How many pseudo channels a stack has, each with a bus of its own."""
    ranks: Count = 2
    """How many ranks share a pseudo channel."""
    bank_groups: Count = 4
    """How many bank groups a rank has in a pseudo channel."""
    banks_per_group: Count = 4
    """How many banks a bank group has."""
    burst: Bytes = 32.0
    """What one read of a bank gives."""
    row: Bytes = 1024.0
    """What a row of a bank holds, a multiple of `burst`."""
    taken: Bytes | None = None
    """What is read of a row each time it is opened; all of it unless given."""
    bundles: Count = 1
    """Equal parts of a pseudo channel's banks, over all ranks (`<tier>.bundle1` ...), each for one reader at a time."""
    bus_read: Literal["exclusive", "bank_exact"] = "exclusive"
    """How long a read over the bus keeps a bundle: as long as the bus is busy, or as its banks are."""
    writes: Writes | None = None
    """Writes that turn the bus round; none unless given."""
    activation: Joules | None = None
    """Energy to open one row; where it is not given, the energy of the tier and its ports has it in it."""

    @field_validator("row")
    @classmethod
    def _holds_bursts(cls, row: float, info: ValidationInfo) -> float:
        burst = info.data.get("burst", row)
        if row % burst:
            raise ValueError(f"found {row:g} B, expected a multiple of a burst ({burst:g} B)")
        return row

    @field_validator("taken")
    @classmethod
    def _is_part_of_row(cls, taken: float | None, info: ValidationInfo) -> float | None:
        burst, row = info.data.get("burst", 0.0), info.data.get("row", np.inf)
        if taken is not None and not burst <= taken <= row:
            raise ValueError(f"found {taken:g} B, expected a burst to a row ({burst:g} to {row:g} B)")
        return taken

    @field_validator("bundles")
    @classmethod
    def _are_equal(cls, bundles: int, info: ValidationInfo) -> int:
        parts = (info.data.get(key, bundles) for key in ("ranks", "bank_groups", "banks_per_group"))
        banks = int(np.prod([*parts]))
        if banks % bundles:
            raise ValueError(f"found {bundles}, expected a divisor of the {banks} banks of a pseudo channel")
        return bundles


class Area(Section):
    """What units in the memory add to a die, part by part."""

    parts: NonEmpty[dict[str, SquareMetres]]
    """Area that each part adds to the die of one stack, by any name."""
    die: SquareMetres
    """Area of the die without them."""


class Pim(Section):
    """The units of one stack that compute: peak, bandwidth and achieved fraction of their engine follow."""

    at: Literal["logic_die", "bank_group", "bank"]
    """Where the units sit."""
    banks: Count
    """How many banks of a pseudo channel they read at once, at most those of a bundle."""
    modules: Count
    """How many units a stack has."""
    macs: Count
    """How many multiply-adds of FP16 a unit makes a clock."""
    clock: Hertz
    """The clock of the units."""
    area: Area | None = None
    """What the units add to the die of a stack; the price of a machine needs it."""


def bus_bandwidth(stack: Stack) -> Quantity:
    """Bytes/s of one stack over its bus: `pseudo_channels * burst / tCCD_S`."""
    return stack.pseudo_channels * stack.burst / stack.timing.tCCD_S


def bank_bandwidth(stack: Stack, banks: int) -> Quantity:
    """Bytes/s of one stack while `banks` of each pseudo channel are read at once.

    `pseudo_channels * banks * burst / tCCD_L` (arXiv 2409.01141: eight banks, four times the bus).
    """
    return stack.pseudo_channels * banks * stack.burst / stack.timing.tCCD_L


def bundle_banks(stack: Stack) -> int:
    """The banks of one bundle of a pseudo channel: all of them where it has one bundle."""
    return stack.ranks * stack.bank_groups * stack.banks_per_group // stack.bundles


def bus_fraction(stack: Stack) -> Quantity:
    """The achieved fraction of the bus under a stream of whole rows (or `taken` of each) from the banks of a bundle.

    One row is `n = taken / burst` bursts, and takes the bus `n tCCD_S`. Meanwhile the other banks close their rows and
    open the next ones: hidden, as long as a row comes no faster than
        row_cycle / banks   each bank is back with its next row (`row_cycle`)
        tRRD_S, tFAW / 4    rows may be opened.
    The bus turns to writes and back once in `drain / share` bytes; it is idle for `tRTW`, then for `tWTR + tCL` before
    the first data of reads. Refresh takes `tRFC` of `tREFI`, from all banks at once.
        fraction = (n tCCD_S) / max(n tCCD_S, row_cycle / banks, tRRD_S, tFAW / 4)
                   * T / (T + tRTW + tWTR + tCL), T = drain / share / burst * tCCD_S
                   * (1 - tRFC / tREFI)

    At HBM3, 5.2 Gbit/s: a row takes 49 ns, more than 16 (hidden), times 492 / 518, times 0.885 = 0.84. A controller
    with a short queue achieves less: bursts of one bank group that follow each other are `tCCD_L` apart.
    """
    timing = stack.timing
    row = _bursts(stack) * timing.tCCD_S
    apart = np.maximum(np.maximum(row_cycle(stack) / bundle_banks(stack), timing.tRRD_S), timing.tFAW / 4)
    turned = 0.0
    if stack.writes:
        between = stack.writes.drain / stack.writes.share / stack.burst * timing.tCCD_S
        turned = (timing.tRTW + timing.tWTR + timing.tCL) / between
    return plain(row / np.maximum(row, apart) / (1 + turned) * _unrefreshed(timing))


def bank_fraction(stack: Stack, banks: int) -> Quantity:
    """The achieved fraction of `bank_bandwidth` under a stream of whole rows (or `taken` of each).

    One command opens, reads or closes a row in all `banks` at once: tFAW, which bounds openings one by one, is taken
    not to apply. Their `n` bursts take `n tCCD_L`. Where the bundle has other sets of so many banks, these open their
    rows meanwhile; where it is read as a whole, as by Logic-PIM and Bank-PIM, closing and opening are exposed. Results
    stay in buffers, so that no write turns anything round. Refresh takes `tRFC` of `tREFI`.
        fraction = (n tCCD_L) / max(n tCCD_L, row_cycle / sets) * (1 - tRFC / tREFI), sets = banks of a bundle // banks

    At HBM3, 5.2 Gbit/s: 98 ns of 131 * 0.885 = 0.67 for one set; 0.885 for two sets or more (BankGroup-PIM).
    """
    row = _bursts(stack) * stack.timing.tCCD_L
    cycle = row_cycle(stack) / (bundle_banks(stack) // banks)
    return plain(row / np.maximum(row, cycle) * _unrefreshed(stack.timing))


def row_cycle(stack: Stack) -> Quantity:
    """Seconds between two openings of rows in a bank: `max(tRAS, tRCD + (n - 1) tCCD_L + tRTP) + tRP`."""
    timing = stack.timing
    read = timing.tRCD + (_bursts(stack) - 1) * timing.tCCD_L + timing.tRTP
    return plain(np.maximum(timing.tRAS, read) + timing.tRP)


def row_bytes(stack: Stack) -> Quantity:
    """Bytes that are taken from a row each time it is opened."""
    return stack.row if stack.taken is None else stack.taken


def activation_energy(stack: Stack) -> Quantity:
    """J a byte for opening rows: `activation / taken`, whatever way the byte goes; 0 where a byte's energy has it."""
    return 0.0 if stack.activation is None else stack.activation / row_bytes(stack)


def pim_peak(pim: Pim) -> Quantity:
    """FLOP/s of the units of one stack: `2 * modules * macs * clock`."""
    return 2 * pim.modules * pim.macs * pim.clock


def added_area(area: Area) -> float:
    """m^2 that the units add to their die."""
    return sum(area.parts.values())


def _bursts(stack: Stack) -> Quantity:
    return row_bytes(stack) / stack.burst


def _unrefreshed(timing: Timing) -> Quantity:
    return 1 - timing.tRFC / timing.tREFI
