"""Time of a kernel that goes over rows on a GPU: norms, activations, softmax, rotations, scales of a format.

The form is our own, fitted on tables of measured kernels (`docs/accuracy.md`).
"""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from pydantic import Field

from simulator.config.section import Section
from simulator.mapping.gpu.chip import Chip
from simulator.mapping.gpu.kernel import (
    Array,
    Floor,
    GpuKernel,
    Overlap,
    ReachedOfDram,
    Shapes,
    column,
    in_cache,
    norm,
    text,
)
from simulator.mapping.gpu.tiles import waves
from simulator.units import Unit

MOVED = {"silu_and_mul": 3.0, "add": 3.0, "compute_scale": 1.0, "scale_matrix": 1.5}
"""How often an element is read or written, in 16 bits: twice unless said here."""
OPS = (
    "softmax", "layernorm", "rms_norm", "gelu", "rope", "silu_and_mul", "add", "compute_scale", "scale_matrix",
)  # fmt: skip


BY_ELEMENT = ("gelu", "silu_and_mul", "add", "scale_matrix", "rope")
"""Operators that go over elements in blocks of `BLOCK`, wherever rows end."""
BLOCK = 4096


class RowLibrary(Section):
    """What a library makes of a chip, in kernels over rows."""

    t0: Floor = 2.5e-6
    """Seconds of a kernel that does nothing."""
    ebw: ReachedOfDram = 0.85
    """The fraction of DRAM's bandwidth that is reached."""
    l2f: Annotated[float, Unit("1"), Field(ge=0.01, le=4)] = 0.3
    """What rows read of the L2 cache, over 64 B a clock an SM."""
    row: Annotated[float, Unit("s"), Field(ge=1e-9, le=2e-5)] = 1e-7
    """Seconds that an SM takes for a row beside its elements."""
    element: Annotated[float, Unit("s"), Field(ge=1e-14, le=1e-8)] = 1e-10
    """Seconds that an SM takes for an element."""
    p: Overlap = 3.0
    """The power in which rows, L2 and DRAM overlap."""


def _bytes(shapes: Shapes) -> Array:
    ops = text(shapes, "op", "rms_norm")
    moved = [next((times for name, times in MOVED.items() if str(op).startswith(name)), 2.0) for op in ops.ravel()]
    size: Array = 2.0 * column(shapes, "m") * column(shapes, "n") * np.reshape(moved, ops.shape)
    return size


def _parts(shapes: Shapes, chip: Chip, library: RowLibrary) -> dict[str, Array]:
    size, m, n = _bytes(shapes), column(shapes, "m"), column(shapes, "n")
    by_element = np.array([str(op).startswith(BY_ELEMENT) for op in np.ravel(text(shapes, "op", "rms_norm"))])
    by_element = by_element if by_element.size > 1 else by_element[0]
    m, n = np.where(by_element, np.ceil(m * n / BLOCK), m), np.where(by_element, np.minimum(m * n, BLOCK), n)
    return {
        "launch": np.broadcast_to(library.t0, np.shape(size)),
        "compute": waves(m, chip.sms) * (library.row + n * library.element),
        "dram": size * (1 - in_cache(size, chip)) / (library.ebw * chip.bandwidth),
        "l2": size / (library.l2f * chip.l2_bandwidth),
    }


def _seconds(shapes: Shapes, chip: Chip, library: RowLibrary) -> Array:
    """Seconds of m rows of n elements: `t0` and, overlapped, rows one after another on each SM, L2 and DRAM."""
    parts = _parts(shapes, chip, library)
    seconds: Array = parts["launch"] + norm(library.p, parts["compute"], parts["dram"], parts["l2"])
    return seconds


def _work(shapes: Shapes) -> tuple[Array, Array]:
    size = _bytes(shapes)
    return np.zeros_like(size), size


def _variant(shapes: Shapes) -> Any:
    """The operator, without what is said after its name."""
    ops = text(shapes, "op", "rms_norm").astype(str)
    names = [max((name for name in OPS if str(op).startswith(name)), key=len, default=str(op)) for op in ops.ravel()]
    return np.reshape(np.array(names, object), ops.shape)


ROW_WISE = GpuKernel("row_wise", RowLibrary, OPS, ("m", "n"), _variant, _seconds, _parts, _work)
