"""The passes of a static batch whose parts lie in several tiers: layers, and the copies beside them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING

from simulator.core import Plan, Quantity
from simulator.mapping.passes import Passes
from simulator.mapping.placement.layer import Chunk, Layers
from simulator.mapping.placement.layout import Layout, layer_kv, layout, period
from simulator.mapping.placement.rule import Rule
from simulator.mapping.target import Target, target
from simulator.workload import Batch, Block, decode, operator_graph, prefill
from simulator.workload.batch import PhaseName

if TYPE_CHECKING:
    from simulator.mapping.deployment import Deployment


@dataclass(frozen=True, eq=False)
class Placed:
    """A model whose parts lie where rules say.

    Attributes:
        engines: all that compute a part, by their full names.
        batches: how many go through each layer in turn.
    """

    deployed: Deployment
    rules: tuple[Rule, ...]
    layout: Layout
    engines: Mapping[str, Target]
    batches: int

    def passes(self, batch: int, input: int) -> Passes:
        """The prefill and the decode steps of `batch` sequences, of all batches together."""
        each = batch / self.batches
        return Passes(
            lambda: self._pass("prefill", prefill(each, input), prefill(batch, input)),
            lambda context: self._pass("decode", decode(each, context), decode(batch, context)),
        )

    def _pass(self, phase: PhaseName, of: Batch, whole: Batch) -> Plan:
        """A pass of one batch after another through each layer, with the host that drives it."""
        model = self.deployed.model
        layers = Layers(self.layout, self.engines, phase, self.batches, self.deployed.software.runtime.offload)
        stretches = list(self._stretches(layers, operator_graph(model, of).blocks))
        plan = self._plan(model.name, stretches)
        return self.deployed.host.driving(plan, model.layers * self.batches, whole)

    def _stretches(self, layers: Layers, blocks: Sequence[Block]) -> Iterator[tuple[list[Chunk], int]]:
        """Layers in order, with how often these repeat: those that are alike, placed alike and reached alike."""
        at, start = self.layout.target.name, 0
        for block in blocks:
            number = period(block)

            def key(repeat: int, first: int = start, number: int = number) -> object:
                own = range(first + repeat * number, first + (repeat + 1) * number)
                return tuple(self.layout.key(layers.phase, layer) for layer in own)

            for _, group in groupby(range(block.repeat), key):
                repeats = list(group)
                first = start + repeats[0] * number if number else 0
                chunks = self._chunks(layers, block, first, number or 1, at)
                again = len(repeats) > 1 and chunks[-1].at != at
                yield chunks, 1 if again else len(repeats)
                at = chunks[-1].at
                if again:
                    yield self._chunks(layers, block, first, number or 1, at), len(repeats) - 1
            start += block.repeat * number

    @staticmethod
    def _chunks(layers: Layers, block: Block, first: int, number: int, at: str) -> list[Chunk]:
        chunks: list[Chunk] = []
        for place in range(number):
            chunks.append(layers.chunk(block, place, first + place, chunks[-1].at if chunks else at))
        return chunks

    def _plan(self, name: str, stretches: list[tuple[list[Chunk], int]]) -> Plan:
        """Layer after layer, each beside the copies for the next one; or copies and layers in turn."""
        plan = Plan(name)
        ahead = self.deployed.software.runtime.offload.ahead
        if ahead:
            for copy in stretches[0][0][0].ahead:
                plan.add(copy, ())
        for index, (chunks, repeat) in enumerate(stretches):
            following = stretches[index + 1][0][0] if index + 1 < len(stretches) else None
            start = list(range(len(plan.steps))) if index == 0 else None
            if repeat > 1:
                plan.add(self._body(chunks, chunks[0] if ahead else None), start, repeat - 1)
                start = None
            plan.add(self._body(chunks, following if ahead else None), start)
        return plan

    def _body(self, chunks: list[Chunk], following: Chunk | None) -> Plan:
        """The layers of a pattern, the last of them beside the copies for the one that follows."""
        if not self.deployed.software.runtime.offload.ahead:
            return self._in_turn(chunks)
        if len(chunks) == 1 and not chunks[0].behind and not (following and following.ahead):
            return self._computed(chunks[0])
        body = Plan(chunks[0].compute.name)
        for chunk, then in zip(chunks, [*chunks[1:], following], strict=True):
            layer = Plan(chunk.compute.name)
            layer.add(self._computed(chunk), ())
            for copy in (*chunk.behind, *(then.ahead if then else ())):
                layer.add(copy, ())
            body.add(layer)
        return body

    def _in_turn(self, chunks: list[Chunk]) -> Plan:
        body = Plan(chunks[0].compute.name)
        for chunk in chunks:
            for copy in chunk.ahead:
                body.add(copy)
            body.add(self._computed(chunk))
            for copy in chunk.behind:
                body.add(copy)
        return body

    def _computed(self, chunk: Chunk) -> Plan:
        """A layer of all batches, one after another."""
        if self.batches == 1:
            return chunk.compute
        plan = Plan(chunk.compute.name)
        plan.add(chunk.compute, repeat=self.batches)
        return plan


def placed(deployed: Deployment, rules: tuple[Rule, ...], batch: Quantity, context: Quantity) -> Placed:
    """A model with its parts where rules say, for `batch` sequences of `context` tokens in the end.

    Raises:
        ConfigError: a rule that machine or model do not bear out, by its number and key.
    """
    own = replace(deployed.engine, models=None)
    kv = [float(batch) * size for size in layer_kv(deployed.model, own.ways, float(context))]
    where = layout(rules, own, deployed.model, kv, deployed.software.runtime.offload.pinned)
    return Placed(deployed, rules, where, _engines(where), deployed.block.batches if deployed.block else 1)


def _engines(where: Layout) -> dict[str, Target]:
    """All engines that compute a part, each over all devices that it is of."""
    system = where.target.system
    engines = {where.target.name: where.target}
    for shares in where.shares.values():
        for spot, _ in shares:
            if spot.by and spot.by not in engines:
                device, _, engine = spot.by.partition(".")
                engines[spot.by] = target(system, device, engine)
    return engines
