"""What runs a model: an engine of each device of a system, and the memory that it runs from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import numpy as np

from simulator.core import Quantity, Resource
from simulator.errors import ConfigError, one_of
from simulator.hardware import Engine, System
from simulator.mapping.gpu.chip import Chip, chip_of
from simulator.workload import Batch, Block, Operator
from simulator.workload.formats.dtypes import BYTES_PER_ELEMENT, Dtype
from simulator.workload.operators.operator import Operand

if TYPE_CHECKING:
    from simulator.mapping.gpu.modelled import Models
    from simulator.mapping.parallel.context import Ring
    from simulator.mapping.parallel.experts import Spread

ProgramKey: TypeAlias = tuple[str, int, tuple[str, ...]]
"""A block by its name, its repeats and its operators."""


@dataclass(frozen=True, eq=False)
class Target:
    """What runs the model: an engine of each device of a system, and the tier that holds weights, KV and activations.

    `device`, `engine` and `memory` are names as the machine's YAML has them (`gpu`, `gpu`, `hbm`); so is `spill`, the
    tier for what `memory` cannot hold, and `spilled` the operands of the block at hand that lie there, each with its
    operator. `programs` are what its engine has compiled for blocks (`lowering.compiled`). `models` time its kernels;
    where there are none, the roofline does. `spread` says how replicas share the routed experts, and `ring` how groups
    of devices, of which these are one, share each sequence; None: they do not.
    """

    system: System
    device: str
    engine: str
    memory: str
    spill: str | None = None
    spilled: frozenset[tuple[str, Operand]] = frozenset()
    programs: Mapping[ProgramKey, Any] = field(default_factory=dict)
    models: Models | None = None
    spread: Spread | None = None
    ring: Ring | None = None

    @property
    def name(self) -> str:
        """The engine's full name, `<device>.<engine>`."""
        return f"{self.device}.{self.engine}"

    @property
    def tier(self) -> str:
        """The full name of its memory, `<device>.<tier>`."""
        return f"{self.device}.{self.memory}"

    @property
    def description(self) -> Engine:
        return self.system.machine.devices[self.device].engines[self.engine]

    @cached_property
    def latency(self) -> Quantity:
        """What each kernel waits for: its launch (of a PIM also command and mode), and the main memory."""
        engine, memory = self.description, self.system.tiers[self.tier]
        return engine.launch_overhead + engine.command + engine.mode_switch + memory.latency

    @cached_property
    def chip(self) -> Chip:
        """The chip of the engine, as models of kernels see it."""
        return chip_of(self.system, self.name)

    @property
    def ways(self) -> int:
        """How many devices share the model."""
        return self.system.count(self.device)

    def share(self, batch: Batch) -> Batch:
        """What it has of a batch: all of it, or its part of each sequence."""
        return self.ring.cut(batch) if self.ring else batch

    def limit(self, what: str, efficiency: Quantity = 1.0) -> Resource:
        """A private resource: seconds that something inside the engine takes at full rate, such as its slowest part."""
        if what not in self._limits:
            name = f"{self.name} ({what})"
            self._limits[what] = Resource(name, 1.0, "s", efficiency, energy=0.0, count=self.ways)
        return self._limits[what]

    @cached_property
    def _limits(self) -> dict[str, Resource]:
        return {}


def target(
    system: System,
    device: str | None = None,
    engine: str | None = None,
    memory: str | None = None,
    dtype: str | None = None,
) -> Target:
    """The engine that runs a model: of the first device, the default one for a `dtype`; from its main memory.

    Raises:
        ConfigError: no such device or engine, a memory that the engine does not read.
    """
    device, description = system.device(device)
    engines = description.engines
    if not engines or (engine is not None and engine not in engines):
        expected = one_of(engines) if engines else "a device with an engine"
        raise ConfigError(
            f"{system.name}: device '{device}'", found=f"no engine {engine or ''}".strip(), expected=expected
        )
    engine = engine or default_engine(engines, dtype)
    reads = engines[engine].reads
    if memory is not None and memory not in reads:
        raise ConfigError(
            f"engine '{engine}' does not read it", path="memory", found=f"'{memory}'", expected=one_of(reads)
        )
    return Target(system, device, engine, memory or description.main_memory(engines[engine]) or next(iter(reads)))


def default_engine(engines: Mapping[str, Engine], dtype: str | None) -> str:
    """The engine of a device that runs a model where none is named.

    The one that its YAML marks `default`; else the one of the highest peak rate for the dtype that the products
    compute in, the first of equals. Beside an engine in the memory, and without a dtype, the first.
    """
    marked = next((name for name, engine in engines.items() if engine.default), None)
    if marked or dtype is None or any(engine.in_memory for engine in engines.values()):
        return marked or next(iter(engines))
    return max(engines, key=lambda name: _highest(engines[name].peak, dtype))


def _highest(rates: Mapping[str, Quantity], dtype: str) -> float:
    """The peak rate for a dtype (at the mean of design points), 0 where there is none."""
    named = computed_in(rates, dtype)
    return float(np.mean(rates[named])) if named else 0.0


def program_key(block: Block) -> ProgramKey:
    """What a block is known by among the programs of a target, whatever its size."""
    return block.name, block.repeat, tuple(block.graph)


def at_peak(target: Target) -> Target:
    """The same engine, if it achieved all of the bandwidth of its port and its memory."""
    device = f"devices.{target.device}"
    port = f"{device}.engines.{target.engine}.reads.{target.memory}"
    tier = f"{device}.tiers.{target.memory}"
    return replace(target, system=target.system.put({f"{port}.efficiency": 1.0, f"{tier}.efficiency": 1.0}))


def engine_seconds(target: Target, operators: tuple[Operator, ...]) -> Quantity:
    """Seconds at full rate: `sum_op flops / peak[dtype]`.

    Raises:
        ConfigError: the engine has no rate for a dtype.
    """
    return sum((o.flops / peak(target.system, target.name, o.dtype) for o in operators), start=0.0)


def packing_seconds(target: Target, operators: tuple[Operator, ...]) -> Quantity | None:
    """Seconds in which the engine lays out operands before it multiplies: `sum_gemm bytes / packing`, of all operands.

    A BLAS copies both factors into panels that its inner loop reads in order, and clears the result that it then adds
    to: the engine's own time, before and between the products (Goto and van de Geijn, ACM TOMS 34(3), 2008, section 4).
    A product of one row is done in place. The bytes cross memory once, in the kernel's demand.
    None where the port says nothing of it.
    """
    packing = target.description.reads[target.memory].packing
    if packing is None:
        return None
    products = [operator for operator in operators if operator.kind == "gemm"]
    return sum((_is_packed(o) * o.total_bytes / packing for o in products), start=0.0)


def _is_packed(product: Operator) -> Quantity:
    """1 where more than one row is multiplied, else 0: m rows of k give n, so that `m = 2 (m k) (m n) / (2 m n k)`."""
    element = BYTES_PER_ELEMENT.get(cast("Dtype", product.dtype), 4.0)
    elements = product.bytes.get("input", 0.0) * product.bytes.get("output", 0.0) / element**2
    return np.asarray(2 * elements > 1.5 * product.flops).astype(float)


def rate_for(rates: Mapping[str, Quantity], dtype: str) -> str | None:
    """The dtype whose rate serves another: its own, or of bf16 and fp16 the other; None where there is neither.

    Engines that have both run them alike.
    """
    alike = {"bf16": "fp16", "fp16": "bf16"}.get(dtype, dtype)
    return next((candidate for candidate in (dtype, alike) if candidate in rates), None)


def computed_in(rates: Mapping[str, Quantity], dtype: str) -> str | None:
    """The dtype whose rate products in another run at: its own (`rate_for`), or that which they are widened to.

    A narrow format that an engine has no rate for is unpacked to 16 bits before it is multiplied (FP8 weights on an
    A100, NVFP4 on an H100).
    """
    narrow = BYTES_PER_ELEMENT.get(cast("Dtype", dtype), 4.0) < 2
    return rate_for(rates, dtype) or (rate_for(rates, "bf16") if narrow else None)


def peak(system: System, engine: str, dtype: str) -> float:
    """Peak rate of an engine for a dtype, or for that which it is widened to (`computed_in`).

    Raises:
        ConfigError: the engine has a rate for neither.
    """
    rates = system.engines[engine].peak
    named = computed_in(rates, dtype)
    if named is not None:
        return rates[named]
    path = (*system.key(engine), "peak")
    mark = system.config.marks.get(path)
    raise ConfigError(
        "no rate for this dtype",
        file=mark.file if mark else None,
        line=mark.line if mark else None,
        path=path,
        found=f"'{dtype}'",
        expected=one_of(rates),
    )
