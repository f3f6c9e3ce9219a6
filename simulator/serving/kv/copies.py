"""What copies of blocks between tiers take, beside the iteration that waits for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from simulator.core import Activity, Resource, add
from simulator.errors import CapacityError, unknown
from simulator.mapping.deployment import Deployment
from simulator.mapping.transfer import transfer
from simulator.workload import kv_bytes

Moves = Mapping[tuple[int, int], int]
"""Blocks by the place of the tier that they leave, and of that to which they go; memory is 0."""


@dataclass(frozen=True)
class Copies:
    """Tiers of keys and values, memory first, with the copy of a block from one to another.

    Copies of one iteration go side by side, and meet on the resources of their routes: they take
    `max(latency) + max_r(sum of demands / capacity)`. What waits for them is an iteration: all of it, or with `layers`
    each of its layers for that layer's keys and values. Then copies of the next layer go on while one is computed:
    `a + (layers - 1) max(a, c) + c`, with a layer's copies `a` and computation `c`.

    Attributes:
        tiers: full names.
        blocks: how many each of them holds.
        block_bytes: of a block.
        of_block: the copy of one, by the places of both tiers.
        layers: of the model, where its layers wait one by one; None: an iteration begins when all copies are done.
    """

    tiers: tuple[str, ...]
    blocks: tuple[int, ...]
    block_bytes: float
    of_block: Mapping[tuple[int, int], Activity]
    layers: int | None = None

    def demand(self, moves: Moves) -> dict[Resource, float]:
        """Units of each resource that copies take, as of one of identical parts."""
        total: dict[Resource, float] = {}
        for hop, blocks in moves.items():
            add(total, {r: float(units) for r, units in self.of_block[hop].demand.items()}, blocks)
        return total

    def seconds(self, moves: Moves) -> float:
        """Seconds of copies that go side by side."""
        if not moves:
            return 0.0
        latency = max(float(self.of_block[hop].latency) for hop in moves)
        return latency + max((float(r.seconds(units)) for r, units in self.demand(moves).items()), default=0.0)

    def beside(self, moves: Moves, seconds: float) -> float:
        """Seconds of an iteration with the copies that it waits for."""
        copies = self.seconds(moves)
        if self.layers is None:
            return copies + seconds
        return (copies + (self.layers - 1) * max(copies, seconds) + seconds) / self.layers


def copies_of(deployed: Deployment, total: int, size: int) -> Copies:
    """The tiers of a deployment's keys and values behind the `total` blocks of `size` tokens that its memory holds.

    A copy of a block goes by the shortest route. Of a tier that no device has one of, a node has all.

    Raises:
        ConfigError: a tier that the machine lacks, that is its memory or stands there twice; no route.
        CapacityError: a tier has not so many bytes.
    """
    store, low, names, blocks = deployed.kv_store, deployed.low, [deployed.low.tier], [total]
    system, of_block = low.system, float(kv_bytes(deployed.model, float(size)))
    for place, each in enumerate(store.tiers):
        at = ("mapping", "kv_store", "tiers", str(place))
        known = [name for name in system.behind(low.tier) if name not in names]
        if each.tier not in known:
            raise unknown(each.tier, known, f"tiers of {system.name} behind {', '.join(names)}", path=(*at, "tier"))
        of_device = each.tier.partition(".")[0] == low.device
        room = system.free(each.tier) / (1 if of_device else system.machine.nodes)
        if each.bytes is not None and each.bytes > room:
            what = f"{'.'.join(at)}.bytes: keys and values in {each.tier}"
            remedy = "fewer bytes, or null for all that it has"
            raise CapacityError(what, needed=each.bytes, available=room, remedy=remedy)
        names.append(each.tier)
        blocks.append(int((room if each.bytes is None else each.bytes) / of_block))
    hops = [(a, b) for a in range(len(names)) for b in range(len(names)) if a < b or (a and not b)]
    copy = {(a, b): transfer(system, np.asarray(of_block), names[a], names[b], name="copy of a block") for a, b in hops}
    return Copies(
        tuple(names), tuple(blocks), of_block, copy, deployed.model.layers if store.overlap == "layer" else None
    )
