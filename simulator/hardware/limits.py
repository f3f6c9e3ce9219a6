"""What a data sheet's parts allow: bandwidth of a bus, peak rates of units; and whether its other figures agree.

A bus gives `stacks x width x rate / 8` bytes/s, units give `count x clock x per_clock` operations a second. What the
YAML states beside them is what the data sheet prints, rounded, and holds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from simulator.config import OPTION, Config, KeyPath
from simulator.core import Quantity
from simulator.errors import ConfigError
from simulator.hardware.machine import Engine, Tier
from simulator.units import show

if TYPE_CHECKING:
    from simulator.hardware.system import System

ROUNDING = 0.025
"""How far a figure of a data sheet may lie from what its parts give."""


def bandwidth(tier: Tier, path: KeyPath, config: Config) -> Quantity:
    """Bytes/s of a tier with a bus: as stated, else `stacks x width x rate`."""
    derived = bus_bandwidth(tier)
    parts: list[KeyPath] = [(*path, "stacks"), (*path, "bus", "width"), (*path, "bus", "rate")]
    stated = tier.bandwidth if "bandwidth" in tier.model_fields_set else None
    return derived if stated is None or _varied(stated, derived, (*path, "bandwidth"), parts, config) else stated


def peaks(engine: Engine, path: KeyPath, config: Config) -> dict[str, Quantity]:
    """Operations a second of an engine with units, by dtype: as stated, those first, else as its units give."""
    rates: dict[str, Quantity] = dict(engine.peak) if "peak" in engine.model_fields_set else {}
    for dtype, derived in unit_peaks(engine).items():
        parts = [(*path, "units", key) for key in ("count", "clock")] + [(*path, "units", "per_clock", dtype)]
        if dtype not in rates or _varied(rates[dtype], derived, (*path, "peak", dtype), parts, config):
            rates[dtype] = derived
    return rates


def bus_bandwidth(tier: Tier) -> Quantity:
    """Bytes/s that the bus of a tier gives: `stacks x width x rate / 8`, a wire at bits/s."""
    if tier.bus is None:
        raise ValueError("a tier without a bus")
    return tier.stacks * tier.bus.width * tier.bus.rate / 8


def unit_peaks(engine: Engine) -> dict[str, Quantity]:
    """Operations a second that the units of an engine give, by dtype: `count x clock x per_clock`; else none."""
    units, chip = engine.units, engine.chip
    if units is None:
        return {}
    count, clock = units.count or (chip.sms if chip else None), units.clock or (chip.clock if chip else None)
    if count is None or clock is None:
        return {}
    return {dtype: count * clock * each for dtype, each in units.per_clock.items()}


def disagreements(system: System) -> Iterator[ConfigError]:
    """Each figure of a machine that is further from what its bus or its units give than a data sheet rounds."""
    for name, tier in system.tiers.items():
        if tier.bus is not None and tier.stack is None:
            yield from _apart(system, (*system.key(name), "bandwidth"), tier.bandwidth, bus_bandwidth(tier), "B/s")
    for name, engine in system.engines.items():
        for dtype, rate in unit_peaks(engine).items():
            yield from _apart(system, (*system.key(name), "peak", dtype), engine.peak[dtype], rate, "FLOP/s")


def _apart(system: System, path: KeyPath, stated: Quantity, derived: Quantity, unit: str) -> Iterator[ConfigError]:
    if np.any(np.abs(np.divide(stated, derived) - 1) > ROUNDING):
        expected = f"{show(float(np.mean(derived)), unit)} within {100 * ROUNDING:g} %: what its parts give"
        yield system.config.error(path, found=show(float(np.mean(stated)), unit), expected=expected)


def _varied(stated: Quantity, derived: Quantity, figure: KeyPath, parts: Sequence[KeyPath], config: Config) -> bool:
    """Whether parts of a stated figure are varied, by an option or over design points, and not the figure itself."""
    by_option = {path for path in (figure, *parts) if path in config.marks and config.marks[path].file == OPTION}
    return (bool(by_option) and figure not in by_option) or bool(np.ndim(derived) and not np.ndim(stated))
