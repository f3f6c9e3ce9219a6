"""Figures of a machine that follow from its stacks of DRAM, its buses, its channels of flash or its units.

They are filled in where its YAML has none, and checked where it has.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np

from simulator.config import Config, KeyPath
from simulator.config.section import Section
from simulator.core import Quantity
from simulator.hardware import limits
from simulator.hardware.flash import Nand, array_bandwidth, channel_bandwidth
from simulator.hardware.machine import Device, Engine, Machine, Port, Tier
from simulator.hardware.stack import (
    Stack,
    Timing,
    bank_bandwidth,
    bank_fraction,
    bundle_banks,
    bus_bandwidth,
    bus_fraction,
    pim_peak,
)
from simulator.registry import names, registered
from simulator.units import Unit, show

P = TypeVar("P", bound=Section)

APART = 0.01
"""How far a figure of the YAML may lie from what follows from the rest of it."""

PIM_DTYPES = ("fp16", "bf16")


def derived(machine: Machine, config: Config) -> Machine:
    """The machine with the bandwidths, peaks and achieved fractions that follow from its stacks, or its flash.

    Of a tier with a `stack`: `bandwidth` (`bus_bandwidth`) and `capacity`, times `stacks`. Of an engine that reads it:
    the `efficiency` of the port (`bus_fraction`). Of an engine with `pim`: `peak` (`pim_peak`), and of its ports
    `bandwidth` and `efficiency` (`bank_bandwidth`, `bank_fraction`). A figure that stands in the YAML holds; all but an
    efficiency must be within 1 % of the derived one. Of a tier with a `bus`: `bandwidth`; of an engine with `units`:
    `peak` (`limits.py`). Of a tier with channels of `flash`: `bandwidth`, the lesser of what its cells and its channels
    give; what stands in the YAML may be lower (a link, a controller). What is filled in does not enter
    `model_fields_set`: it follows when the machine is derived again.

    Raises:
        ConfigError: a contradiction; `flash` in a tier of another kind; a figure that neither stands in the YAML nor
            follows from it; an engine in the memory without a stack, or one that reads more banks than there are.
    """
    devices = {name: _device(device, ("devices", name), config) for name, device in machine.devices.items()}
    tiers = {name: _tier(tier, ("tiers", name), config) for name, tier in machine.tiers.items()}
    return _filled(machine, {"devices": devices, "tiers": tiers})


def _device(device: Device, path: KeyPath, config: Config) -> Device:
    tiers = {name: _tier(tier, (*path, "tiers", name), config) for name, tier in device.tiers.items()}
    engines = {
        name: _engine(engine, tiers, (*path, "engines", name), config) for name, engine in device.engines.items()
    }
    return _filled(device, {"tiers": tiers, "engines": engines})


def _tier(tier: Tier, path: KeyPath, config: Config) -> Tier:
    stack = tier.stack
    if stack is None and tier.bus is None and "stacks" in tier.model_fields_set:
        raise config.error(
            (*path, "stacks"), found=tier.stacks, expected="'stack' or 'bus' beside it: what one is like"
        )
    if stack is not None:
        _check_refresh(stack.timing, (*path, "stack", "timing", "tREFI"), config)
    capacity = stack and stack.capacity and tier.stacks * stack.capacity
    bandwidth = tier.stacks * bus_bandwidth(stack) if stack else _from_flash(tier, path, config)
    figures = {"capacity": (capacity, "B"), "bandwidth": (bandwidth, "B/s")}
    if tier.bus and stack is None:
        tier = _filled(tier, {"bandwidth": limits.bandwidth(tier, path, config)})
        del figures["bandwidth"]
    filled = {key: _figure(tier, key, figure, unit, (*path, key), config) for key, (figure, unit) in figures.items()}
    return _filled(tier, filled)


def _from_flash(tier: Tier, path: KeyPath, config: Config) -> Quantity | None:
    """The bandwidth that follows from channels of flash; none where the YAML has one, which must not be above it."""
    if tier.flash is None:
        return None
    if not tier.of_kind.pages:
        paged = " or ".join(f"'{kind}'" for kind in names("tier") if registered("tier", kind).pages)
        raise config.error((*path, "flash"), found=f"in a tier of kind '{tier.kind}'", expected=f"kind {paged}")
    nand = tier.flash.reads
    if not isinstance(nand, Nand):
        return None
    most = np.minimum(array_bandwidth(nand), channel_bandwidth(nand))
    if "bandwidth" not in tier.model_fields_set:
        return most if most.ndim else float(most)
    stated, most = (np.atleast_1d(each) for each in np.broadcast_arrays(tier.bandwidth, most))
    worst = int(np.argmax(stated / most))
    if stated[worst] > most[worst] * (1 + APART):
        expected = f"at most {show(float(most[worst]), 'B/s')}: what its cells and channels give"
        raise config.error((*path, "bandwidth"), found=show(float(stated[worst]), "B/s"), expected=expected)
    return None


def _check_refresh(timing: Timing, path: KeyPath, config: Config) -> None:
    interval, refresh = (np.atleast_1d(each) for each in np.broadcast_arrays(timing.tREFI, timing.tRFC))
    worst = int(np.argmin(interval / np.maximum(refresh, np.finfo(float).tiny)))
    if interval[worst] <= refresh[worst]:
        expected = f"more than tRFC ({show(float(refresh[worst]), 's')})"
        raise config.error(path, found=show(float(interval[worst]), "s"), expected=expected)


def _engine(engine: Engine, tiers: Mapping[str, Tier], path: KeyPath, config: Config) -> Engine:
    if engine.pim and engine.kind != "pim":
        raise config.error((*path, "kind"), found=f"'{engine.kind}'", expected="'pim', which the engine has figures of")
    stacks = 0
    ports: dict[str, Port] = {}
    for name, port in engine.reads.items():
        at = (*path, "reads", name)
        stack = tiers[name].stack if name in tiers else None
        if engine.pim and name in tiers and stack is None:
            raise config.error(at, "engines with pim read stacks of DRAM", expected=f"'stack' in the tier {name}")
        if port.energy is not None and engine.pim is None:
            expected = f"'energy' of the tier {name}, whose bus its bytes cross"
            raise config.error((*at, "energy"), "a port of an engine outside the memory", expected=expected)
        if stack is not None:
            stacks += tiers[name].stacks
            port = _port(engine, port, stack, tiers[name].stacks, (at, path), config)
        ports[name] = port
    filled: dict[str, Any] = {"reads": ports}
    if engine.units:
        filled["peak"] = limits.peaks(engine, path, config)
    elif "peak" in engine.model_fields_set or engine.pim is None:
        rates = dict.fromkeys(PIM_DTYPES, stacks * pim_peak(engine.pim)) if engine.pim else {}
        for dtype in rates.keys() & engine.peak.keys():
            _agree(engine.peak[dtype], rates[dtype], "FLOP/s", (*path, "peak", dtype), config)
        if not engine.peak:
            raise config.error((*path, "peak"), "missing key")
    else:
        filled["peak"] = dict.fromkeys(PIM_DTYPES, stacks * pim_peak(engine.pim))
    return _filled(engine, filled)


def _port(
    engine: Engine, port: Port, stack: Stack, stacks: int, paths: tuple[KeyPath, KeyPath], config: Config
) -> Port:
    at, path = paths
    if engine.pim is None:
        figures: dict[str, Any] = {"efficiency": bus_fraction(stack)}
    else:
        banks, most = engine.pim.banks, bundle_banks(stack)
        if banks > most:
            expected = f"at most the {most} banks of a bundle of a pseudo channel"
            raise config.error((*path, "pim", "banks"), found=banks, expected=expected)
        bandwidth = stacks * bank_bandwidth(stack, banks)
        figures = {
            "bandwidth": _figure(port, "bandwidth", bandwidth, "B/s", (*at, "bandwidth"), config),
            "efficiency": bank_fraction(stack, banks),
        }
    if "efficiency" in port.model_fields_set:
        figures["efficiency"] = port.efficiency
    return _filled(port, figures)


def _figure(part: Section, key: str, figure: Any, unit: str, path: KeyPath, config: Config) -> Any:
    """What the YAML says, if that agrees with the derived figure; else the derived one; one of them there must be."""
    if key in part.model_fields_set:
        stated = getattr(part, key)
        if figure is not None:
            _agree(stated, figure, unit, path, config)
        return stated
    if figure is None:
        raise config.error(path, "missing key", expected=Unit(unit).expected)
    return figure


def _agree(stated: Quantity, figure: Quantity, unit: str, path: KeyPath, config: Config) -> None:
    stated, figure = (np.atleast_1d(each) for each in np.broadcast_arrays(stated, figure))
    off = np.abs(stated / figure - 1)
    if np.any(off > APART):
        worst = int(np.argmax(off))
        expected = f"{show(float(figure[worst]), unit)} within 1 %: what its stacks give; or no such key"
        raise config.error(path, found=show(float(stated[worst]), unit), expected=expected)


def _filled(part: P, figures: dict[str, Any]) -> P:
    """A copy with these figures; `model_fields_set` stays what the YAML has."""
    filled = part.model_copy(update=figures)
    filled.model_fields_set.difference_update(figures.keys() - part.model_fields_set)
    return filled
