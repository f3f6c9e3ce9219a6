"""Static placement of symbols over two tiers: which spill to the slow one, and at which address each lies."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Literal

from simulator.errors import CapacityError
from simulator.mapping.target import Target


@dataclass(frozen=True, eq=False, slots=True)
class Symbol:
    """Something that a program keeps in memory for a while.

    Attributes:
        bytes: its size.
        transferred: bytes of it that are read and written over the whole program.
        first, last: the steps of the program between which it lives, both counted.
    """

    name: str
    bytes: float
    transferred: float
    first: int
    last: int
    kind: Literal["weight", "kv", "activation"]


@dataclass(frozen=True)
class Space:
    """What a tier of one device has free, in bytes; addresses and sizes are multiples of its granularity."""

    tier: str
    capacity: float
    granularity: float = 1.0


@dataclass(frozen=True, eq=False)
class Region:
    """What lies in one tier, in bytes.

    Attributes:
        addresses: where each symbol starts; symbols that never live at once may share bytes.
        peak: the end of the highest.
        bound: the most that lives at once, which no addresses can undercut.
    """

    space: Space
    addresses: Mapping[Symbol, int]
    peak: int
    bound: int


@dataclass(frozen=True, eq=False)
class MemoryPlan:
    """What lies in the fast tier, and what spilled to the slow one."""

    fast: Region
    slow: Region

    def spilled(self, symbol: Symbol) -> bool:
        return symbol in self.slow.addresses


ORDERS: dict[str, Callable[[Symbol], Any]] = {
    "weights_last": lambda symbol: (symbol.kind == "weight", symbol.transferred),
    "traffic_per_byte": lambda symbol: (float(f"{symbol.transferred / symbol.bytes:.9g}"), symbol.transferred),
}
"""In which order symbols spill, the smallest key first.

`weights_last`: the least traffic first, and weights after all others (SN40L, arXiv 2405.07518 section V-A).
`traffic_per_byte`: the least traffic for the room that it frees, whatever it is; of equals the least traffic, so that
layers that are alike spill the same of theirs, and read the rest from the fast tier meanwhile.
"""


def memory_plan(symbols: Sequence[Symbol], fast: Space, slow: Space, order_by: str = "weights_last") -> MemoryPlan:
    """Everything in the fast tier, or else as few as must go to the slow one, by an order of `ORDERS`.

    Of equals the later in the program goes first. The first k of the order spill, such that the rest fits, and with the
    k-th it would not. What spilled before the k-th stays there, even what would fit in the room that the k-th left:
    only so is what spills out of a larger fast tier a part of what spills out of a smaller one.

    Raises:
        CapacityError: what spills does not fit in the slow tier.
    """
    order = sorted(reversed(symbols), key=ORDERS[order_by])

    def fits(spilled: int) -> bool:
        kept = order[spilled:]
        return live_bytes(kept, fast) <= fast.capacity and _region(kept, fast).peak <= fast.capacity

    # Fewer symbols may pack worse, so that `fits` may turn twice. The search still finds a turn; and where it answers
    # otherwise for a larger capacity, it goes the way of fewer spilled.
    spilled = 0 if fits(0) else bisect_left(range(len(order) + 1), True, key=fits)
    plan = MemoryPlan(_region(order[spilled:], fast), _region(order[:spilled], slow))
    if plan.slow.peak > slow.capacity:
        raise CapacityError(
            f"{spilled:,} symbols of each device that do not fit in {fast.tier}, in {slow.tier}",
            needed=plan.slow.peak,
            available=slow.capacity,
            remedy="try fewer or shorter sequences, more devices, or a smaller dtype",
        )
    return plan


def space(target: Target, tier: str) -> Space:
    """What a tier of each device has free for symbols."""
    name = f"{target.device}.{tier}"
    described = target.system.tiers[name]
    return Space(name, described.capacity - described.reserved, described.granularity)


def live_bytes(symbols: Sequence[Symbol], space: Space) -> int:
    """The most bytes that live at once: `max_t sum(size of each s with first_s <= t <= last_s)`."""
    change: dict[int, int] = defaultdict(int)
    for symbol in symbols:
        size = _size(symbol, space)
        change[symbol.first] += size
        change[symbol.last + 1] -= size
    return max(accumulate(change[step] for step in sorted(change)), default=0)


def _region(symbols: Sequence[Symbol], space: Space) -> Region:
    """Addresses: what lives throughout at the bottom; then the larger first, each in the smallest gap that takes it.

    Greedy by size for offset calculation (Pisarchyk and Lee, arXiv 2001.03288). The gaps of a symbol are those between
    the symbols placed before it that live when it does; the last, without end, is above them all.
    """
    start, end = min((s.first for s in symbols), default=0), max((s.last for s in symbols), default=0)
    addresses: dict[Symbol, int] = {}
    peak = 0
    temporary = []
    for symbol in symbols:
        if symbol.first == start and symbol.last == end:
            addresses[symbol] = peak
            peak += _size(symbol, space)
        else:
            temporary.append(symbol)
    bottom = peak
    occupied: dict[int, list[tuple[int, int]]] = defaultdict(list)  # by step: from and to
    for symbol in sorted(temporary, key=lambda s: (-s.bytes, s.first)):
        steps, size = range(symbol.first, symbol.last + 1), _size(symbol, space)
        address = _gap(sorted({span for step in steps for span in occupied[step]}), size, bottom)
        addresses[symbol] = address
        for step in steps:
            occupied[step].append((address, address + size))
        peak = max(peak, address + size)
    return Region(space, addresses, peak, live_bytes(symbols, space))


def _gap(spans: Sequence[tuple[int, int]], size: int, bottom: int) -> int:
    """The start of the smallest gap between `spans`, which are in order, that has so many bytes."""
    best, smallest, free = -1, math.inf, bottom
    for start, end in spans:
        if size <= start - free < smallest:
            best, smallest = free, start - free
        free = max(free, end)
    return best if best >= 0 else free


def _size(symbol: Symbol, space: Space) -> int:
    """Bytes in whole grains."""
    grain = math.ceil(space.granularity)
    return math.ceil(symbol.bytes / grain) * grain
