"""Figures of a machine on which nothing depends: each is told, with what takes its place or binds before it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np

from simulator.config import KeyPath
from simulator.errors import ConfigError, dotted, nearest, warn
from simulator.hardware.machine import Engine, Link, Port, ends
from simulator.registry import names
from simulator.units import show

if TYPE_CHECKING:
    from simulator.core import Resource
    from simulator.hardware.system import System

_FABRIC = {"fabric": "it runs kernel by kernel; an engine of kind 'dataflow' has a fabric"}
_CHIP = {"chip": "its kernels are not tiled over SMs; an engine of kind 'gpu' has a chip"}
_STAGES = {"operands": "its stages widen operands as they come"}
_NEURONS = {"shape_overhead": "neurons from flash are computed by an engine of kind 'gpu' or 'cpu'"}
UNREAD: Mapping[str, Mapping[str, str]] = {
    "gpu": _FABRIC,
    "cpu": _FABRIC | _CHIP,
    "pim": _FABRIC | _CHIP | _NEURONS,
    "dataflow": {
        "fusion": "its 'fabric.fusion' says how operators are fused",
        "experts": "stages of one kernel take all experts of a layer",
        **_CHIP,
        **_NEURONS,
        **_STAGES,
    },
}
"""By kind of engine, the keys that no lowering of ours reads for it, and why; of other kinds nothing is known."""


def check_read(system: System) -> None:
    """Warn of each figure of a machine that cannot change a time, whatever runs on it."""
    for problem in (
        *_of_kinds(system),
        *_of_engines(system),
        *_of_ports(system),
        *_of_stacks(system),
        *_of_links(system),
    ):
        mark = system.config.mark(tuple(problem.path or ()))
        problem.file, problem.line = mark.file, mark.line
        warn(problem)


def _of_kinds(system: System) -> Iterator[ConfigError]:
    """Kinds of memory that are likely another, misspelt; any other is a memory off the chip, by its figures alone."""
    known = names("tier")
    for name, tier in system.tiers.items():
        close = None if tier.kind in known else nearest(tier.kind, known)
        if close:
            yield ConfigError(
                "taken as a memory off the chip",
                path=(*system.key(name), "kind"),
                found=f"'{tier.kind}'",
                expected=f"a kind that is known, if one of them is meant: {', '.join(known)}",
                nearest=close,
            )


def _of_engines(system: System) -> Iterator[ConfigError]:
    for name, engine in system.engines.items():
        for key, field in Engine.model_fields.items():
            why = UNREAD.get(engine.kind, {}).get(key)
            if why and getattr(engine, key) != field.default:
                path = (*system.key(name), key)
                yield ConfigError(
                    "nothing reads it",
                    path=path,
                    found=f"'{key}' in an engine of kind '{engine.kind}'",
                    expected=f"no such key: {why}",
                )


def _of_ports(system: System) -> Iterator[ConfigError]:
    """Ports to which their tier never gives what they could take, and those of a grid that say how a BLAS packs."""
    for name, engine in system.engines.items():
        for key, port in engine.reads.items():
            tier = f"{name.partition('.')[0]}.{key}"
            if engine.kind == "dataflow" and port.packing is not None:
                yield ConfigError(
                    "nothing reads it",
                    path=(*system.key(f"{tier}->{name}"), "packing"),
                    found="'packing' in a port of an engine of kind 'dataflow'",
                    expected="no such key: a grid streams operands",
                )
            keys = [
                each
                for each in ("bandwidth", "efficiency")
                if each in port.model_fields_set  # not what follows from a stack
                and getattr(port, each) != Port.model_fields[each].default
            ]
            if keys and not engine.in_memory and _is_capped(system, tier, name):
                bus, through = system[tier], system[f"{tier}->{name}"]
                found, most = (
                    show(float(each.capacity if keys[0] == "bandwidth" else each.rate(LARGE)), "B/s")
                    for each in (through, bus)
                )
                yield ConfigError(
                    "nothing depends on it, for the tier gives no more",
                    path=(*system.key(through.name), keys[0]),
                    found=found,
                    expected=f"at most the {most} of {dotted(system.key(tier))}, whose bus it reads over; units in the"
                    " memory have 'pim', and their tier a 'stack'",
                )


LARGE = 1e15  # bytes: beyond the end of every efficiency curve


def _is_capped(system: System, tier: str, engine: str) -> bool:
    """Whether a tier takes longer than the port of an engine for any bytes, as achieved and at the peak.

    Rates are log-linear between the sizes of their curves, so that the ends of these decide. Where writes are faster
    than reads, or have a bus of their own, a port may carry that much more. Bank bundles are kept as long as the port
    reads them (`bundles.py`): with these, its rate counts.
    """
    described, bus, port = system.tiers[tier], system[tier], system[f"{tier}->{engine}"]
    if described.stack is not None and described.stack.bundles > 1:
        return False
    write = described.bandwidth if described.write_bandwidth is None else described.write_bandwidth
    most = 1 + write / described.bandwidth if described.full_duplex else max(1.0, write / described.bandwidth)
    sizes = np.array([1.0, LARGE, *_bends(bus), *_bends(port)])
    through, of_bus = port.rate(sizes), most * bus.rate(sizes)
    enough = bool(np.all(through >= of_bus) and np.all(port.capacity >= most * bus.capacity))
    return enough and bool(np.any(through > of_bus))


def _bends(resource: Resource) -> tuple[float, ...]:
    return getattr(resource.efficiency, "sizes", ())


def _of_stacks(system: System) -> Iterator[ConfigError]:
    for name, tier in system.tiers.items():
        if tier.stack is not None and tier.stack.bundles == 1 and "bus_read" in tier.stack.model_fields_set:
            path = (*system.key(name), "stack", "bus_read")
            yield ConfigError(
                "nothing reads it",
                path=path,
                found="'bus_read' in a stack of one bundle",
                expected="'bundles' beside it: 2 or more",
            )


def _of_links(system: System) -> Iterator[ConfigError]:
    """Links that neither a copy between tiers nor a collective crosses, and algorithms of no collective."""
    sections: list[tuple[KeyPath, str, Mapping[str, Link]]] = [((), "", system.machine.links)]
    sections += [(("devices", d), f"{d}.", device.links) for d, device in system.machine.devices.items()]
    for at, prefix, links in sections:
        for name, link in links.items():
            a, b = (prefix + end for end in ends(name))
            alike = a == b and a in (*system.machine.devices, "node")
            path: KeyPath = (*at, "links", name)
            if not alike and not {a, b} <= system.tiers.keys():
                yield ConfigError(
                    "nothing crosses it",
                    path=path,
                    found=f"a link of {a} and {b}",
                    expected="two tiers, or the devices of one name, or the nodes",
                )
            elif not alike and "algorithm" in link.model_fields_set:
                yield ConfigError(
                    "nothing reads it",
                    path=(*path, "algorithm"),
                    found="'algorithm' in a link that no collective crosses",
                    expected="no such key",
                )
