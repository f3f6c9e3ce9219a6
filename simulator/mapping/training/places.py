"""Where the state of training lies, by rules: weights, kept activations, gradients, and what the optimizer keeps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

from simulator.config.choose import check_name
from simulator.errors import ConfigError, one_of
from simulator.hardware import System
from simulator.mapping.placement.layout import Shares, share_of
from simulator.mapping.placement.rule import INTERLEAVED, REPLICATED, STATE, Rule
from simulator.mapping.placement.spot import Spot, main_memory, spots
from simulator.mapping.target import Target
from simulator.mapping.training.kept import WEIGHTS

PARTS: tuple[str, ...] = (*WEIGHTS, "activations", *STATE)
"""What a step keeps: of activations, those that the forward pass saves for the backward one."""
Places: TypeAlias = Mapping[str, Shares]


def places(rules: tuple[Rule, ...], target: Target, sizes: Mapping[str, float], pinned: bool) -> Places:
    """Where each part lies, by rules of which the first that matches counts; what none has is in main memory.

    `sizes`: bytes of each part, which an amount in bytes is taken of. Kernels read and write weights, gradients and
    activations in main memory: elsewhere these are copied, before and after. What the optimizer keeps may also be read
    where it lies, or updated by another engine.

    Raises:
        ConfigError: a rule that is of serving, or that the machine does not bear out; by its number and key.
    """
    home = Spot(target.tier)
    left = dict.fromkeys(PARTS, 1.0)
    shares: dict[str, list[tuple[Spot, float]]] = {part: [] for part in PARTS}
    for number, rule in enumerate(rules):
        try:
            _check(rule, target, sizes)
            named = [(_written(rule, spot, target), share) for spot, share in spots(rule, target, pinned)]
        except ConfigError as error:
            error.path = ("placement", number, *(error.path or ()))
            raise
        share = share_of(rule, [(part, 0) for part in rule.of], {(part, 0): size for part, size in sizes.items()})
        for part in rule.of:
            more = min(share, left[part])
            shares[part] += [(spot, each * more) for spot, each in named if more > 0]
            left[part] -= more
    for part, rest in left.items():
        if rest > 1e-12:
            shares[part].append((home, rest))
    return {part: tuple(each) for part, each in shares.items()}


def _check(rule: Rule, target: Target, sizes: Mapping[str, float]) -> None:
    """Nothing, where a rule is one of training."""
    for part in rule.of:
        check_name(part, PARTS, ("of",), "nothing that training keeps")
    if not any(sizes[part] for part in rule.of):
        raise ConfigError(path=("of",), found=f"'{rule.of[0]}'", expected=one_of(part for part in PARTS if sizes[part]))
    names = [rule.in_] if isinstance(rule.in_, str) else rule.in_
    pages = next((name for name in names if name in (INTERLEAVED, REPLICATED)), None)
    alone = rule.of == ("optimizer",)
    computes = rule.use == "compute" or rule.by is not None
    refusals: Sequence[tuple[bool, str, object, str]] = (
        (rule.layers is not None, "layers", rule.layers, "null, of training: an amount is spread over all layers"),
        (rule.phase is not None, "phase", rule.phase, "null: training has neither prefill nor decode"),
        (rule.cache is not None, "cache", "one", "null: training keeps no cache of experts"),
        (pages is not None, "in", pages, "a tier, of training"),
        (computes and not alone, "by" if rule.by else "use", rule.by or rule.use, "none but of the optimizer alone"),
        (rule.use == "read" and not alone, "use", rule.use, "'copy', or of the optimizer alone"),
        (
            target.description.in_memory,
            "in",
            ", ".join(names),
            f"no rules on {target.name}, which sits in its memory",
        ),
    )
    for applies, key, found, expected in refusals:
        if applies:
            raise ConfigError(path=(key,), found=f"'{found}'", expected=expected)


def _written(rule: Rule, spot: Spot, target: Target) -> Spot:
    """A place that is read and written; of all but the optimizer's one that is copied, even where the engine reads it.

    Raises:
        ConfigError: no links lead to it and back.
    """
    system, own = target.system, main_memory(target.system, spot.by) if spot.by else target.tier
    optimizer = rule.of == ("optimizer",)
    if spot.tier == own or (optimizer and _is_read(system, spot.by or target.name, spot.tier)):
        return spot
    for ends in ((spot.tier, own), (own, spot.tier)):
        try:
            system.route(*ends)
        except ConfigError:
            why, found = f"no link leads from {ends[0]} to {ends[1]}", f"'{spot.tier}', which training writes too"
            expected = "a tier that links lead to and from"
            raise ConfigError(why, path=("in",), found=found, expected=expected) from None
    return spot if optimizer else replace(spot, use="copy")


def _is_read(system: System, engine: str, tier: str) -> bool:
    """Whether an engine reads a tier of its own device."""
    device, _, name = tier.rpartition(".")
    return device == engine.partition(".")[0] and name in system.engines[engine].reads
