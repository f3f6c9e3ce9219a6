"""A tier that a rule names, on a machine: how the engine that uses what lies there comes by it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from simulator.config.choose import check_name
from simulator.errors import ConfigError, nearest, one_of
from simulator.hardware import System
from simulator.mapping.placement.cache import ExpertCache
from simulator.mapping.placement.rule import INTERLEAVED, REPLICATED, Rule, Use
from simulator.mapping.target import Target


@dataclass(frozen=True)
class Spot:
    """Where some bytes lie, and how they are used.

    Attributes:
        tier: its full name.
        use: `read` by the engine, over a link where it is not the engine's own; `copy` to its main memory before it is
            used; `compute` by the engine `by`, to whose main memory it is copied where it lies elsewhere.
        by: the engine that computes, where it is not that of the mapping.
        pinned: whether copies need no bounce buffer.
        pages: over the memories of the devices of an engine: each has its share, all have all (`replicated`), or each
            has some pages of every device's share (`interleaved`).
        cache: of experts, those that main memory keeps besides, so that they need no copy.
    """

    tier: str
    use: Use = "read"
    by: str | None = None
    pinned: bool = True
    pages: str | None = None
    cache: ExpertCache | None = None

    @property
    def manner(self) -> str:
        """How it is used, in words."""
        done = {"read": "read from there", "copy": "copied before use", "compute": f"computed by {self.by}"}[self.use]
        if self.cache:
            size = f"{self.cache.experts} a layer" if self.cache.amount is None else self.cache.amount
            done = f"copied when chosen, cached ({size}, {self.cache.policy})"
        return done + (f", {self.pages}" if self.pages else "") + ("" if self.pinned else ", not pinned")


def spots(rule: Rule, target: Target, pinned: bool) -> Iterator[tuple[Spot, float]]:
    """The places that a rule names, each with its share.

    Raises:
        ConfigError: an engine or a tier that the machine lacks, that nothing reaches, or that cannot be used so.
    """
    system = target.system
    _check_cache(rule, target)
    by = _computes(rule, system)
    if rule.use == "compute" and by is None:
        by = _beside(rule, target)
    own = main_memory(system, by) if by else target.tier
    pinned = pinned if rule.pinned is None else rule.pinned
    shares = {rule.in_: 1.0} if isinstance(rule.in_, str) else rule.in_
    for name, share in shares.items():
        pages = name if name in (INTERLEAVED, REPLICATED) else None
        tier = own if pages else full_name(name, target, by)
        if by:
            yield Spot(_reached(system, tier, own), "compute", by, pinned, pages), share
        else:
            use = _use(rule, target, _reached(system, tier, own))
            if rule.cache and (use, rule.use) == ("read", None) and tier != own:
                use = "copy"
            yield Spot(tier, use, None, pinned, pages, rule.cache), share


def _check_cache(rule: Rule, target: Target) -> None:
    """Nothing where a rule has no cache, or one of what is copied whole to the memory that its engine runs from.

    Raises:
        ConfigError: another part, tier, phase or use.
    """
    if rule.cache is None:
        return
    if rule.cache.in_ is not None and (tier := full_name(rule.cache.in_, target)) != target.tier:
        raise ConfigError(path=("cache", "in"), found=f"'{tier}'", expected=f"{target.tier}, which it runs from")
    several = not isinstance(rule.in_, str) or rule.in_ in (INTERLEAVED, REPLICATED)
    if not several and full_name(str(rule.in_), target) == target.tier:
        raise ConfigError(path=("in",), found=f"'{rule.in_}' with a cache in it", expected="a tier behind it")
    for applies, key, found, expected in (
        (rule.of != ("experts",), "of", ", ".join(rule.of), "experts alone"),
        (several, "in", str(rule.in_), "one tier"),
        (rule.use not in (None, "copy"), "use", rule.use, "copy"),
        (rule.by is not None, "by", rule.by, "none: what is cached is copied to the engine"),
        (rule.phase is not None, "phase", rule.phase, "none: of both phases"),
        (rule.amount is not None, "amount", rule.amount, "none: all experts of its layers"),
    ):
        if applies:
            raise ConfigError(path=(key,), found=f"'{found}' with a cache", expected=expected)


def main_memory(system: System, engine: str) -> str:
    """The full name of the tier that an engine runs from."""
    device = engine.partition(".")[0]
    return f"{device}.{system.machine.devices[device].main_memory(system.engines[engine])}"


def full_name(name: str, target: Target, by: str | None = None) -> str:
    """A tier by its full name, by that inside the device of an engine, or by one that a single tier has.

    Raises:
        ConfigError: no such tier.
    """
    tiers = target.system.tiers
    inside = [f"{device}.{name}" for device in ((by or "").partition(".")[0], target.device)]
    alike = [tier for tier in tiers if name in (tier.rpartition(".")[2], tier.partition(".")[0])]
    known = [tier for tier in (name, *inside) if tier in tiers] or (alike if len(alike) == 1 else [])
    if not known:
        expected = one_of([*tiers, INTERLEAVED, REPLICATED])
        ends = (end for tier in tiers for end in tier.split("."))
        close = nearest(name, [*tiers, *ends, INTERLEAVED, REPLICATED])
        raise ConfigError("no such tier", path=("in",), found=f"'{name}'", expected=expected, nearest=close)
    return known[0]


def reads(target: Target, tier: str) -> bool:
    """Whether an engine reads a tier of its own device, over a port."""
    device, _, name = tier.rpartition(".")
    return device == target.device and name in target.description.reads


def reached(target: Target, tier: str) -> bool:
    """Whether an engine reads a tier, or links lead from it to its main memory and back."""
    own = target.tier
    return reads(target, tier) or (_leads(target.system, tier, own) and _leads(target.system, own, tier))


def _reached(system: System, tier: str, own: str) -> str:
    """The tier, where the engine that runs from `own` reads it or links lead from it to there."""
    device, _, name = tier.rpartition(".")
    at, _, _ = own.rpartition(".")
    read = device == at and any(name in e.reads for e in system.machine.devices[device].engines.values())
    if tier != own and not read:
        try:
            system.route(tier, own)
        except ConfigError:
            expected = one_of([each for each in system.tiers if each == own or _leads(system, each, own)])
            raise ConfigError(
                f"nothing leads from it to {own}", path=("in",), found=f"'{tier}'", expected=expected
            ) from None
    return tier


def _leads(system: System, tier: str, own: str) -> bool:
    try:
        return bool(system.route(tier, own))
    except ConfigError:
        return False


def _use(rule: Rule, target: Target, tier: str) -> Use:
    """How an engine uses a tier: as the rule has it, else it reads what it can."""
    flash, over = target.system.tiers[tier].kind == "flash", route_length(target, tier)
    if rule.use == "read" and not reads(target, tier) and (flash or over > 1):
        why = "a flash tier is no memory of loads" if flash else f"{over} links lead there"
        raise ConfigError(why, path=("use",), found=f"'read' of {tier}", expected="'copy', or 'compute'")
    if rule.use == "copy" and tier == target.tier:
        raise ConfigError(path=("use",), found=f"'copy' of {tier}", expected="'read': the engine runs from it")
    return rule.use or ("read" if reads(target, tier) and not flash else "copy")


def route_length(target: Target, tier: str) -> int:
    """Links between a tier and the main memory of an engine; 0 where the engine reads it."""
    own = target.tier
    return 0 if reads(target, tier) or tier == own else len(target.system.route(tier, own)) - 1


def _computes(rule: Rule, system: System) -> str | None:
    """The full name of the engine that a rule has compute."""
    if rule.by is None:
        return None
    if rule.use not in (None, "compute"):
        raise ConfigError(path=("by",), found=f"'{rule.by}' with use '{rule.use}'", expected="use: compute")
    full = [name for name in system.engines if rule.by in (name, *name.split("."))]
    if len(full) == 1:
        return full[0]
    return check_name(rule.by, full or list(system.engines), ("by",), "no such engine" if not full else "which of them")


def _beside(rule: Rule, target: Target) -> str:
    """The one other engine that reads the tiers of a rule."""
    names = [rule.in_] if isinstance(rule.in_, str) else list(rule.in_)
    tiers = [full_name(name, target) for name in names if name not in (INTERLEAVED, REPLICATED)]
    system = target.system
    known = [
        name
        for name, engine in system.engines.items()
        if name != target.name
        and all(tier in {f"{name.partition('.')[0]}.{t}" for t in engine.reads} for tier in tiers)
    ]
    if len(known) != 1 or not tiers:
        expected = f"by: {one_of(known)}" if known else "'copy' or 'read': no other engine reads it"
        raise ConfigError(path=("use",), found=f"'compute' in {', '.join(names)}", expected=expected)
    return known[0]
