"""Time of a copy on a GPU: within its memory, to or from another GPU, to or from its host, over the link between.

`t0`, then the bytes at the share of the rate that a copy reaches; within memory each byte is read and written. The
defaults are what published figures reach (`workloads/measured/operators.csv`): over NVLink 380 of 450 GB/s, from an
H100 to its host 52.8 of 64 GB/s.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from simulator.config.section import Section
from simulator.errors import ConfigError
from simulator.mapping.gpu.chip import Chip
from simulator.mapping.gpu.kernel import Array, Floor, GpuKernel, Reached, ReachedOfDram, Shapes, column, text

OVER = ("copy_device_to_host", "copy_host_to_device", "copy_peer", "copy")
"""Copies by what their names begin with: over the link to the host, over that to other GPUs, within memory."""


class CopyLibrary(Section):
    """What a library makes of memory and links, in copies."""

    t0: Floor = 5e-6
    """Seconds of a copy of nothing."""
    ebw: ReachedOfDram = 0.85
    """The fraction of DRAM's bandwidth that is reached within memory."""
    host: Reached = 0.83
    """The share of the rate of the link to the host."""
    peer: Reached = 0.84
    """The share of the rate of the link to other GPUs."""


def _routes(shapes: Shapes) -> Any:
    ops = text(shapes, "op", "copy").astype(str)
    names = [next(name for name in OVER if str(op).startswith(name)) for op in ops.ravel()]
    return np.reshape(np.array(names, object), ops.shape)


def _parts(shapes: Shapes, chip: Chip, library: CopyLibrary) -> dict[str, Array]:
    """Seconds of the start, of DRAM and of the link."""
    size, route = column(shapes, "bytes"), _routes(shapes)
    host, peer = np.isin(route, OVER[:2]), route == "copy_peer"
    for over, rate, to in ((host, chip.host, "its host"), (peer, chip.link, "other GPUs")):
        if np.any(over) and not np.all(rate):
            raise ConfigError(path="op", found=f"'{OVER[0 if to == 'its host' else 2]}'", expected=f"a link to {to}")
    rates = np.where(host, library.host * (chip.host or 1.0), library.peer * (chip.link or 1.0))
    over_link = host | peer
    return {
        "launch": np.broadcast_to(library.t0, np.shape(size)),
        "dram": np.where(over_link, size, 2 * size) / (library.ebw * chip.bandwidth),
        "link": np.where(over_link, size / rates, 0.0),
    }


def copy_roofline(shapes: Shapes, chip: Chip) -> Array:
    """Seconds of a copy whose memory and link lose nothing."""
    parts = _parts(shapes, chip, CopyLibrary.model_construct(t0=0.0, ebw=1.0, host=1.0, peer=1.0))
    longest: Array = np.maximum(parts["dram"], parts["link"])
    return longest


def _seconds(shapes: Shapes, chip: Chip, library: CopyLibrary) -> Array:
    """Seconds of a copy: `t0 + max(DRAM, link)`; all bytes cross both."""
    parts = _parts(shapes, chip, library)
    seconds: Array = parts["launch"] + np.maximum(parts["dram"], parts["link"])
    return seconds


def _work(shapes: Shapes) -> tuple[Array, Array]:
    size = column(shapes, "bytes", np.nan)
    return np.zeros_like(size), np.where(_routes(shapes) == "copy", 2 * size, size)


COPY = GpuKernel("copy", CopyLibrary, ("copy",), ("bytes",), _routes, _seconds, _parts, _work)
