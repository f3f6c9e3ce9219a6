"""A machine under a runtime: with what the libraries and protocols of the software achieve on its parts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from typing import Any, NamedTuple

from pydantic import BaseModel

from simulator.hardware import Device, Engine, System
from simulator.hardware.machine import ends
from simulator.mapping.runtime.form import Software


class Set(NamedTuple):
    """A figure that a runtime has for a key of a machine, and its path in the runtime's YAML."""

    key: tuple[str, ...]
    value: Any
    path: tuple[str, ...]


def under_runtime(system: System, software: Software, weights: str | None = None, modelled: bool = False) -> System:
    """The machine with the figures that a runtime has for it, where its own YAML (and who asks) has none.

    Launches, achieved fractions and the memory that is kept are of engines, by their kind, or of tiers, by theirs;
    latencies and fractions of protocols are of links. `weights`: their format, which may have kernels of its own.
    `modelled`: models time kernels and collectives of engines that have a chip, so that no fraction and no latency of
    these is set. Of a machine without design points the same object for the same answer; with nothing to set, the
    machine itself.
    """
    apply = _under if system.points is None else _under.__wrapped__
    return apply(system, software, weights, modelled)


@lru_cache(maxsize=256)
def _under(system: System, software: Software, weights: str | None, modelled: bool) -> System:
    known = _figures(system, software, weights, modelled)
    figures = [each for each in known if not _stands(system, each.key)]
    if not figures:
        return system
    config = system.config.replaced({each.key: _written(software, each) for each in figures})
    sources = dict(config.sources)
    for each in figures:
        if source := software.config.source(*each.path):
            sources[each.key] = source
    config = replace(config, sources=sources)
    put = system.put({".".join(each.key): each.value for each in figures})
    return replace(put, config=config)


def _figures(system: System, software: Software, weights: str | None, modelled: bool) -> Iterator[Set]:
    for device_name, device in system.machine.devices.items():
        for name, engine in device.engines.items():
            at = ("devices", device_name, "engines", name)
            of_engine = _of_engine(software, device_name, device, engine, at, weights)
            if modelled and engine.chip is not None:
                of_engine = (each for each in of_engine if each.path[-1] == "reserve")
            yield from of_engine
        for name, tier in device.tiers.items():
            if value := software.figure(device, "tiers", tier.kind):
                yield Set(("devices", device_name, "tiers", name, "efficiency"), *value)
    for link, key in system.link_keys.items():
        use, devices = _use(system, link)
        if modelled and use != "copies":
            continue
        for figure in ("latency", "efficiency"):
            known = (software.figure(device, use, figure) for device in devices)
            if value := next((each for each in known if each is not None), None):
                yield Set((*key, figure), *value)


def _of_engine(
    software: Software, device_name: str, device: Device, engine: Engine, at: tuple[str, ...], weights: str | None
) -> Iterator[Set]:
    def of(key: str, *inner: str) -> tuple[Any, tuple[str, ...]] | None:
        return software.figure(device, "engines", engine.kind, key, *inner)

    for key, figure in {
        "launch": "launch_overhead", "compute": "efficiency", "shape": "shape_overhead", "fusion": "fusion",
        "operands": "operands",
    }.items():  # fmt: skip
        if value := of(key):
            yield Set((*at, figure), *value)
    memory = device.main_memory(engine)
    if memory is None:
        return
    port = (*at, "reads", memory)
    if value := (of("memory_of", weights) if weights else None) or of("memory"):
        yield Set((*port, "efficiency"), *value)
    if value := of("copy_bandwidth"):
        yield Set((*port, "copy_bandwidth"), *value)
    if value := of("reserve"):
        share, path = value
        yield Set(("devices", device_name, "tiers", memory, "reserved"), share * device.tiers[memory].capacity, path)


def _use(system: System, link: str) -> tuple[str, list[Device]]:
    """What crosses a link, and the devices whose figures say how: of a copy, those at its ends."""
    devices = system.machine.devices
    a, b = ends(link)
    if any(end in system.tiers and system.tiers[end].kind == "flash" for end in (a, b)):
        return "drive", []  # whose rates are what it reaches
    if a == b:
        return ("collective", [devices[a]]) if a in devices else ("between_nodes", [*devices.values()])
    return "copies", [devices[end.partition(".")[0]] for end in (b, a) if end.partition(".")[0] in devices]


def _stands(system: System, key: tuple[str, ...]) -> bool:
    """Whether a machine has a figure of its own, from its YAML or from who asks."""
    part: Any = system.machine
    for each in key[:-1]:
        part = getattr(part, each) if isinstance(part, BaseModel) else part[each]
    return key[-1] in part.model_fields_set


def _written(software: Software, figure: Set) -> Any:
    """A figure as the runtime's YAML has it; what is kept of a memory, in bytes."""
    value: Any = software.config.data
    for each in figure.path:
        value = value[each]
    return figure.value if figure.path[-1] == "reserve" else value
