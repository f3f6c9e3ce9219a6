"""The passes of a static batch whose parts lie in several tiers: layers, and the copies beside them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from simulator.core import Activity, Plan, Quantity
from simulator.core.resource import plain
from simulator.errors import ConfigError
from simulator.mapping.passes import Passes
from simulator.mapping.placement.hits import Fetched, Hits, fetched, replayed
from simulator.mapping.placement.layer import Chunk, Layers
from simulator.mapping.placement.layout import Layout, layer_kv, layout, period
from simulator.mapping.placement.offload import copied
from simulator.mapping.placement.rule import DRAFT, PARTS, STATE, Rule
from simulator.mapping.target import Target, target
from simulator.workload import Batch, Block, Model, decode, operator_graph, prefill
from simulator.workload.batch import PhaseName
from simulator.workload.routing.generated import generated

if TYPE_CHECKING:
    from simulator.mapping.deployment import Deployment


@dataclass(frozen=True, eq=False)
class Placed:
    """A model whose parts lie where rules say.

    Attributes:
        engines: all that compute a part, by their full names.
        batches: how many go through each layer in turn.
        draft: the model that drafts, likewise.
    """

    deployed: Deployment
    rules: tuple[Rule, ...]
    layout: Layout
    engines: Mapping[str, Target]
    batches: int
    draft: Placed | None = None

    def plan(self, model: Model, batch: Batch) -> Plan:
        """A pass of the model, or of the one that drafts."""
        of = self.draft if self.draft and model is self.draft.layout.model else self
        return of._pass(batch[0].phase, batch, batch, None)

    def compiled(self, model: Model, batch: Callable[[], Batch]) -> Placed:
        """Itself: nothing is compiled where rules say what lies where."""
        return self

    def passes(self, batch: int, input: int, output: int) -> Passes:
        """The prefill and the decode steps of `batch` sequences, of all batches together.

        Where experts are cached, a step has the hits of its own, and one at a mean context the mean of all steps.
        """
        each = batch / self.batches

        @cache
        def hits() -> Hits | None:
            return self.hits(batch, input, output)

        return Passes(
            lambda: self._pass("prefill", prefill(each, input), prefill(batch, input), fetched(hits(), 0)),
            lambda context: self._pass(
                "decode", decode(each, context), decode(batch, context), fetched(hits(), _steps(context, input))
            ),
        )

    def hits(self, batch: int, input: int, output: int) -> Hits | None:
        """What a cache of experts has in the prefill and in each step; None where there is no cache."""
        if not self.layout.cached:
            return None
        return _hits(self, batch, input, max(output - 1, 1))

    @property
    def room(self) -> int:
        """How many experts a cache holds: of each layer, or of all together."""
        layer, spot = next(iter(self.layout.cached.items()))
        assert spot.cache
        return spot.cache.room(self.layout.model, len(self.layout.cached), self.layout.expert(layer))

    def _pass(self, phase: PhaseName, of: Batch, whole: Batch, fetched: Fetched | None) -> Plan:
        """A pass of one batch after another through each layer, with the host that drives it."""
        model = self.layout.model
        offload = self.deployed.software.runtime.offload
        layers = Layers(self.layout, self.engines, phase, self.batches, offload)
        graph = operator_graph(model, of, (lambda _: fetched.distinct) if fetched else None)
        stretches = list(self._stretches(layers, graph.blocks))
        plan = self._one_by_one(model.name, stretches, fetched) if fetched else self._plan(model.name, stretches)
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

    def _one_by_one(self, name: str, stretches: list[tuple[list[Chunk], int]], fetched: Fetched) -> Plan:
        """Layer after layer where experts are cached: what is copied of them follows on the link as it is known.

        A layer's own experts come once its router has chosen them; then those that it foretells for the next layer,
        beside its experts and what the next layer does before its own. Where nothing is copied ahead, all in turn.
        """
        ahead = self.deployed.software.runtime.offload.ahead
        chunks = [chunk for some, repeat in stretches for _ in range(repeat) for chunk in some]
        late, foretold = (self._fetches(chunks, each) for each in (fetched.late, fetched.ahead))
        back = self._fetches(chunks, fetched.left, back=True)
        plan = Plan(name)
        done = [plan.add(copy, ()) for copy in chunks[0].ahead]
        coming: list[int] = []
        for place, chunk in enumerate(chunks):
            copies = [*chunk.behind, *(chunks[place + 1].ahead if place + 1 < len(chunks) else ())]
            beside = [plan.add(copy, done) for copy in copies] if ahead else []
            last = plan.add(chunk.compute, done)
            known = [last, *coming] if chunk.then else [last]
            if place in late:
                last = plan.add(late[place], known)
            if place in back:
                beside.append(plan.add(back[place], known if ahead else [last]))
            coming = [plan.add(foretold[place + 1], [last])] if place + 1 in foretold else []
            if chunk.then:
                after = known if place not in late else [last]
                last = plan.add(chunk.then, after if ahead else [*after, *coming, *beside])
            done = [last, *beside] if ahead else [max([last, *coming, *(plan.add(copy) for copy in copies)])]
        return plan

    def _fetches(self, chunks: Sequence[Chunk], number: NDArray[np.float64], back: bool = False) -> dict[int, Activity]:
        """Of each chunk whose experts are cached, copies of so many in a row; `back`, where none is kept behind."""
        layout, staging = self.layout, self.deployed.software.runtime.offload.staging
        places = [place for place, chunk in enumerate(chunks) if chunk.then]
        copies = {}
        for at, (place, (layer, spot)) in enumerate(zip(places, layout.cached.items(), strict=True)):
            of = plain(number[..., at])
            system, size = layout.target.system, of * layout.expert(layer)
            if not np.any(of) or (back and spot.cache and spot.cache.inclusive):
                continue
            ends = (layout.home.tier, spot.tier) if back else (spot.tier, layout.home.tier)
            copies[place] = copied(system, size, *ends, spot.pinned, staging, of)
        return copies

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


@lru_cache(maxsize=32)
def _hits(placed: Placed, batch: int, input: int, steps: int) -> Hits:
    """Hits over the prefill and so many steps, replayed once."""
    cached, model = placed.layout.cached, placed.layout.model
    form = next(iter(cached.values())).cache
    assert form
    counts = generated(form.chooser(model), batch, input, steps, len(cached), form.seed)
    return replayed(counts, placed.room, form.experts is not None, form.policy, form.prefetch, form.seed)


def _steps(context: Quantity, input: int) -> slice | NDArray[np.int64]:
    """The passes of steps at some contexts; of one context, that of a mean step, all of them."""
    return np.rint(np.asarray(context) - input).astype(np.int64) + 1 if np.ndim(context) else slice(1, None)


def placed(deployed: Deployment, rules: tuple[Rule, ...], batch: Quantity, context: Quantity) -> Placed:
    """A model with its parts where rules say, for `batch` sequences of `context` tokens in the end.

    Raises:
        ConfigError: a rule that machine or model do not bear out, by its number and key.
    """
    own, batches = replace(deployed.engine, models=None), deployed.block.batches if deployed.block else 1

    def of(model: Model, rules: tuple[Rule, ...], draft: Placed | None = None) -> Placed:
        kv = [float(batch) * size for size in layer_kv(model, own.ways, float(context))]
        where = layout(rules, own, model, kv, deployed.software.runtime.offload.pinned)
        return Placed(deployed, rules, where, _engines(where), batches, draft)

    helper = deployed.draft.draft if deployed.draft else None
    for number, rule in enumerate(rules):
        if of_training := [part for part in rule.of if part in STATE]:
            expected = "a part that a pass of serving has; a step of training keeps this (workload: {kind: training})"
            raise ConfigError(path=("placement", number, "of"), found=f"'{of_training[0]}'", expected=expected)
        if DRAFT in rule.of and helper is None:
            path = ("placement", number, "of")
            raise ConfigError(path=path, found="'draft'", expected="a part of the model: no other model drafts")
    draft = of(helper, tuple(map(_of_draft, rules))) if helper else None
    return of(deployed.model, tuple(map(_of_model, rules)), draft)


def _of_model(rule: Rule) -> Rule:
    """A rule without what it says of a draft."""
    return rule.model_copy(update={"of": tuple(part for part in rule.of if part != DRAFT)})


def _of_draft(rule: Rule) -> Rule:
    """What a rule says of a draft: of its weights and its caches; or of nothing."""
    parts = tuple(part for part in PARTS if part != "activations") if DRAFT in rule.of else ()
    return rule.model_copy(update={"of": parts, "cache": None})


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
