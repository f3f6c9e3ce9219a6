"""Reads of flash: chunks of one size, so many in flight at once, from a tier of flash to another tier.

The chunk-size curve follows: with n in flight, `min(bandwidth, operations c, c / k(c), n c / t(c))` bytes a second for
chunks of c bytes, where `t(c)` is the time of one by itself and `k(c)` that in the controller (`hardware/flash.py`).
Chunks lie evenly over channels and dies.
Not modelled: writes to flash beyond their bytes, garbage collection, read disturb and retries, uneven load of dies.
"""

from __future__ import annotations

import numpy as np

from simulator.core import Activity, Quantity, Resource, launched
from simulator.errors import ConfigError, unknown
from simulator.hardware import System, Tier
from simulator.hardware.flash import Flash, demands, grains
from simulator.mapping.transfer import carried


def flash_read(
    system: System,
    reads: Quantity,
    size: float,
    source: str,
    target: str,
    threads: int | None = None,
    packed: bool = False,
    name: str = "flash read",
) -> Activity:
    """Read `reads` chunks of `size` bytes each, in all, from a tier of flash to another by the shortest route.

    Each moves whole grains (`grains`). Demands what each takes by itself, `t`, of the queue (`inflight`); its share of
    operations, controller, cells and channels; and its bytes of each resource on the route, as a `transfer` does. Each
    of the `threads` of a device waits for one read at a time: a private resource of that capacity, or of as many as
    there are reads, so that a few reads still take the time of one. Where there are more threads than the queue holds,
    it binds.

    Args:
        system: the machine.
        reads: how many chunks, a number or an array of design points; an expected number need not be whole.
        size: bytes of one.
        source, target: tiers, by their full names.
        threads: that read at once; as many as the queue holds if None.
        packed: chunks lie end to end, and not each at the start of a grain.
        name: for reports.

    Raises:
        ConfigError: a source that is no flash, or has no `flash` section; an unknown tier, no route; threads below 1.
    """
    flash = _flash(system, source)
    if threads is not None and threads < 1:
        raise ConfigError(f"{system.name}: {name}", path="threads", found=threads, expected="1 or more")
    moved = bytes_read(system, source, size, packed)
    count = system.count(source)
    demand, latency = carried(system, reads * moved, source, target)
    for limit, units in demands(flash, moved).items():
        demand[system[f"{source}.{limit}"]] = reads * units / count
    at_once = np.minimum(float(threads or flash.queue_depth), np.maximum(reads / count, 1.0))
    waiting = Resource(f"{name} (threads)", at_once, "s", energy=0.0, count=count)
    demand[waiting] = demand[system[f"{source}.inflight"]]
    return launched(name, demand, latency)


def bytes_read(system: System, tier: str, size: float, packed: bool = False) -> float:
    """Bytes that one read of `size` bytes moves, whole grains; on average, where chunks lie end to end (`packed`).

    Raises:
        ConfigError: no such tier.
    """
    return float(grains(size, _tier(system, tier).granularity, packed))


def throughput(
    system: System, source: str, target: str, size: float, threads: int | None = None, packed: bool = False
) -> Quantity:
    """Bytes asked for a second in a long run of reads of `size` bytes each: `reads size / time`, latency apart.

    Raises:
        ConfigError: as `flash_read`.
    """
    reads = 1e6 * (threads or _flash(system, source).queue_depth) * system.count(source)
    seconds = flash_read(system, reads, size, source, target, threads, packed).seconds()
    longest: Quantity = np.max(np.broadcast_arrays(*seconds.values()), axis=0)
    return reads * size / longest


def _flash(system: System, tier: str) -> Flash:
    flash = _tier(system, tier).flash
    if flash is None:
        key = system.key(tier)
        expected = "a tier that says how it is read: {queue_depth: ..., reads: {kind: ...}}"
        path, mark = (*key, "flash"), system.config.marks.get(key)
        file, line = (mark.file, mark.line) if mark else (None, None)
        raise ConfigError("missing key", file=file, line=line, path=path, expected=expected)
    return flash


def _tier(system: System, name: str) -> Tier:
    if name not in system.tiers:
        raise unknown(name, sorted(system.tiers), f"{system.name} has no such tier", found=name)
    return system.tiers[name]
