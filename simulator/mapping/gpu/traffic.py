"""The tile of a GEMM as DeepGEMM picks it: the one whose blocks move least through the caches.

The rule is that of DeepGEMM's heuristics for Hopper (`csrc/jit_kernels/heuristics/sm90.hpp`): of every tile that an SM
has room for, alone or two blocks in a cluster, the one with the fewest clocks of L1 and of L2, over the share of all
waves that is filled. It asks for shapes alone, never for what a library reaches.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from simulator.mapping.gpu.chip import L2_PORT, Chip

L1_PORT = 128
"""Bytes a clock that an SM reads of its shared memory."""
L2_MOST = 8e6 / 1.3e3
"""Bytes a clock of L2 that the rule counts on at most."""
WGMMA = 64
"""Rows that a group of warps multiplies at least."""
STEP = 128
"""Bytes of K that a block loads at a time."""
LARGE = 128 * 160
"""Outputs of a tile beyond which a block alone in its cluster runs slowly."""


class Layout(NamedTuple):
    """Rows and columns of a tile, and how many tiles of the columns, or of the rows, one cluster shares loads of."""

    rows: Any
    columns: Any
    down: Any
    across: Any

    @property
    def multiplied(self) -> Any:
        """Rows that are multiplied, used or not."""
        return np.maximum(self.rows, WGMMA)

    @property
    def alone(self) -> Any:
        """Whether the tile is large and no other block of its cluster shares its loads."""
        return (self.rows * self.columns > LARGE) & (self.down * self.across == 1)

    def blocks(self, m: Any, n: Any) -> Any:
        """Blocks of an output of m x n."""
        return np.ceil(m / self.rows) * np.ceil(n / self.columns)


@lru_cache(maxsize=8)
def _layouts(shared_memory: float) -> Layout:
    """Those that an SM has room for, in the order in which the first of equals is picked."""
    rows = []
    for down, across in ((1, 1), (1, 2), (2, 1)):
        for tall in (64, 128, 16, 32, 256):
            for wide in range(16, 193, 16):
                stages = (shared_memory - 2 * tall * wide) // ((tall + wide) * STEP + 4 * tall)
                divides = wide <= STEP or wide % (wide - STEP) == 0 or STEP % (wide - STEP) == 0
                if divides and min(tall, wide) <= 128 and stages >= (4 if tall * wide < 128 * 192 else 3):
                    rows.append((tall, wide, down, across))
    return Layout(*np.array(rows, float).T)


def layout_of(m: Any, n: Any, k: Any, count: Any, chip: Chip) -> Layout:
    """The layout of products (m x k) by (k x n) in operands of 8 bits, `count` of them in one kernel.

    `min over layouts of max(L1, L2) waves SMs / blocks`, with the bytes of a block `k (rows/across + columns/down)` of
    L2 and `k (2 rows + 2 columns)` of L1, and its output; clusters only where there are more blocks than SMs.
    """
    shapes = np.stack(np.broadcast_arrays(*(np.asarray(each, float) for each in (m, n, k, count))))
    best = _best(shapes.tobytes(), chip.sms, chip.shared_memory).reshape(shapes.shape[1:])
    return Layout(*(of[best] for of in _layouts(chip.shared_memory)))


@lru_cache(maxsize=64)
def _best(shapes: bytes, sms: int, shared_memory: float) -> Any:
    """The place of each shape's layout; a fit asks for the same shapes many times."""
    m, n, k, count = np.frombuffer(shapes).reshape(4, -1, 1)
    each = _layouts(shared_memory)
    blocks = count * each.blocks(m, n)
    waves = np.ceil(blocks / sms)
    stored = 2.0 * each.rows * each.columns
    l2 = (k * (each.rows / each.across + each.columns / each.down) + stored) / min(L2_PORT * sms, L2_MOST)
    l1 = (k * (each.rows + each.multiplied + 2 * each.columns) + 2 * stored) / (L1_PORT * sms)
    clocks = np.maximum(l1, l2) * waves * sms
    clocks = np.where((each.down * each.across > 1) & (waves <= 1), np.inf, clocks)
    clocks = np.where((each.rows < WGMMA) & (m > each.rows), np.inf, clocks)
    return np.argmin(clocks, axis=-1)
