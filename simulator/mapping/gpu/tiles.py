"""The tiles in which a GPU computes a matrix product, and how often its SMs compute one.

A kernel is one of a few candidates, a tile and a split of K, of those that fit in an SM.
"""

from __future__ import annotations

from itertools import product
from typing import Any, NamedTuple

import numpy as np

from simulator.core import Quantity
from simulator.mapping.gpu.chip import Chip, width
from simulator.mapping.gpu.traffic import STEP

TILES = ((64, 64), (64, 128), (128, 128), (128, 256))
"""Rows and columns of the output that one block of threads computes."""
SPLITS = (1, 2, 3, 4, 6, 8, 12, 16, 24)
"""Into how many parts K may be split, each summed by blocks of its own."""
STAGES = 2
"""Steps of K in flight at least, in shared memory."""
FEED = 1.6 / 1024
"""Clocks that an SM spends for each of its FLOPs to feed its tensor cores, times the tile's 1 / rows + 1 / columns."""


class Candidate(NamedTuple):
    """A tile, `rows` x `columns` of the output, and into how many parts K is split.

    `together` tiles of as many rows are one cluster; it is picked for more rows of the output than `above`, up to
    `most`.
    """

    rows: int
    columns: int
    split: int
    together: int = 1
    above: float = 0
    most: float = np.inf


BY_ROWS = [
    Candidate(64, 64, 1, most=64),
    Candidate(64, 128, 1, together=2, above=64, most=128),
    Candidate(128, 128, 1, together=2, above=128),
]
"""Tiles by the rows of the output, as CUTLASS kernels of FP8 are dispatched in vLLM (`csrc/quantization`)."""


def candidates(chip: Chip, dtype: str = "bf16", tile: str = "fastest") -> list[Candidate]:
    """What fits in an SM: steps of the operands in shared memory, and the sums, in fp32, in registers."""
    if tile == "rows":
        return BY_ROWS
    wide = min(STEP, 64 * width(dtype))
    fits = [
        tile
        for tile in TILES
        if STAGES * sum(tile) * wide <= chip.shared_memory and 4 * tile[0] * tile[1] <= chip.registers / 2
    ]
    return [Candidate(rows, columns, split) for (rows, columns), split in product(fits or TILES[:1], SPLITS)]


def share_of_k(k: Quantity, split: int, dtype: str = "bf16") -> Any:
    """Elements of K that each part sums, in whole steps; all parts together take `k` or more."""
    step = STEP / max(width(dtype), 1.0)
    return np.ceil(np.ceil(k / step) / split) * step


def waves(blocks: Any, sms: int) -> Any:
    """How often every SM computes a block: once up to one each, then between the mean and the next whole number."""
    mean = blocks / sms
    return np.where(mean <= 1, np.minimum(1.0, np.ceil(mean)), (mean + np.ceil(mean)) / 2)
