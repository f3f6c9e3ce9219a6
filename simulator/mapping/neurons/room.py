"""How many neurons DRAM has room for: in the buffers of the layers, and in the page cache behind them."""

from __future__ import annotations

from simulator.errors import CapacityError, ConfigError
from simulator.mapping.form import Residency
from simulator.mapping.neurons.held import NeuronTraffic
from simulator.mapping.neurons.stored import Stored
from simulator.mapping.neurons.token_plan import Memory
from simulator.workload import weight_bytes

LIMITS = ("room", "share", "bytes")


def capacity(keeps: Residency, kept: Stored, free: float) -> int:
    """Neurons of a layer that there is room for, by the limit that a residency has; without one, in the `free` bytes.

    Raises:
        ConfigError: several limits.
        CapacityError: what is no neuron takes all of it.
    """
    limits = [name for name in LIMITS if getattr(keeps, name) is not None]
    if len(limits) > 1:
        raise ConfigError(path=limits[1], found=f"a limit beside `{limits[0]}`", expected="one of both")
    if keeps.room is not None:
        return max(int(keeps.room * kept.neurons), 1)
    available = keeps.bytes or free
    if keeps.share is not None:
        available = keeps.share * weight_bytes(kept.model)
    rows = int((available - kept.fixed_bytes) // (kept.model.layers * kept.neuron_bytes))
    if rows < 1:
        what = f"{kept.model.name}: the weights that are no neuron's, and the predictors,"
        raise CapacityError(what, needed=kept.fixed_bytes, available=available, remedy="more DRAM")
    return min(rows, kept.neurons)


def page_cache(memory: Memory, kept: Stored, traffic: NeuronTraffic, shared: bool) -> int:
    """Neurons of a layer in the page cache: all the DRAM that weights and buffers leave; 0 where it is off."""
    system, dram, flash = memory.system, memory.system.tiers[memory.dram], memory.system.tiers[memory.flash].flash
    if not (flash and flash.page_cache):
        return 0
    rows = float((traffic.held.max(axis=0) if shared else traffic.held.sum(axis=0)).max())
    available = system.capacity(memory.dram) - dram.reserved - kept.fixed_bytes - rows * kept.neuron_bytes
    return int(min(max(available, 0.0) // (kept.model.layers * kept.neuron_bytes), kept.neurons))
