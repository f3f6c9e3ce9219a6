"""Kernels that serving libraries have as parts of others."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np

from simulator.mapping.kernels.kernels import Kernel


def joined(kernels: Sequence[Kernel], fused: Collection[str], repeat: int) -> list[Kernel]:
    """The kernels of a block with those joined that a library has as one.

    `rope`: rotations and the write to the cache are done in the attention that comes after them. `layers`: of a block
    that is repeated, the sum at its end and the norm at its start are one, which reads what the sum made no more.
    """
    parts = list(kernels)
    if "rope" in fused:
        parts = _into_attention(parts)
    if "layers" in fused and repeat > 1 and len(parts) > 1 and _kinds(parts[-1]) == {"add"} and _is_norm(parts[0]):
        parts = [_both(parts[-1], parts[0]), *parts[1:-1]]
    return parts


def _into_attention(kernels: list[Kernel]) -> list[Kernel]:
    """Attention with what rotates for it and writes to the cache: the bytes of both, without those handed on."""
    turning = [kernel for kernel in kernels if _kinds(kernel) <= {"rope", "cache"}]
    place = next((at for at, kernel in enumerate(kernels) if "attention" in _kinds(kernel)), None)
    if place is None or not turning:
        return kernels
    attention = kernels[place]
    for kernel in turning:
        handed = sum((o.bytes["output"] for o in kernel.operators), start=0.0)
        attention = replace(
            attention,
            operators=(*attention.operators, *kernel.operators),
            read=attention.read + np.maximum(kernel.read - handed, 0.0),
            written=attention.written + np.maximum(kernel.written - handed, 0.0),
            inner=attention.inner + kernel.inner,
        )
    return [attention if at == place else kernel for at, kernel in enumerate(kernels) if kernel not in turning]


def _both(last: Kernel, first: Kernel) -> Kernel:
    """The sum at the end of a layer and the norm at the start of the next."""
    made = last.operators[-1].bytes["output"]
    return replace(
        first,
        name=f"{last.name}+{first.name}",
        operators=(*last.operators, *first.operators),
        read=last.read + np.maximum(first.read - made, 0.0),
        written=last.written + first.written,
        inner=last.inner + first.inner,
    )


def _kinds(kernel: Kernel) -> set[str]:
    return {operator.kind for operator in kernel.operators}


def _is_norm(kernel: Kernel) -> bool:
    return _kinds(kernel) == {"norm"}
