"""A search method: from the best point so far, along one axis after another."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import cycle

import numpy as np

from simulator.plugin import Indices, Seen, register


@register("search", "axis_by_axis")
def axis_by_axis(seen: Seen, evaluations: int, batch: int, seed: int) -> Iterator[Indices]:
    """All levels of an axis around the usable point that costs least in the first objective."""
    rng = np.random.default_rng(seed)
    yield seen.drawn(rng, batch)
    for axis in cycle(range(len(seen.sizes))):
        usable = seen.indices[seen.usable]
        if len(usable):
            best = usable[np.argmin(seen.costs[seen.usable][:, 0])]
            line = np.repeat(best[np.newaxis], seen.sizes[axis], axis=0)
            line[:, axis] = np.arange(seen.sizes[axis])
            yield seen.fresh(line, batch)
        else:
            yield seen.drawn(rng, batch)
