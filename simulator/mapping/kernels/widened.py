"""Operands that a library writes before a product reads them: in a wider format, or in another order."""

from __future__ import annotations

from typing import cast

import numpy as np

from simulator.core import Quantity
from simulator.core.resource import plain
from simulator.hardware import Engine
from simulator.mapping.kernels.kernels import Kernel
from simulator.workload import Operator
from simulator.workload.formats.dtypes import BYTES_PER_ELEMENT, Dtype
from simulator.workload.formats.named import KV


def rewritten_bytes(engine: Engine, kernel: Kernel) -> Quantity:
    """Bytes of copies of weights, keys and values that are written, and read again, before a kernel computes on them.

    What is stored narrower than `operands.widen` is written in that format, by `kernels` one after another; keys
    and values that a decode step reads are copied `kv_copies` times, as wide as they then are. A matrix has `n k`
    elements, and each routed expert that is read one of its own; a cache has as many as its bytes hold in its format.
    """
    total: Quantity = 0.0
    for operator in kernel.operators:
        stored = operator.bytes.get("weight", 0.0) + operator.bytes.get("expert", 0.0)
        if engine.operands.widen and operator.kind == "gemm" and {"n", "k"} <= operator.shape.keys():
            total = total + _widened(engine, stored, _elements(operator))
        if "kv_read" in operator.bytes and "kv_dtype" in operator.shape:
            read = operator.bytes["kv_read"]
            elements = read / KV[operator.shape["kv_dtype"]].bytes
            total = total + _widened(engine, read, elements)
            if operator.phase == "decode":
                total = total + engine.operands.kv_copies * np.maximum(read, _wide(engine, elements))
    return plain(total)


def _elements(operator: Operator) -> Quantity:
    shape = operator.shape
    elements: Quantity = shape["n"] * shape["k"] * shape.get("count", 1)
    return elements


def _wide(engine: Engine, elements: Quantity) -> Quantity:
    """Bytes of so many elements in the format that they are widened to; 0 where they are not."""
    wide = engine.operands.widen
    return elements * (BYTES_PER_ELEMENT[cast("Dtype", wide)] if wide else 0.0)


def _widened(engine: Engine, stored: Quantity, elements: Quantity) -> Quantity:
    """Bytes that widening writes, where that is wider than what is stored (but for a bias of 2 %)."""
    wide = _wide(engine, elements)
    written: Quantity = np.where(np.asarray(wide) > 1.02 * np.asarray(stored), wide, 0.0)
    return written * engine.operands.kernels
