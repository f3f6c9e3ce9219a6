"""What copies of the keys and values of whole sequences take: to the tier that takes who loses its room, and over the
link to where they decode whose prompts were computed elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np

from simulator.config.choose import check_name
from simulator.core import Activity, Resource, add, launched
from simulator.errors import ConfigError
from simulator.mapping.deployment import Deployment
from simulator.mapping.transfer import transfer, written
from simulator.workload import kv_bytes

LINK = "link of keys and values"
"""The resource of a link to those that decode, of which `mapping.kv_store` has the figures."""

Swap = Callable[[int, bool], Activity]
"""The copy of so many tokens of a sequence to the tier that takes it, or back."""


def no_swap(tokens: int, back: bool) -> Activity:
    """The copy where nothing is copied."""
    return Activity("no swap")


def swap_of(deployed: Deployment) -> Swap:
    """The copies of a deployment to the tier that takes who loses its room, `kv_store.swap`, and back.

    Raises:
        ConfigError: there is no such tier, or no way to it.
    """
    tier = deployed.kv_store.swap
    if tier is None:
        expected = "the tier to which sequences are swapped, `kv_store.swap`, beside it"
        raise ConfigError(path=("mapping", "scheduler", "preempt"), found="'swap'", expected=expected)
    system, own = deployed.low.system, deployed.low.tier
    at, joined = ("mapping", "kv_store", "swap"), f"tiers of {system.name} that links join to {own}"
    check_name(tier, system.behind(own), at, joined)

    @lru_cache(maxsize=4096)
    def swap(tokens: int, back: bool) -> Activity:
        ends = (tier, own) if back else (own, tier)
        return transfer(system, np.asarray(kv_bytes(deployed.model, float(tokens))), *ends, name="swap")

    swap(1, False)  # which tells of a way that leads back alone, before anyone is served
    return swap


def handed_over(deployed: Deployment) -> Callable[[int], Activity]:
    """The copy of so many tokens from a replica that computes prompts alone to one that decodes.

    It reads memory there, writes memory here, and goes over a link of so many bytes a second in between.

    Raises:
        ConfigError: the rate of the link is not known.
    """
    store, low, groups = deployed.kv_store, deployed.low, deployed.parallel.context
    if store.link is None:
        expected = "the rate of the link to those that decode, `kv_store.link`, beside it"
        raise ConfigError(path=("mapping", "scheduler", "prompts"), found=deployed.scheduler.prompts, expected=expected)
    link = Resource(LINK, store.link / groups, energy=store.link_energy)
    memory, count = low.system[low.tier], low.system.count(low.tier)

    @lru_cache(maxsize=4096)
    def copy(tokens: int) -> Activity:
        size = float(kv_bytes(deployed.model, float(tokens))) / groups
        demand: dict[Resource, float] = {link: size}
        add(demand, {memory: size / count})
        bus, units = written(low.system, low.tier, size / count)
        add(demand, {bus: units})
        return launched("hand-over", demand, 0.0)

    return copy
