"""Time of a collective by size, as a library picks its algorithm: one shot, two shots, ring, tree, in the switch.

Counts of bytes and phases are the textbook's (Thakur et al., IJHPCA 2005; NCCL's ring, tree and NVLS); the constants
are fitted on measured tables (`docs/accuracy.md`).
"""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from pydantic import Field

from simulator.config.section import Section
from simulator.mapping.gpu.chip import Chip
from simulator.mapping.gpu.kernel import Array, Floor, GpuKernel, Shapes, column, norm, text
from simulator.units import Unit

OPS = ("all_reduce", "all_gather", "reduce_scatter", "all_to_all", "send_recv")
NODE = 8
"""Devices of a node, where a shape does not say how many nodes it spans."""

Phase = Annotated[float, Unit("s"), Field(ge=1e-9, le=1e-4)]
OfLink = Annotated[float, Unit("1"), Field(ge=0.01, le=1)]


class CollectiveLibrary(Section):
    """What a library makes of the links: of each algorithm the seconds of a phase, and its share of the link's rate."""

    t0: Floor = 4e-6
    """Seconds of a kernel that does nothing."""
    one: Phase = 3e-7
    """Seconds that each further device adds to one shot, in which all read from all."""
    one_rate: OfLink = 0.5
    """The share of the link's rate in one shot."""
    two: Phase = 3e-6
    """Seconds that two shots add: a barrier between reducing and gathering."""
    two_rate: OfLink = 0.6
    """The share of the link's rate in two shots."""
    ring: Phase = 5e-6
    """Seconds of a phase of a ring or a tree."""
    ring_rate: OfLink = 0.75
    """The share of the link's rate in a ring."""
    switch: Phase = 1.5e-5
    """Seconds that reducing in the switch adds."""
    switch_rate: OfLink = 0.7
    """The share of the link's rate where the switch reduces and multicasts; it must be able to."""
    network: Phase = 1.5e-5
    """Seconds of a phase between nodes."""
    network_rate: OfLink = 0.8
    """The share of the network's rate."""
    p: Annotated[float, Unit("1"), Field(ge=1, le=12)] = 4.0
    """The power in which a phase's latency and its bytes overlap: 1, one after another."""


def _parts(shapes: Shapes, chip: Chip, library: CollectiveLibrary) -> dict[str, Array]:
    """Seconds of the launch, of the phases' latencies, of the bytes over links, and of what goes between nodes.

    Of n devices and b bytes each, an all-reduce sends (n - 1) b in one shot, 2 (n - 1)/n b in two, in a ring or a tree
    of 2 (n - 1) or 2 log2(n) phases, and (n + 1)/n b through a switch; others send (n - 1)/n b. Between k nodes, each
    device of a node sends its share on, by a ring of its own.
    """
    size, devices = column(shapes, "bytes"), column(shapes, "n_devices")
    nodes = column(shapes, "nodes", 1.0) if "nodes" in shapes else np.ceil(devices / NODE)
    inside = np.maximum(devices / nodes, 1.0)
    op = text(shapes, "op", "all_reduce").astype(str)
    reduces, sends = np.char.startswith(op, "all_reduce"), np.char.startswith(op, "send_recv")
    once = np.where(sends, 1.0, (inside - 1) / inside) * size
    hops = np.where(sends, 1.0, inside - 1)
    rounds = np.where(reduces, 2.0, 1.0)
    link = np.where(chip.link > 0, chip.link, np.nan) if np.ndim(chip.link) else (chip.link or np.nan)
    ways = [  # latency, bytes, and share of the rate
        (library.two, rounds * once, library.two_rate),
        (
            library.ring * rounds * np.minimum(hops, 2 * np.log2(np.maximum(inside, 2))),
            rounds * once,
            library.ring_rate,
        ),
    ]
    if np.any(reduces):
        never = np.where(reduces, 0.0, np.inf)
        ways += [
            (library.one * hops + never, hops * size, library.one_rate),
            (library.switch + never, size * (1 + 1 / inside), library.switch_rate),
        ]
    best: Any = np.inf
    latency: Any = 0.0
    moving: Any = 0.0
    for waits, moved, rate in ways:
        seconds = moved / (rate * link)
        time = norm(library.p, np.broadcast_to(waits, np.shape(seconds)), seconds)
        faster = time < best
        best = np.where(faster, time, best)
        latency, moving = np.where(faster, waits, latency), np.where(faster, seconds, moving)
    alone = inside <= 1
    between = np.where(nodes > 1, rounds * (nodes - 1) * library.network, 0.0)
    through = library.network_rate * (chip.network or np.nan)
    between = between + np.where(nodes > 1, rounds * (nodes - 1) / nodes * size / inside / through, 0.0)
    zero = np.zeros(np.shape(best))
    return {
        "launch": zero + library.t0,
        "phases": np.where(alone, zero, latency),
        "link": np.where(alone, zero, moving),
        "network": zero + between,
    }


def _seconds(shapes: Shapes, chip: Chip, library: CollectiveLibrary) -> Array:
    """Seconds of a collective: `t0`, the fastest algorithm inside a node, and what goes between nodes."""
    parts = _parts(shapes, chip, library)
    seconds: Array = parts["launch"] + norm(library.p, parts["phases"], parts["link"]) + parts["network"]
    return seconds


def _work(shapes: Shapes) -> tuple[Array, Array]:
    """No FLOPs; the bytes that a device sends at least: (n - 1)/n of its payload."""
    size, devices = column(shapes, "bytes"), column(shapes, "n_devices")
    return np.zeros_like(size), size * (devices - 1) / devices


def _variant(shapes: Shapes) -> Any:
    """The operator, and whether it was launched eagerly, of data that say so."""
    op = text(shapes, "op", "all_reduce").astype(str)
    names = [next((name for name in OPS if each.startswith(name)), each) for each in op.ravel()]
    kernel = np.broadcast_to(text(shapes, "kernel", ""), op.shape)
    eager = [" eager" if str(each).endswith("eager") else "" for each in kernel.ravel()]
    joined = [name + mode for name, mode in zip(names, eager, strict=True)]
    return np.reshape(np.array(joined, object), op.shape)


def _fixed(variant: str) -> tuple[str, ...]:
    """What tables of one node cannot tell; and what only an all-reduce does."""
    return ("network", "network_rate") if variant.startswith("all_reduce") else (
        "network", "network_rate", "one", "one_rate", "switch", "switch_rate",
    )  # fmt: skip


COLLECTIVE = GpuKernel(
    "collective", CollectiveLibrary, OPS, ("bytes", "n_devices"), _variant, _seconds, _parts, _work, fixed=_fixed
)
