"""The rules of placement that take the least time, of those that an architect would try."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import ceil
from typing import TYPE_CHECKING

import numpy as np

from simulator.core import closed_form
from simulator.mapping.footprint.kept import largest
from simulator.mapping.passes import step_contexts
from simulator.mapping.placement.held import held_in_tiers
from simulator.mapping.placement.placed import Placed, placed
from simulator.mapping.placement.rule import PARTS, Part, Rule, Use
from simulator.mapping.placement.spot import main_memory, reached, reads, route_length

if TYPE_CHECKING:
    from simulator.mapping.deployment import Deployment

ORDERS: tuple[tuple[tuple[Part, ...], ...], ...] = (
    (("experts",), ("ffn",), ("attention",), ("kv",), ("layer_embedding", "embedding", "head")),
    (("ffn",), ("experts",), ("attention",), ("kv",), ("layer_embedding", "embedding", "head")),
    (("experts", "ffn", "attention"), ("kv",), ("layer_embedding", "embedding", "head")),
    (("kv",), ("experts", "ffn", "attention"), ("layer_embedding", "embedding", "head")),
    (("experts", "ffn", "attention", "kv"), ("layer_embedding", "embedding", "head")),
)
"""What leaves main memory first, and what next where that is not enough."""


@dataclass(frozen=True)
class Way:
    """How what leaves main memory is used: from which tiers, the first of them as far as it holds it."""

    tiers: tuple[str, ...]
    use: Use
    by: str | None = None
    prompts: Use | None = None


@lru_cache(maxsize=64)
def placement_of(deployed: Deployment, batch: float, input: float, output: float) -> Placed:
    """A deployment with its parts where its rules say; by `auto`, where the least time goes by.

    `batch`: of one replica. Where no rules fit, those that leave least in main memory.
    """
    if isinstance(deployed.placement, tuple):
        return placed(deployed, deployed.placement, batch, input + output)
    return min(tried(deployed, batch, input, output), key=lambda each: seconds(each, batch, input, output))


@lru_cache(maxsize=256)
def fitting(deployed: Deployment, batch: float, input: float, output: float) -> Placed:
    """As `placement_of`; by `auto` the first that fits, whatever time it takes."""
    if isinstance(deployed.placement, tuple):
        return placement_of(deployed, batch, input, output)
    return next(iter(tried(deployed, batch, input, output)))


def tried(deployed: Deployment, batch: float, input: float, output: float) -> Iterator[Placed]:
    """All placements that are tried and fit; one that does not, where none does."""
    context, none = input + output, True

    def of(rules: tuple[Rule, ...]) -> Placed:
        return placed(deployed, rules, batch, context)

    if over(first := of(()), batch, input) <= 0:
        yield first
        return
    last = first
    for way in _ways(deployed):
        for order in ORDERS:
            rules = _rules(deployed, order, way, batch, input, output)
            last = of(rules)
            if over(last, batch, input) <= 0:
                none = False
                yield last
    if none:
        yield last


def over(placed: Placed, batch: float, input: float, tier: str | None = None) -> float:
    """Bytes by which the fullest tier, or one of them, is too small; negative where there is room."""
    held = held_in_tiers(placed, batch, input)
    system = placed.layout.target.system
    return max(sum(kinds.values()) - system.free(name) for name, kinds in held.items() if tier is None or name == tier)


def seconds(placed: Placed, batch: float, input: float, output: float) -> float:
    """The time of the prompts and of each step at its own context."""
    passes = placed.passes(int(batch), int(input), int(output))
    contexts = step_contexts(int(input), int(output))
    steps = closed_form(passes.step(contexts)).time if output > 1 else 0.0
    return float(closed_form(passes.first).time) + float(np.sum(np.broadcast_to(steps, contexts.shape)))


def _ways(deployed: Deployment) -> Iterator[Way]:
    """All ways to use tiers behind main memory, those that hold most of a kind last: host memory before flash."""
    target = deployed.engine
    system, own = target.system, target.tier
    behind = [tier for tier, each in system.tiers.items() if tier != own and not each.on_chip and reached(target, tier)]
    behind.sort(key=lambda tier: float(np.mean(system.tiers[tier].bandwidth)), reverse=True)
    for place, tier in enumerate(behind):
        tiers = tuple(behind[place:])
        if reads(target, tier) or (route_length(target, tier) == 1 and system.tiers[tier].kind != "flash"):
            yield Way(tiers, "read")
        if not reads(target, tier):
            yield Way(tiers, "copy")
        for name, engine in system.engines.items():
            beside = name != target.name and engine.kind == "cpu" and main_memory(system, name) == tier
            if beside and reached(target, tier):
                yield Way((tier,), "compute", name)
                yield Way((tier,), "compute", name, "copy")


def _rules(
    deployed: Deployment, order: Sequence[tuple[Part, ...]], way: Way, batch: float, input: float, output: float
) -> tuple[Rule, ...]:
    """As little of the parts in order outside of main memory as leaves room there."""
    target = deployed.engine
    main = target.tier
    rules: tuple[Rule, ...] = ()
    has = {part for part, _ in placed(deployed, (), batch, input + output).layout.weights} | {"kv"}

    def room(more: tuple[Rule, ...]) -> float:
        return -over(placed(deployed, (*rules, *more), batch, input + output), batch, input, main)

    for group in order:
        parts = tuple(part for part in PARTS if part in group and part in has)
        if not parts or (way.use == "compute" and "embedding" in parts):
            continue
        all_moved = _moved(parts, way, None, None)
        if room(all_moved) < 0:
            rules = (*rules, *all_moved)
            continue
        if way.use == "compute":
            least = _last_layers(parts, way, room, len(deployed.model.decoder))
        else:
            least = _least(parts, way, room, _size(deployed, parts, batch, input + output))
        rules = (*rules, *least)
        break
    return _spread(deployed, rules, way, batch, input, output)


def _least(
    parts: tuple[Part, ...], way: Way, room: Callable[[tuple[Rule, ...]], float], size: float
) -> tuple[Rule, ...]:
    """The fewest bytes of parts to leave main memory, which is linear in them."""
    before, after = room(()), room(_moved(parts, way, None, None))
    bytes = ceil(size * -before / (after - before)) if after > before else ceil(size)
    for more in (0, 1, 1024):
        rules = _moved(parts, way, f"{min(bytes + more, ceil(size))} B", None)
        if room(rules) >= 0:
            return rules
    return _moved(parts, way, None, None)


def _last_layers(
    parts: tuple[Part, ...], way: Way, room: Callable[[tuple[Rule, ...]], float], layers: int
) -> tuple[Rule, ...]:
    """The fewest layers to leave main memory, the last ones."""
    kept = largest(lambda n: room(_moved(parts, way, None, f"{n}-")) >= 0, layers - 1, layers // 2)
    return _moved(parts, way, None, f"{kept}-" if kept else None)


def _moved(parts: tuple[Part, ...], way: Way, amount: str | None, layers: str | None) -> tuple[Rule, ...]:
    """Rules that have parts outside of main memory."""
    rule = {"of": parts, "in": way.tiers[0], "amount": amount, "layers": layers, "use": way.use, "by": way.by}
    rules: tuple[Rule, ...] = (Rule.model_validate(rule),)
    if way.prompts:
        rules = (Rule.model_validate({**rule, "phase": "prefill", "use": way.prompts, "by": None}), *rules)
    return rules


def _spread(
    deployed: Deployment, rules: tuple[Rule, ...], way: Way, batch: float, input: float, output: float
) -> tuple[Rule, ...]:
    """Rules whose first tier is full, over it and the next ones: each has what it holds."""
    if len(way.tiers) == 1:
        return rules
    held = held_in_tiers(placed(deployed, rules, batch, input + output), batch, input).get(way.tiers[0], {})
    needed, system = sum(held.values()), deployed.engine.system
    shares: dict[str, float] = {}
    left = 1.0
    for tier in way.tiers[:-1]:
        shares[tier] = min(left, system.free(tier) / needed if needed else 1.0)
        left -= shares[tier]
    shares = {tier: share for tier, share in {**shares, way.tiers[-1]: left}.items() if share > 1e-9}
    if len(shares) < 2:
        return rules
    use = None if way.use == "read" else way.use
    return tuple(rule.model_copy(update={"in_": shares, "use": use}) for rule in rules)


def _size(deployed: Deployment, parts: tuple[Part, ...], batch: float, context: float) -> float:
    layout = placed(deployed, (), batch, context).layout
    weights = sum(size for (part, _), size in layout.weights.items() if part in parts)
    return weights + (sum(layout.kv) if "kv" in parts else 0.0)
