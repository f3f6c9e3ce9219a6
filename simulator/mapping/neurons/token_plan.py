"""What a token asks of the machine when its FFN comes from flash: reads, copies in DRAM, copies to the engine, compute.

In each layer the attention runs, a predictor names the active neurons, those that DRAM lacks are read, rows are moved
so that the buffer stays dense, new ones are copied to where the engine computes, and the FFN runs over the buffer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import groupby

import numpy as np

from simulator.core import Activity, Plan, Quantity, Resource
from simulator.errors import ConfigError, one_of
from simulator.hardware import System
from simulator.mapping.flash_read import flash_read
from simulator.mapping.kernels.fusion import FUSIONS
from simulator.mapping.kernels.kernels import kernels, kernels_of
from simulator.mapping.lowering import fusion, kernel_activity
from simulator.mapping.neurons.stored import Stored
from simulator.mapping.target import Target
from simulator.mapping.transfer import transfer
from simulator.workload import Batch, Block, ffn_block, operator_graph, predictor_block


@dataclass(frozen=True, eq=False)
class Memory:
    """Where weights lie, and what runs the model.

    Attributes:
        target: the engine that computes, and the memory that it computes from.
        flash, dram: tiers by their full names; DRAM holds the buffer.
        threads: that read; None: as many as the device takes.
        manager: full name of the engine that moves rows in DRAM.
        packed: bundles lie end to end in the file, and do not begin at a grain of the flash.
    """

    target: Target
    flash: str
    dram: str
    manager: str
    threads: int | None = None
    packed: bool = False

    @property
    def system(self) -> System:
        return self.target.system


@dataclass(frozen=True)
class Traffic:
    """Of one layer, numbers or arrays of points: neurons over which the FFN runs, and what it takes to have them.

    Attributes:
        computed: neurons in the buffer, over all of which the FFN runs.
        fresh: of them, those that were not in DRAM before.
        reads: of `Stored.read_bytes` from flash.
        moved: neurons copied within the buffer.
        sequential: bytes that are read as whole matrices.
    """

    computed: Quantity
    fresh: Quantity = 0.0
    reads: Quantity = 0.0
    moved: Quantity = 0.0
    sequential: Quantity = 0.0


@dataclass(frozen=True, eq=False)
class LayerWork:
    """The activities of one layer; each list runs in its order."""

    attention: list[Activity]
    predict: list[Activity]
    read: list[Activity]
    manage: list[Activity]
    resident: list[Activity]  # the FFN over neurons that were there
    fresh: list[Activity]  # and over those that came


def layer_works(
    memory: Memory,
    stored: Stored,
    batch: Batch,
    layers: Sequence[Traffic],
    ranks: Sequence[float] | None = None,
    sparse: bool = True,
    split: bool = False,
) -> list[LayerWork]:
    """The work of decoder layers, which differ in their traffic and in the rank of their predictor (0, None: none).

    With `split`, the FFN runs over resident neurons first, and then over fresh ones. Where it is `sparse`, its shape is
    new at each token.

    Raises:
        ConfigError: an engine that does not run kernel by kernel, or a manager that does not read DRAM.
    """
    model, target = stored.model, memory.target
    if target.description.kind not in ("gpu", "cpu"):
        found = f"'{target.description.kind}'"
        raise ConfigError("neurons from flash", path="engine", found=found, expected="an engine of kind gpu or cpu")
    graph = operator_graph(model, batch)
    if len(graph.blocks) != 3 or graph.blocks[1].repeat != model.layers:
        raise ConfigError("neurons from flash", path="model", found=f"'{model.name}'", expected="layers that are alike")
    tokens, attention = graph.blocks[1].tokens, _rest(target, graph.blocks[1])
    ranks = ranks or [0.0] * len(layers)
    predict = {rank: _kernels(target, predictor_block(model, tokens, rank)) if rank else [] for rank in set(ranks)}

    def work(traffic: Traffic, rank: float) -> LayerWork:
        fresh = traffic.fresh if split else 0.0
        return LayerWork(
            attention=attention,
            predict=predict[rank],
            read=_reads(memory, stored, traffic),
            manage=_manage(memory, stored, traffic),
            resident=_ffn(target, ffn_block(model, tokens, traffic.computed - fresh), prepared=sparse),
            fresh=_ffn(target, ffn_block(model, tokens, fresh), prepared=False) if split else [],
        )

    alike = [
        (rank, tuple(np.asarray(each).tobytes() for each in vars(t).values()))
        for t, rank in zip(layers, ranks, strict=True)
    ]
    works = {key: work(traffic, key[0]) for key, traffic in dict(zip(alike, layers, strict=True)).items()}
    return [works[key] for key in alike]


def ends_work(memory: Memory, stored: Stored, batch: Batch) -> list[Activity]:
    """The embedding and the head, of which only the first comes before the layers; both are short."""
    blocks = operator_graph(stored.model, batch).blocks
    return [each for block in (blocks[0], blocks[-1]) for each in _kernels(memory.target, block)]


def serial(works: Sequence[LayerWork], ends: Sequence[Activity] = ()) -> Plan:
    """One thing after another, as in the implementation of arXiv 2312.11514."""
    plan = Plan("token")
    for work in works:
        for part in fields(work):
            for activity in getattr(work, part.name):
                plan.add(activity)
    for activity in ends:
        plan.add(activity)
    return plan


def overlapped(works: Sequence[LayerWork], ends: Sequence[Activity] = (), prefetch: bool = False) -> Plan:
    """Flash reads run beside the FFN over resident neurons; with `prefetch`, beside the layer before as well.

    `prefetch` takes the active neurons of a layer to be named by the predictor of the layer before: as good a
    prediction from an earlier input is an assumption. The first layer waits for its own. Reads follow one another, and
    so do the copies that put them into the buffer, which an engine makes when it does nothing else.
    """
    plan = Plan("token")
    if prefetch:
        plan.add(_layers(works))
    else:
        for _, alike in groupby(works, key=id):
            work, *others = alike
            plan.add(_layers([work]), repeat=1 + len(others))
    for activity in ends:
        plan.add(activity)
    return plan


def _layers(works: Sequence[LayerWork]) -> Plan:
    """Layers of which each reads ahead while the one before it computes."""
    plan = Plan("layers")
    computed: tuple[int, ...] = ()
    managed: tuple[int, ...] = ()
    named: tuple[int, ...] = ()  # the end of the last predictor
    read: tuple[int, ...] = ()
    for index, work in enumerate(works):
        attended = _chain(plan, work.attention, computed)
        predicted = _chain(plan, work.predict, attended)
        read = _chain(plan, work.read, tuple({*read, *(named if index else predicted)}))
        managed = _chain(plan, work.manage, tuple({*managed, *read}))
        named = predicted
        resident = _chain(plan, work.resident, predicted)
        computed = _chain(plan, work.fresh, tuple({*resident, *managed}))
    return plan


def _chain(plan: Plan, activities: Sequence[Activity], after: tuple[int, ...]) -> tuple[int, ...]:
    """Adds activities one after another; gives what to wait for."""
    for activity in activities:
        after = (plan.add(activity, after),)
    return after


def _reads(memory: Memory, stored: Stored, traffic: Traffic) -> list[Activity]:
    """Whole matrices stream to the engine's memory, at the rate of sequential reads; neurons are read to DRAM."""
    system, target, flash, threads = memory.system, memory.target, memory.flash, memory.threads
    activities = []
    if np.any(traffic.sequential):
        end = target.tier
        activities.append(transfer(system, traffic.sequential, flash, end, name="read matrices"))
    if np.any(traffic.reads):
        reads, size = traffic.reads, stored.read_bytes
        activities.append(flash_read(system, reads, size, flash, memory.dram, threads, memory.packed, "read neurons"))
    return activities


def _manage(memory: Memory, stored: Stored, traffic: Traffic) -> list[Activity]:
    """Copies in DRAM, and to the memory of the engine where that is another one.

    Rows that come are copied from where they were read to the end of the buffer, and others into holes; through a page
    cache, what comes is copied once more. A copy reads and writes each byte.
    """
    if not np.any(traffic.fresh):
        return []
    system, target, size = memory.system, memory.target, stored.neuron_bytes
    tier = system.tiers[memory.flash]
    through = traffic.fresh if tier.flash and tier.flash.page_cache else 0.0
    copies = [_copy(memory, (traffic.fresh + traffic.moved + through) * size)]
    engine_memory = target.tier
    if engine_memory != memory.dram:
        copies.append(transfer(system, traffic.fresh * size, memory.dram, engine_memory, name="copy to the engine"))
    return copies


def _copy(memory: Memory, size: Quantity) -> Activity:
    """`size` bytes, each read and written in DRAM, at no more than the `copy_bandwidth` of the manager.

    Without one, as fast as its port carries both ways. It does nothing else meanwhile.

    Raises:
        ConfigError: the manager does not read DRAM.
    """
    system = memory.system
    engine, tier = system.engines.get(memory.manager), memory.dram.rpartition(".")[2]
    port = engine.reads.get(tier) if engine else None
    if port is None:
        readers = [name for name, each in system.engines.items() if tier in each.reads]
        raise ConfigError(path="manager", found=f"'{memory.manager}'", expected=f"{one_of(readers)}, which read {tier}")
    assert engine
    through = system[f"{memory.dram}->{memory.manager}"]
    seconds = through.seconds(2 * size) if port.copy_bandwidth is None else size / port.copy_bandwidth
    limit = Resource(f"{memory.manager} (copies)", 1.0, "s", energy=0.0)
    demand = {system[memory.dram]: 2 * size, limit: seconds, system[memory.manager]: seconds * engine.efficiency}
    return Activity("move neurons", demand)


def _rest(target: Target, block: Block) -> list[Activity]:
    """A decoder layer without the products of its FFN, and what stands between them."""
    groups = FUSIONS[fusion(target.description)](block.graph)
    rest = [[name for name in group if not _inner(name)] for group in groups]
    return [kernel_activity(target, k) for k in kernels_of(block, [group for group in rest if group], target.ways)]


def _inner(name: str) -> bool:
    """Whether an operator of a decoder layer is one of `ffn_block`."""
    return name in ("ffn.up_proj", "ffn.gate_proj", "ffn.activation", "ffn.multiply", "ffn.down_proj")


def _kernels(target: Target, block: Block) -> list[Activity]:
    return [kernel_activity(target, k) for k in kernels(block, fusion(target.description), target.ways)]


def _ffn(target: Target, block: Block, prepared: bool) -> list[Activity]:
    """The FFN; where its shape is `prepared`, that costs `shape_overhead`."""
    activities = _kernels(target, block)
    overhead = target.description.shape_overhead
    return [Activity("prepare shapes", latency=overhead), *activities] if prepared and np.any(overhead) else activities
