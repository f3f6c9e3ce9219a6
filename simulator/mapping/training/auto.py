"""The rules of training that take the least time, of those that an architect would try."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TypeAlias

import numpy as np

from simulator.core import closed_form
from simulator.errors import ConfigError
from simulator.mapping.placement.rule import Rule
from simulator.mapping.placement.spot import main_memory, reached, route_length
from simulator.mapping.target import Target, computed_in
from simulator.mapping.training.held import held_of_training
from simulator.mapping.training.step import TrainingStep

Rules: TypeAlias = tuple[Rule, ...]
How: TypeAlias = Mapping[str, str]
WEIGHTS = ("ffn", "attention", "experts", "embedding", "head")
ORDERS: tuple[tuple[tuple[str, ...], ...], ...] = (
    (("optimizer",), ("gradients",), ("activations",), WEIGHTS),
    (("optimizer", "gradients"), ("activations",), WEIGHTS),
    (("activations",), ("optimizer",), ("gradients",), WEIGHTS),
)
"""What leaves main memory first, and what next where that is not enough."""
GRAIN = 0.001
"""Shares are tried in steps of this."""


def automatic(step: Callable[[Rules], TrainingStep]) -> TrainingStep:
    """A step with all in main memory where that fits, else with rules of least time; `step` gives that of some rules.

    Where none fit, those that were tried last.
    """
    resident = step(())
    if fits(resident):
        return resident
    tried = list(attempts(step, resident))
    return min(filter(fits, tried), key=lambda each: float(closed_form(each.plan).time), default=tried[-1])


def fits(step: TrainingStep) -> bool:
    """Whether every tier has room for what lies there."""
    return all(bool(held.fits) for held in held_of_training(step))


def attempts(step: Callable[[Rules], TrainingStep], resident: TrainingStep) -> Iterator[TrainingStep]:
    """Steps that leave as little as they must outside of main memory: the last part that leaves, the least share."""
    yield resident
    for tier, how in _ways(resident.engine):
        for order in ORDERS:
            with suppress(ConfigError):  # a tier that is read and not copied to
                yield _attempt(step, resident, order, tier, how)


def _attempt(
    step: Callable[[Rules], TrainingStep], resident: TrainingStep, order: Sequence[tuple[str, ...]], tier: str, how: How
) -> TrainingStep:
    """A step whose parts leave in order, until the others fit."""
    rules: Rules = ()
    for group in order:
        parts = [part for part in group if _may_leave(resident, part)]
        more = tuple(rule for part in parts for rule in _rules(part, tier, how, 1.0))
        if more and fits(step((*rules, *more))):
            return step((*rules, *_least(step, rules, parts, tier, how)))
        rules = (*rules, *more)
    return step(rules)


def _may_leave(resident: TrainingStep, part: str) -> bool:
    """Whether a model has a part that may lie in a host: of weights, where replicas do not each have all of them."""
    held = part not in WEIGHTS or resident.replicas.number == 1 or resident.replicas.shards(part)
    return held and resident.kept.parts[part] > 0


def _least(step: Callable[[Rules], TrainingStep], rules: Rules, parts: list[str], tier: str, how: How) -> Rules:
    """The least share of parts that leaves room where it stays; it leaves room when all of them leave."""
    low, high = 0, round(1 / GRAIN)
    while high - low > 1:
        middle = (low + high) // 2
        some = [rule for part in parts for rule in _rules(part, tier, how, middle * GRAIN)]
        low, high = (low, middle) if fits(step((*rules, *some))) else (middle, high)
    return tuple(rule for part in parts for rule in _rules(part, tier, how, high * GRAIN))


def _rules(part: str, tier: str, how: How, share: float) -> Iterator[Rule]:
    amount = None if share == 1 else f"{100 * share:.1f} %"
    yield Rule.model_validate({"of": part, "in": tier, "amount": amount, **(how if part == "optimizer" else {})})


def _ways(target: Target) -> Iterator[tuple[str, How]]:
    """Tiers behind main memory, the fastest first, and how the optimizer's numbers are used from there."""
    system, own = target.system, target.tier
    behind = [tier for tier, each in system.tiers.items() if tier != own and not each.on_chip and reached(target, tier)]
    for tier in sorted(behind, key=lambda tier: float(np.mean(system.tiers[tier].bandwidth)), reverse=True):
        links, flash = route_length(target, tier), system.tiers[tier].kind == "flash"
        if links == 0 or (links == 1 and not flash):
            yield tier, {"use": "read"}
        if links:
            yield tier, {"use": "copy"}
        for name, engine in system.engines.items():
            able = engine.kind == "cpu" and computed_in(engine.peak, "fp32")
            if name != target.name and able and reached_by(target, name, tier):
                yield tier, {"by": name}


def reached_by(target: Target, engine: str, tier: str) -> bool:
    """Whether an engine beside runs from a tier, or from one that links join with it."""
    own = main_memory(target.system, engine)
    if tier == own:
        return True
    links = target.system.links
    return f"{tier}->{own}" in links and f"{own}->{tier}" in links
