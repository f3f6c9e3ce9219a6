"""A step of training as plans: forward passes, backward passes, and the optimizer's step, with the copies beside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, TypeAlias

from simulator.core import Activity, Plan, Quantity
from simulator.mapping.kernels.kernels import kernels_of
from simulator.mapping.lowering import compiled, kernel_activity, lowered
from simulator.mapping.parallel.collective import Kind
from simulator.mapping.placement.offload import Moved, copied, elsewhere
from simulator.mapping.placement.spot import Spot, reads
from simulator.mapping.runtime.form import Offload
from simulator.mapping.target import Target, target
from simulator.mapping.training.kept import WEIGHTS, Kept
from simulator.mapping.training.pipelined import pipelined
from simulator.mapping.training.places import Places
from simulator.mapping.training.replicas import Replicas
from simulator.workload import Block, Model, Operator, OperatorGraph
from simulator.workload.operators.operator import Operand
from simulator.workload.training.step import accumulating, turn

if TYPE_CHECKING:
    from simulator.mapping.deployment import Deployment

Sizes: TypeAlias = dict[Spot, float]
"""Bytes by the place where they lie."""


@dataclass(frozen=True, eq=False)
class TrainingStep:
    """A step over micro batches, one after another, whose gradients add up.

    Attributes:
        engine: that of the mapping, with its programs where it compiles some.
        graph: of one micro batch of a replica: forward, backward and the optimizer's step.
        kept: bytes of what a replica keeps if it shares nothing.
        places: where that lies.
    """

    deployed: Deployment
    engine: Target
    graph: OperatorGraph
    micro_batches: int
    kept: Kept
    places: Places
    replicas: Replicas

    @property
    def model(self) -> Model:
        return self.deployed.model

    @cached_property
    def plans(self) -> Mapping[str, Plan]:
        """All forward passes, all backward ones (the head with its loss among them), and the optimizer's step."""
        head = turn(self.graph)
        forward, backward = self.graph.blocks[:head], self.graph.blocks[head:-1]
        plans = {name: Plan(name) for name in ("forward", "backward")}
        plans["forward"].add(self._pass("forward", forward), repeat=self.micro_batches)
        more = [accumulating(block, self.replicas.share("gradients")) for block in backward]
        each = self.replicas.shards("gradients")  # has no room to add up what is not summed over the replicas yet
        plans["backward"].add(self._pass("backward", backward, summed=each or self.micro_batches == 1))
        if self.micro_batches > 2:
            between = self._pass("backward", more, added=True, summed=each)
            plans["backward"].add(between, repeat=self.micro_batches - 2)
        if self.micro_batches > 1:
            plans["backward"].add(self._pass("backward", more, added=True))
        plans["update"] = self._update()
        return {name: self.replicas.crowded(self.engine, plan) for name, plan in plans.items()}

    @cached_property
    def plan(self) -> Plan:
        """All of the step, one plan after another."""
        plan = Plan("step")
        for each in self.plans.values():
            plan.add(each)
        return plan

    def _pass(self, name: str, blocks: Sequence[Block], added: bool = False, summed: bool = True) -> Plan:
        """The blocks of a pass; `added`: to gradients of micro batches before; `summed` over the replicas."""
        plan, home = Plan(name), self.engine.tier
        for block in blocks:
            before, after = self.flows(block, added)
            gathered, sent = self._collectives(block, summed)
            if before or after or gathered or sent:
                one = [lowered(self.engine, replace(block, repeat=1))]
                ends = self._copies(before, to=home), self._copies(after, source=home)
                stages = ends[0], gathered, one, sent, ends[1]
                plan.add(pipelined(block.name, stages, block.repeat, self.offload.ahead))
            else:
                plan.add(lowered(self.engine, block))
        return plan

    def flows(self, block: Block, added: bool = False) -> tuple[Sizes, Sizes]:
        """Bytes that are copied to main memory before one of a block runs, and from there after it.

        Gradients come where others are `added` to them, of micro batches before.
        """
        name = block.name.removesuffix(".backward")
        back, sizes = name != block.name, self.kept.layers[name]
        before, after = Sizes(), Sizes()
        if _reads_weights(block):
            for part in WEIGHTS:
                self._spread(before, part, sizes.get(part, 0.0))
        self._spread(before if back else after, "activations", sizes.get("activations", 0.0))
        if back or name == "head":
            for into in (before, after) if added else (after,):
                self._spread(into, "gradients", sizes["gradients"])
        return before, after

    def _collectives(self, block: Block, summed: bool) -> tuple[list[Plan], list[Plan]]:
        """What replicas send before one of a block runs, sharded weights, and after it, gradients."""
        sizes, gathered, sent = self.kept.layers[block.name.removesuffix(".backward")], [], []
        weights = sum(sizes.get(part, 0.0) for part in WEIGHTS)
        if self.replicas.number > 1 and self.replicas.shards("ffn") and _reads_weights(block):
            gathered.append(self.replicas.send(self.engine, "all_gather", weights))
        if self.replicas.number > 1 and summed and (block.name == "head" or block.name.endswith(".backward")):
            kind: Kind = "reduce_scatter" if self.replicas.shards("optimizer") else "all_reduce"
            sent.append(self.replicas.send(self.engine, kind, sizes["gradients"]))
        return gathered, sent

    def _spread(self, sizes: Sizes, part: str, size: float) -> None:
        """Add bytes of a part, as far as it is the replica's own, where they lie outside of main memory."""
        for spot, share in self.places[part]:
            if spot.tier != self.engine.tier and size:
                sizes[spot] = sizes.get(spot, 0.0) + size * share * self.replicas.share(part)

    def _copies(self, sizes: Sizes, source: str | None = None, to: str | None = None) -> list[Activity]:
        system, staging = self.engine.system, self.offload.staging
        return [
            copied(system, size, source or spot.tier, to or spot.tier, spot.pinned, staging)
            for spot, size in sizes.items()
        ]

    @property
    def offload(self) -> Offload:
        """How the runtime treats what lies in other tiers."""
        return self.deployed.software.runtime.offload

    def _update(self) -> Plan:
        """The optimizer's step: what lies in several places at once, where the runtime has engines compute together."""
        plan = Plan("update")
        for spot, share in self.places["optimizer"]:
            own = share * self.replicas.share("optimizer")
            plan.add(self._updated(spot, own), () if self.offload.together else None)
        if self.replicas.shards("optimizer") and not self.replicas.shards("ffn"):
            plan.add(self.replicas.send(self.engine, "all_gather", sum(self.kept.parts[part] for part in WEIGHTS)))
        return plan

    def _updated(self, spot: Spot, share: float) -> Plan:
        """The step of a share of the parameters, layer by layer: what its engine lacks comes, what it makes goes."""
        engine, pieces, block = self.updates(spot), self.model.layers, self.graph.blocks[-1]
        before, moved, after = self.update_flows(spot, share / pieces)
        if not (before or after or moved or spot.by):
            return lowered(engine, _scaled(block, share))
        piece = _scaled(block, share / pieces, "fp32" if spot.by else None)
        (kernel,) = kernels_of(piece, [list(piece.graph)], engine.ways)
        compute = elsewhere(engine, kernel_activity(engine, kernel), moved)
        stages = self._copies(before, to=engine.tier), [compute], self._copies(after, source=engine.tier)
        return pipelined("update", stages, pieces, self.offload.ahead)

    def updates(self, spot: Spot) -> Target:
        """The engine that updates what lies in a place."""
        return target(self.engine.system, *spot.by.split(".")) if spot.by else self.engine

    def update_flows(self, spot: Spot, share: float) -> tuple[Sizes, list[Moved], Sizes]:
        """Bytes of the step of a share of the parameters: copied before, used where they lie, and copied after."""
        engine, parts = self.updates(spot), self.kept.parts
        states, gradients = (share * parts[part] for part in ("optimizer", "gradients"))
        flows = [(spot, states, states)]
        flows += [(each, of * gradients, 0.0) for each, of in self.places["gradients"]]
        flows += [(each, 0.0, share * of * parts[part]) for part in WEIGHTS for each, of in self.places[part]]
        before, after, moved = Sizes(), Sizes(), list[Moved]()
        for each, read, written in flows:
            over = each.use == "read" and each.tier != self.engine.tier
            if each.tier == engine.tier or not (read or written):
                continue
            if over or reads(engine, each.tier):
                moved.append(Moved(each, read, written))
                continue
            for into, size in ((before, read), (after, written)):
                if size:
                    into[each] = into.get(each, 0.0) + size
        return before, moved, after


def _reads_weights(block: Block) -> bool:
    """Whether a block needs its weights: the gradient of looked-up rows does not."""
    return any("weight" in operator.bytes or "expert" in operator.bytes for operator in block.operators)


def with_programs(engine: Target, graph: OperatorGraph, alone: bool) -> Target:
    """An engine with programs for all blocks of a step, where it compiles some; `alone`: for one of each block too."""
    blocks = graph.blocks
    ones = [replace(block, repeat=1) for block in blocks if alone and block.repeat > 1]
    return compiled(engine, lambda: (*blocks, *ones))


def _scaled(block: Block, share: float, dtype: str | None = None) -> Block:
    """A block with a share of the work of each of its operators; in another format, where one is said."""
    graph = block.graph.copy()
    for name, data in block.graph.nodes(data=True):
        operator: Operator = data["operator"]
        bytes: dict[Operand, Quantity] = {operand: size * share for operand, size in operator.bytes.items()}
        graph.nodes[name]["operator"] = replace(
            operator, flops=operator.flops * share, bytes=bytes, dtype=dtype or operator.dtype
        )
    return replace(block, graph=graph)
