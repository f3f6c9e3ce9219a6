"""What a cache of routed experts has when a pass needs it: replayed expert by expert."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulator.core import Quantity
from simulator.core.residency import Ranked, Residency, policy
from simulator.core.resource import plain
from simulator.workload.routing.generated import Counts

Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Hits:
    """Experts of each pass and layer, shape (passes, layers); the first pass is the prefill.

    Attributes:
        needed: different ones that tokens chose.
        missed: of them, those that the cache lacked.
        late: of these, those that nobody foretold, copied once the router has chosen them.
        ahead: copied as the router of the layer before foretold: missed ones, and others in vain.
        left: those that left the cache for others.
    """

    needed: Ints
    missed: Ints
    late: Ints
    ahead: Ints
    left: Ints

    def rate(self, prefill: bool) -> float:
        """The share of the chosen experts that the cache had, in the prefill or over all steps."""
        passes = slice(0, 1) if prefill else slice(1, None)
        return 1 - float(self.missed[passes].sum() / self.needed[passes].sum())


class Fetched(NamedTuple):
    """Experts that some passes copy, by the layers whose experts are cached: `late` by choice, `ahead` foretold.

    `left`: those that make room. `distinct`: different ones that a layer needs, in the mean over layers.
    """

    late: NDArray[np.float64]
    ahead: NDArray[np.float64]
    left: NDArray[np.float64]
    distinct: Quantity


def fetched(hits: Hits | None, passes: int | slice | Ints) -> Fetched | None:
    """What some passes copy; of a slice the mean of them."""
    if hits is None:
        return None
    mean = isinstance(passes, slice)
    late, ahead, left, needed = (
        np.asarray(each[passes].mean(axis=0) if mean else each[passes], dtype=np.float64)
        for each in (hits.late, hits.ahead, hits.left, hits.needed)
    )
    return Fetched(late, ahead, left, plain(needed.mean(axis=-1)))


def replayed(
    counts: Counts, room: int, apart: bool, policy_name: str, prefetch: float | None = None, seed: int = 0
) -> Hits:
    """Hits of a cache with `room` for experts, of each layer `apart` or of all together.

    Exact for the `counts`, tokens of each expert of shape (passes, layers, experts): a pass needs, layer by layer, the
    experts that any token chose, and computes those that are there before the others. The cache begins with the ones
    that most passes need, and may be bypassed, so that no policy has fewer misses than `belady`. A policy by recency
    takes the experts of a layer in the order of their numbers, one by rank those that are there first.

    With `prefetch`, each chosen expert is foretold with that probability, else another one is in its stead; in the
    first layer none is. What is foretold and not there is copied ahead; it displaces others once it is chosen.
    """
    passes, layers, experts = counts.shape
    caches = _filled(counts, room, apart, policy_name)
    random = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, layers, experts])))
    needed, missed, late, ahead, left = np.zeros((5, passes, layers), dtype=np.int64)
    for place in range(passes):
        for layer in range(layers):
            chosen = (np.flatnonzero(counts[place, layer]) + layer * experts).tolist()
            cache, guesses = caches[layer], set[int]()
            if prefetch is not None and layer:
                guesses = _foretold(random, chosen, layer * experts, experts, prefetch)
            coming = {key for key in guesses if key not in cache}
            misses = [key for key in chosen if key not in cache]
            for key in sorted(chosen, key=misses.__contains__) if isinstance(cache.policy, Ranked) else chosen:
                cache.request(key, 1)
            needed[place, layer], missed[place, layer], ahead[place, layer] = len(chosen), len(misses), len(coming)
            late[place, layer] = sum(key not in coming for key in misses)
            left[place, layer] = sum(key in cache for key in misses)  # as it is full: each takes the place of one
    return Hits(needed, missed, late, ahead, left)


def _filled(counts: Counts, room: int, apart: bool, policy_name: str) -> list[Residency]:
    """The cache of each layer, or one for all, with the most popular experts in it, the very first as the latest."""
    layers, experts = counts.shape[1:]
    popular = np.count_nonzero(counts, axis=0)
    number = np.arange(layers * experts).reshape(layers, experts)
    of_passes = np.argwhere(counts)
    keys = of_passes[:, 1] * experts + of_passes[:, 2]
    caches: list[Residency] = []
    for layer in range(layers) if apart else range(1):
        part = slice(layer, layer + 1) if apart else slice(None)
        first = number[part].ravel()[np.argsort(-popular[part].ravel(), kind="stable")][:room][::-1].tolist()
        own = keys[of_passes[:, 1] == layer] if apart else keys
        cache = Residency(room, policy(policy_name, [*first, *own.tolist()]), "the cache of experts", bypass=True)
        for key in first:
            cache.request(key, 1)
        caches.append(cache)
    return caches if apart else caches * layers


def _foretold(random: np.random.Generator, chosen: list[int], first: int, experts: int, share: float) -> set[int]:
    """The experts that are foretold: of the chosen ones some, others in the places of those that are not."""
    right = {key for key, drawn in zip(chosen, random.random(len(chosen)), strict=True) if drawn < share}
    others = sorted(set(range(first, first + experts)).difference(chosen))
    wrong = min(len(chosen) - len(right), len(others))
    return right.union(random.choice(others, wrong, replace=False).tolist()) if wrong else right
