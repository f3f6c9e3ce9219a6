"""Time of the all-to-all that sends tokens to the devices of their experts and brings the answers back.

As DeepEP does it (github deepseek-ai/DeepEP): a token goes once to each device that has some of its experts, or, in the
kernels of low latency, once for each pick. The constants are fitted on measured tables (`docs/accuracy.md`).
"""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from pydantic import Field

from simulator.config.section import Section
from simulator.mapping.gpu.chip import Chip, width
from simulator.mapping.gpu.kernel import Array, GpuKernel, Overlap, Shapes, column, norm, text
from simulator.units import Unit

OPS = ("moe_dispatch", "moe_combine")
LOW_LATENCY = "ll"
SCALES = 1 + 4 / 128
"""Bytes of an element of 8 bits with its share of a scale of 4 bytes for each 128."""


class ExchangeLibrary(Section):
    """What a library makes of the links, in the all-to-all of experts."""

    t0: Annotated[float, Unit("s"), Field(ge=1e-6, le=3e-4)] = 3e-5
    """Seconds of all kernels when they send nothing: layout, notification, barriers."""
    token: Annotated[float, Unit("s"), Field(ge=0, le=1e-6)] = 1e-9
    """Seconds that a pick of a token adds."""
    rate: Annotated[float, Unit("1"), Field(ge=0.01, le=1)] = 0.4
    """The share of the link's rate."""
    p: Overlap = 3.0
    """The power in which picks and bytes overlap."""


def _sends(shapes: Shapes) -> Array:
    """Bytes that a device sends: to the others, of each token that goes there, its elements and scales.

    `n` devices and `k` picks: a token has some of its experts on `n (1 - (1 - 1/n)^k)` devices, where picks are
    uniform, of which `(n - 1)/n` are others.
    """
    tokens, hidden, picks = (column(shapes, name) for name in ("m", "k", "top_k"))
    devices = column(shapes, "n_devices")
    reached = devices * (1 - (1 - 1 / devices) ** picks)
    low = np.char.endswith(text(shapes, "op", "moe_dispatch").astype(str), LOW_LATENCY)
    dtype = str(np.ravel(text(shapes, "dtype", "bf16"))[0])
    size = width(dtype) if width(dtype) >= 2 else width(dtype) * SCALES
    sent: Array = tokens * hidden * size * np.where(low, picks, reached) * (devices - 1) / devices
    return sent


def _parts(shapes: Shapes, chip: Chip, library: ExchangeLibrary) -> dict[str, Array]:
    """Seconds of the start, of the picks and of the link."""
    sent = _sends(shapes)
    return {
        "launch": np.broadcast_to(library.t0, np.shape(sent)),
        "picks": library.token * column(shapes, "m") * column(shapes, "top_k"),
        "link": sent / (library.rate * (chip.link or np.nan)),
    }


def _seconds(shapes: Shapes, chip: Chip, library: ExchangeLibrary) -> Array:
    """Seconds of sending tokens to experts, or of bringing them back: `t0 + (picks^p + link^p)^(1/p)`."""
    parts = _parts(shapes, chip, library)
    seconds: Array = parts["launch"] + norm(library.p, parts["picks"], parts["link"])
    return seconds


def _work(shapes: Shapes) -> tuple[Array, Array]:
    """No FLOPs; the bytes that a device sends."""
    sent = _sends(shapes)
    return np.zeros_like(sent), sent


def _variant(shapes: Shapes) -> Any:
    """The way, with `_ll` behind it for the kernels of low latency, and the format."""
    op, dtype = np.broadcast_arrays(text(shapes, "op", "moe_dispatch"), text(shapes, "dtype", "bf16"))
    return np.char.add(np.char.add(op.astype(str), " "), dtype.astype(str))


EXCHANGE = GpuKernel(
    "exchange", ExchangeLibrary, OPS, ("m", "k", "top_k", "n_devices"), _variant, _seconds, _parts, _work
)
