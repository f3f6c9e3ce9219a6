"""One layer of a placed model: kernels on the engines that compute its parts, and what is copied for them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from simulator.core import Activity, Plan, Quantity
from simulator.mapping.kernels.fusion import FUSIONS
from simulator.mapping.kernels.kernels import Kernel, arriving, kernels_of
from simulator.mapping.lowering import fusion, kernel_activity, reduction
from simulator.mapping.parallel.tensor import shard
from simulator.mapping.placement.layout import Layout, part_of, period, place_of
from simulator.mapping.placement.offload import Moved, copied, elsewhere
from simulator.mapping.placement.spot import Spot, main_memory
from simulator.mapping.runtime.form import Offload
from simulator.mapping.target import Target
from simulator.workload import Block, Operator
from simulator.workload.batch import PhaseName


@dataclass(frozen=True, eq=False)
class Chunk:
    """A layer of a pass.

    Attributes:
        compute: its kernels for one batch, and what they send from engine to engine.
        ahead: copies that must have ended before.
        behind: copies of what it makes.
        at: the engine that makes its output.
        then: where its experts are cached, what it computes from them on, and `compute` what before; None of others.
    """

    compute: Plan
    ahead: tuple[Activity, ...]
    behind: tuple[Activity, ...]
    at: str
    then: Plan | None = None


@dataclass(frozen=True, eq=False)
class Layers:
    """Lowers the layers of a phase of a placed model.

    `engines`: all that compute, by name. `batches`: how many go through a layer in turn. `offload`: how the runtime
    treats what lies behind a link. Keys and values of a prompt are computed on as they are made, in main memory.
    """

    layout: Layout
    engines: Mapping[str, Target]
    phase: PhaseName
    batches: int
    offload: Offload

    def chunk(self, block: Block, place: int, layer: int, at: str) -> Chunk:
        """The layer at a place in the pattern of its block; `at`: the engine that made its input."""
        run = _Run(self, block, layer, at)
        names = [name for name in block.graph if place_of(name) == place]
        for group in self._groups(block, names, layer):
            run.add(group)
        ahead, behind = self._copies(block, names, layer)
        if run.before is None:
            return Chunk(run.plan, ahead, behind, run.at)
        return Chunk(run.before, ahead, behind, run.at, run.plan)

    def _groups(self, block: Block, names: Sequence[str], layer: int) -> Iterator[tuple[str, list[str]]]:
        """The kernels of a layer, in order: each with its engine and its operators."""
        mine = set(names)
        mode = fusion(self.layout.target.description)
        for group in FUSIONS[mode](block.graph):
            by: dict[str, list[str]] = {}
            for name in group:
                if name in mine:
                    by.setdefault(self.engine(block, name, layer), []).append(name)
            yield from by.items()

    def engine(self, block: Block, name: str, layer: int) -> str:
        """The engine that computes an operator."""
        return self.layout.engine(self.phase, part_of(block, block.graph.nodes[name]["operator"]), layer)

    def _copies(
        self, block: Block, names: Sequence[str], layer: int
    ) -> tuple[tuple[Activity, ...], tuple[Activity, ...]]:
        """What is copied before a layer is computed, and after it, of all batches: from tier to tier at once."""
        ahead: dict[tuple[Spot, str], Quantity] = {}
        behind: dict[tuple[Spot, str], Quantity] = {}
        for name in names:
            operator: Operator = block.graph.nodes[name]["operator"]
            target = self.engines[self.engine(block, name, layer)]
            share, times = shard(operator, target.ways), self.batches * target.ways
            read = 0.0 if self.phase == "prefill" else share.bytes.get("kv_read", 0.0)
            for spot, of_kv in self.layout.of(self.phase, "kv", layer) if _keeps(operator) else ():
                if to := self.to(spot):
                    _put(ahead, (spot, to), of_kv * times * read)
                    _put(behind, (spot, to), of_kv * times * share.bytes.get("kv_write", 0.0))
            if part_of(block, operator) == "layer_embedding":  # the rows of the tokens, and not the table
                for spot, of_rows in self.layout.of(self.phase, "layer_embedding", layer):
                    if to := self.to(spot):
                        _put(ahead, (spot, to), of_rows * times * share.bytes.get("weight", 0.0))
        layered = period(block) > 0
        for part in ("experts", "ffn", "attention") if layered else (block.name,):
            weights = self.layout.used(part, layer)
            for spot, share_of in self.layout.of(self.phase, part, layer):
                if (to := self.to(spot)) and weights and not spot.cache:
                    _put(ahead, (spot, to), weights * share_of)
        if layered:
            self._put_activations(block, ahead, behind)
        system, staging = self.layout.target.system, self.offload.staging
        return (
            tuple(copied(system, n, s.tier, to, s.pinned, staging) for (s, to), n in ahead.items() if np.any(n)),
            tuple(copied(system, n, to, s.tier, s.pinned, staging) for (s, to), n in behind.items() if np.any(n)),
        )

    def _put_activations(
        self, block: Block, ahead: dict[tuple[Spot, str], Quantity], behind: dict[tuple[Spot, str], Quantity]
    ) -> None:
        """The input of a layer comes from where activations lie, and its output goes there."""
        for spot, share in self.layout.of(self.phase, "activations", 0):
            if to := self.to(spot):
                exit: Operator = block.graph.nodes[block.exit]["operator"]
                size = share * self.batches * exit.bytes["output"]
                _put(ahead, (spot, to), size)
                _put(behind, (spot, to), size)

    def to(self, spot: Spot) -> str | None:
        """The tier that what lies in a place is copied to before it is used; None where it is used from there."""
        if spot.use == "copy":
            return self.layout.home.tier
        if spot.use == "compute" and spot.by and spot.tier != (own := main_memory(self.layout.target.system, spot.by)):
            device, _, name = spot.tier.rpartition(".")
            target = self.engines[spot.by]
            return None if device == target.device and name in target.description.reads else own
        return None

    def moved(self, block: Block, kernel: Kernel, target: Target, layer: int) -> list[Moved]:
        """What a kernel reads and writes where it lies in other tiers than main memory."""
        sizes: dict[Spot, tuple[Quantity, Quantity]] = {}
        for operator in kernel.operators:
            part = part_of(block, operator)
            weights = operator.bytes.get("weight", 0.0) + operator.bytes.get("expert", 0.0)
            kept = operator.bytes.get("kv_read", 0.0) if self.phase == "decode" else 0.0
            for of, read, write in (
                (part if part != "kv" else "attention", weights, 0.0),
                ("kv", kept, operator.bytes.get("kv_write", 0.0)),
            ):
                if not (np.any(read) or np.any(write)):
                    continue
                for spot, share in self.layout.of(self.phase, of, layer):
                    if self.to(spot):
                        continue
                    before = sizes.get(spot, (0.0, 0.0))
                    sizes[spot] = before[0] + share * read * target.ways, before[1] + share * write * target.ways
        return [Moved(spot, *each) for spot, each in sizes.items()]


@dataclass(eq=False)
class _Run:
    """The plan of a layer as it grows: which step and which engine made what, and what has been sent where.

    Where its experts are cached, `before` is the plan of what comes before them.
    """

    layers: Layers
    block: Block
    layer: int
    at: str
    plan: Plan = field(init=False)
    before: Plan | None = None
    made: dict[str | None, tuple[str, int | None]] = field(default_factory=dict)
    sent: dict[tuple[str | None, str], int | None] = field(default_factory=dict)
    last: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.plan = Plan(self.block.name)
        self.made[None] = self.at, None

    def add(self, group: tuple[str, list[str]]) -> None:
        """A kernel on its engine, after what it reads has come there."""
        engine, names = group
        target = self.layers.engines[engine]
        (kernel,) = kernels_of(self.block, [names], target.ways)
        if self.before is None and self.layer in self.layers.layout.cached:
            self._cut(kernel)
        after = self._arrived(engine, names, target)
        work = Plan(kernel.name)
        moved = self.layers.moved(self.block, kernel, target, self.layer)
        work.add(elsewhere(target, kernel_activity(target, kernel), moved))
        for size in kernel.reduces:
            for phase in reduction(target, size):
                work.add(phase)
        step = self._step(work if len(work.steps) > 1 else work.steps[0].work, engine, after)
        self.made.update(dict.fromkeys(names, (engine, step)))
        self.at = engine

    def _cut(self, kernel: Kernel) -> None:
        """Begin another plan with the first kernel that reads experts, which waits for all before it."""
        if any(np.any(operator.bytes.get("expert", 0.0)) for operator in kernel.operators):
            self.before, self.plan = self.plan, Plan(self.block.name)
            self.made = {name: (engine, None) for name, (engine, _) in self.made.items()}
            self.sent, self.last = dict.fromkeys(self.sent), {}

    def _step(self, work: Plan | Activity, engine: str, after: Sequence[int]) -> int:
        """A step after others; where engines wait for one another, after all before it."""
        if not self.layers.offload.together:
            after = [len(self.plan.steps) - 1] if self.plan.steps else []
        elif engine in self.last:
            after = [*after, self.last[engine]]
        self.last[engine] = step = self.plan.add(work, tuple(sorted(set(after))))
        return step

    def _arrived(self, engine: str, names: list[str], target: Target) -> list[int]:
        """The steps that a kernel waits for: those that made what it reads, or sent it to its engine."""
        shares = {o.name: shard(o, target.ways) for o in self.block.operators}
        after = []
        for producer, size in arriving(self.block, names, shares).items():
            source, step = self.made.get(producer, self.made[None])
            key = producer if producer in self.made else None
            if source != engine and np.any(size):
                if (key, engine) not in self.sent:
                    self.sent[key, engine] = self._send(source, engine, size * target.ways, step)
                step = self.sent[key, engine]
            if step is not None:
                after.append(step)
        return after

    def _send(self, source: str, engine: str, size: Quantity, step: int | None) -> int:
        system = self.layers.layout.target.system
        ends = main_memory(system, source), main_memory(system, engine)
        move = copied(system, size, *ends)
        after = [] if step is None else [step]
        return self._step(move, f"{source} to {engine}", after)


def _keeps(operator: Operator) -> bool:
    """Whether an operator reads or writes keys and values, or states."""
    return "kv_read" in operator.bytes or "kv_write" in operator.bytes


def _put(sizes: dict[tuple[Spot, str], Quantity], key: tuple[Spot, str], size: Quantity) -> None:
    if np.any(size):
        sizes[key] = sizes.get(key, 0.0) + size
