"""How two engines share the routed experts of a device, and the plan of both at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from simulator.core import Plan
from simulator.mapping.kernels.kernels import kernels
from simulator.mapping.lowering import fusion, kernel_activity, one_by_one
from simulator.mapping.target import Target
from simulator.mapping.two_engines.expert_costs import Array, Counts
from simulator.registry import register, registered
from simulator.workload import Model, expert_block

CHUNK = 65536  # experts at a time: what a split works on stays in the L2 cache


def shared_plan(
    engines: tuple[Target, Target], model: Model, tokens: Sequence[int], on_other: Sequence[bool], ways: int = 1
) -> Plan:
    """The experts of a device as kernels, for the event engine: each engine runs its own, and both run at once.

    Expert e lies in bank bundle e mod `bundles` of their memory, which a read keeps busy: where engines meet in a
    bundle they slow each other down, and the closed form is a lower bound.
    """
    memory = engines[0].system.tiers[engines[0].tier]
    bundles = memory.stack.bundles if memory.stack else 1
    plan = Plan("experts")
    for place, engine in enumerate(engines):
        chain = Plan(engine.engine)
        own = [e for e, (n, other) in enumerate(zip(tokens, on_other, strict=True)) if n and bool(other) == bool(place)]
        launches = [[e] for e in own] if one_by_one(engine.description) else [own]
        for launch in filter(None, launches):
            spaces = sorted({e % bundles for e in launch}) if bundles > 1 else ()
            block = expert_block(model, float(sum(tokens[e] for e in launch)), float(len(launch)))
            for kernel in kernels(block, fusion(engine.description), ways):
                chain.add(kernel_activity(engine, kernel, spaces))
        plan.add(chain, ())
    return plan


Split: TypeAlias = Callable[[Counts, Array, Array], NDArray[np.bool_]]
"""Shares the experts of a device between two engines. Registered under `split`.

Given the tokens of each expert and the time that it adds on the one and on the other engine, all of shape
(..., experts), it says which experts go to the other. Both engines then run at once, each its experts.
"""


def split(name: str) -> Split:
    """A registered way to share experts, by its name.

    Raises:
        ConfigError: there is none of that name.
    """
    chooser: Split = registered("split", name)
    return chooser


@register("split", "greedy")
def greedy(counts: Counts, one: Array, other: Array) -> NDArray[np.bool_]:
    """The best of moving the experts with the fewest tokens, one after another, from the one engine to the other.

    Starts with all on the one, and keeps the number of moves with the smallest larger sum (Duplex, arXiv 2409.01141,
    section V-B). That is the optimum where all experts take equally long on the one engine, as when it is bound by
    memory.
    """
    experts = counts.shape[-1]
    sets, ones, others = counts.reshape(-1, experts), one.reshape(-1, experts), other.reshape(-1, experts)
    chosen = np.empty(sets.shape, dtype=bool)
    rows = max(CHUNK // experts, 1)
    for first in range(0, len(sets), rows):
        cut = slice(first, first + rows)
        chosen[cut] = _fewest_first(sets[cut], ones[cut], others[cut])
    return chosen.reshape(counts.shape)


def _fewest_first(counts: Counts, one: Array, other: Array) -> NDArray[np.bool_]:
    """`greedy` of some sets, shape (sets, experts).

    Experts are ranked by a key whose last bits are their place, to tell those with as many tokens apart; what moves is
    below the key of the first that stays.
    """
    sets, experts = counts.shape
    bits = (experts - 1).bit_length()
    integer = np.int32 if counts.max() < np.iinfo(np.int32).max >> bits else np.int64
    key = (counts.astype(integer) << bits) + np.arange(experts, dtype=integer)
    ranked = np.sort(key, axis=-1)
    place = ((ranked & ((1 << bits) - 1)) + np.arange(0, key.size, experts)[:, np.newaxis]).T
    ones, others = np.take(one, place), np.take(other, place)
    ranked = np.concatenate([ranked, np.full((sets, 1), np.iinfo(integer).max, dtype=integer)], axis=-1)
    least, behind, ahead = np.zeros((3, sets))
    for each in ones:
        least += each
    total, moves = least.copy(), np.zeros(sets, dtype=np.int64)
    for number in range(experts):
        behind += ones[number]
        ahead += others[number]
        larger = np.maximum(total - behind, ahead)
        better = larger < least
        np.copyto(least, larger, where=better)
        np.copyto(moves, number + 1, where=better)
    stays = np.take_along_axis(ranked, moves[:, np.newaxis], axis=-1)
    below: NDArray[np.bool_] = key < stays
    return below


@register("split", "spaces")
def spaces(counts: Counts, one: Array, other: Array, number: int = 4) -> NDArray[np.bool_]:
    """As `greedy`, but whole memory spaces move: experts lie round-robin in 4 of them (Duplex, section V-C).

    While both engines work, a space belongs to one of them, so that they never meet in a bank.
    """
    experts = counts.shape[-1]
    number = min(number, experts)
    return _moved(np.arange(experts) % number, number, counts, one, other)


@register("split", "spaces_by_popularity")
def spaces_by_popularity(counts: Counts, one: Array, other: Array, number: int = 4) -> NDArray[np.bool_]:
    """As `spaces`, but experts of like popularity lie in the same space, so that whole spaces are busy or idle.

    Popularity is that of the counts themselves, over all that they hold: of each device's experts, in all layers alike.
    """
    experts = counts.shape[-1]
    number = min(number, experts)
    groups = counts.shape[-2] if counts.ndim > 1 else 1
    shape = (-1, groups, experts)
    tokens, high, low = counts.reshape(shape), one.reshape(shape), other.reshape(shape)
    moved = np.empty(tokens.shape, dtype=bool)
    for group, popularity in enumerate(tokens.sum(axis=0)):
        home = np.empty(experts, dtype=np.int64)
        home[np.argsort(popularity, kind="stable")] = np.arange(experts) * number // experts
        moved[:, group] = _moved(home, number, tokens[:, group], high[:, group], low[:, group])
    return moved.reshape(counts.shape)


def _moved(home: NDArray[np.int64], number: int, counts: Counts, one: Array, other: Array) -> NDArray[np.bool_]:
    """Which experts move, where those of a `home` do so together."""
    each = (counts.astype(np.int64), one, other)  # unsigned ones would add up to what is ranked as a float
    sums = [np.stack([v[..., home == s].sum(axis=-1) for s in range(number)], axis=-1) for v in each]
    return greedy(*sums)[..., home]


@register("split", "fastest")
def fastest(counts: Counts, one: Array, other: Array) -> NDArray[np.bool_]:
    """Each expert where it takes less time, whatever the others do."""
    return other < one


@register("split", "exact")
def exact(counts: Counts, one: Array, other: Array) -> NDArray[np.bool_]:
    """The split with the smallest larger sum: a dynamic programme over the Pareto front of the two loads.

    Each expert is added to either load; of loads that are no better in either, one is kept. Exact, and slow beside
    `greedy`: the front may grow with every expert.
    """
    moved = np.empty(counts.shape, dtype=bool)
    for place in np.ndindex(counts.shape[:-1]):
        moved[place] = _optimum(one[place], other[place])
    return moved


def _optimum(one: Array, other: Array) -> list[bool]:
    order = sorted(range(len(one)), key=lambda e: -max(one[e], other[e]))  # large ones first prune most
    bound = float("inf")
    greedy_bound = _list_schedule(one, other, order)
    front: list[tuple[float, float, int]] = [(0.0, 0.0, 0)]  # loads, and bit e: expert e is on the other
    for e in order:
        a, b = float(one[e]), float(other[e])
        longer = [(x + a, y, mask) for x, y, mask in front] + [(x, y + b, mask | 1 << e) for x, y, mask in front]
        longer.sort(key=lambda state: state[:2])
        front, best = [], bound
        for state in longer:
            if state[1] < best and max(state[0], state[1]) <= greedy_bound:
                best = state[1]
                front.append(state)
    mask = min(front, key=lambda state: max(state[0], state[1]))[2]
    return [bool(mask >> e & 1) for e in range(len(one))]


def _list_schedule(one: Array, other: Array, order: list[int]) -> float:
    """A bound from above: each expert, the largest first, where the load then is smaller."""
    x = y = 0.0
    for e in order:
        if x + one[e] <= y + other[e]:
            x += float(one[e])
        else:
            y += float(other[e])
    return max(x, y) * (1 + 1e-12)
