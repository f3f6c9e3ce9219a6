"""What the routed experts of a device cost by the tokens of each: run one by one, or grouped in one launch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from simulator.core import Activity, Plan, Quantity, Resource, closed_form, launched
from simulator.core.affine import Affine, affine, probes
from simulator.mapping.kernels.kernels import kernels
from simulator.mapping.lowering import fusion, kernel_activity, one_by_one
from simulator.mapping.target import Target
from simulator.workload import Model, expert_block

Counts: TypeAlias = NDArray[np.integer]
Array: TypeAlias = NDArray[np.float64]
Here: TypeAlias = NDArray[np.bool_] | bool
CHUNK = 65536  # experts at a time


class Costs(Protocol):
    """What the experts of a device cost on one engine; an expert without a token costs nothing."""

    @property
    def each(self) -> Array:
        """Seconds that one expert adds to those of others, by its tokens 0, 1, ...: what a split goes by."""

    def time(self, counts: Counts, here: Here = True) -> Array:
        """Seconds of all experts that are `here`, of counts (..., experts) and with the shape (...)."""

    def total(self, counts: Counts, here: Here = True) -> dict[Resource, float]:
        """Demand of all experts that are `here`, of all layers and steps together."""


def costs(target: Target, model: Model, most: int, ways: int, experts: int) -> Costs:
    """Costs of the `experts` of a device, each of at most `most` tokens and cut over `ways` devices."""
    if one_by_one(target.description):
        return table(target, model, most, ways)
    return Grouped(_plan(target, model, ways, probes(TYPICAL)), most, experts)


@dataclass(frozen=True, eq=False)
class Table:
    """Experts one by one: what one costs, by how many tokens chose it; arrays over 0, 1, ... tokens."""

    each: Array
    demand: Mapping[Resource, Array]

    def time(self, counts: Counts, here: Here = True) -> Array:
        seconds = [across(np.add, self.each.take(held(part, those))) for part, those in _sets(counts, here)]
        return np.concatenate(seconds).reshape(counts.shape[:-1])

    def total(self, counts: Counts, here: Here = True) -> dict[Resource, float]:
        often = np.zeros(len(self.each), dtype=np.int64)
        for part, those in _sets(counts, here):
            often += np.bincount(held(part, those).ravel(), minlength=len(often))  # no token costs nothing
        return {resource: float(often @ units) for resource, units in self.demand.items()}


def table(target: Target, model: Model, most: int, ways: int) -> Table:
    """Times of one expert over 1 to `most` tokens, cut over `ways` devices by tensor parallelism, in closed form.

    Its kernels run one after another, each as on any engine of this kind: `max(FLOPs / peak, bytes / bandwidth)`.
    """
    rows = np.arange(1, max(most, 2) + 1, dtype=np.float64)
    plan = _plan_at(target, model, ways, rows, 1.0)
    seconds = np.broadcast_to(closed_form(plan).time, rows.shape)
    demand = {r: _from_none(np.broadcast_to(units, rows.shape)) for r, units in plan.demand().items()}
    return Table(_from_none(seconds), demand)


TYPICAL = (256.0, 16.0)
"""Rows, and distinct experts that they belong to."""


@dataclass(frozen=True, eq=False)
class Grouped:
    """Experts as grouped products: one launch a matrix, the bytes of all of them read as one.

    Attributes:
        plan: affine in the rows, one a token and expert that it chose, and in the distinct experts.
        most: tokens that an expert may have.
        experts: of a device.
    """

    plan: Affine
    most: int
    experts: int

    @cached_property
    def each(self) -> Array:
        """Of one among all experts of the device, each of as many tokens: its share of the time but for the launch."""
        rows = np.arange(1, max(self.most, 2) + 1, dtype=np.float64)
        all_alike = np.stack([rows * self.experts, np.full(rows.shape, float(self.experts))], axis=-1)
        launch = sum(float(latency[0]) for _, latency in self.plan.coefficients.values())
        return _from_none((self.plan.time(all_alike) - launch) / self.experts)

    def time(self, counts: Counts, here: Here = True) -> Array:
        rows, experts = self._features(counts, here)
        most = int(rows.max(initial=0)) + 1
        if experts.size <= most * (counts.shape[-1] + 1):
            return self._seconds(rows, experts).reshape(counts.shape[:-1])
        key = experts * most + rows  # many are alike
        seconds = np.zeros(most * (counts.shape[-1] + 1))
        seconds[key] = 1.0
        alike = np.flatnonzero(seconds)
        seconds[alike] = self._seconds(alike % most, alike // most)
        of_sets: Array = seconds[key].reshape(counts.shape[:-1])
        return of_sets

    def _seconds(self, rows: Counts, experts: Counts) -> Array:
        seconds, busy = np.zeros(len(rows)), rows > 0
        if busy.any():
            seconds[busy] = self.plan.time(np.stack([rows[busy], experts[busy]], axis=-1).astype(np.float64))
        return seconds

    def total(self, counts: Counts, here: Here = True) -> dict[Resource, float]:
        x = np.stack(self._features(counts, here), axis=-1).astype(np.float64)
        return {r: float(np.sum(units)) for r, units in self.plan.demand(x[x[:, 0] > 0]).items()}

    @staticmethod
    def _features(counts: Counts, here: Here) -> tuple[Counts, Counts]:
        """Rows, and the distinct experts that they belong to, of each set."""
        rows, experts = [], []
        for part, those in _sets(counts, here):
            tokens = held(part, those)
            rows.append(across(np.add, tokens, np.int64))
            experts.append(np.count_nonzero(tokens, axis=-1))
        return np.concatenate(rows), np.concatenate(experts)


def stack_sum(high: Target, low: Target, made: Quantity) -> Activity:
    """The high engine adds up what the stacks of an engine in the memory have each made, `(stacks + 1) made` bytes.

    An expert there is cut over all stacks of a device, and each stack's results of all rows, `made` bytes, stay in it
    (arXiv 2409.01141, section V-A). Nothing to add where engines have memories of their own, or one stack.
    """
    if not sums_stacks(high, low):
        return Activity("sum over stacks")
    tier = low.tier
    size = (low.system.tiers[tier].stacks + 1) * made
    return launched(
        "sum over stacks", {high.system[tier]: size, high.system[f"{tier}->{high.name}"]: size}, high.latency
    )


def sums_stacks(high: Target, low: Target) -> bool:
    """Whether the stacks of an engine in the memory each make a part of its results, in the memory of another."""
    together = (high.device, high.memory) == (low.device, low.memory)
    return low.description.in_memory and low.system.tiers[low.tier].stacks > 1 and together


def _plan(target: Target, model: Model, ways: int, at: Array) -> Affine:
    return affine(_plan_at(target, model, ways, at[:, 0], at[:, 1]), at)


def _plan_at(target: Target, model: Model, ways: int, rows: Array, experts: Array | float) -> Plan:
    """The kernels of experts, one after another, as the engine fuses them."""
    plan = Plan("experts")
    for kernel in kernels(expert_block(model, rows, experts), fusion(target.description), ways):
        plan.add(kernel_activity(target, kernel))
    return plan


def _sets(counts: Counts, here: Here) -> list[tuple[Counts, Here]]:
    """Sets of experts, shape (sets, experts), and which are `here`: as many at a time as the L2 cache holds."""
    sets = counts.reshape(-1, counts.shape[-1])
    those = here if isinstance(here, bool) else np.broadcast_to(here, counts.shape).reshape(sets.shape)
    rows = max(CHUNK // sets.shape[1], 1)
    cuts = [slice(first, first + rows) for first in range(0, max(len(sets), 1), rows)]
    return [(sets[cut], those if isinstance(those, bool) else those[cut]) for cut in cuts]


def held(counts: Counts, here: Here) -> Counts:
    """The tokens of the experts that are `here`, and none for the others."""
    if isinstance(here, bool):
        return counts if here else np.zeros_like(counts)
    return counts * here


FEW = 16
"""Columns, up to which they are added up or compared one after another."""


def across(reduce: np.ufunc, values: NDArray[Any], dtype: type | None = None) -> NDArray[Any]:
    """`reduce` over the last axis, where that is short one column after another: numpy goes row by row there."""
    if not 0 < values.shape[-1] <= FEW:
        return np.asarray(reduce.reduce(values, axis=-1, dtype=dtype))
    total = np.array(values[..., 0], dtype=dtype)
    for column in range(1, values.shape[-1]):
        reduce(total, values[..., column], out=total)
    return total


def _from_none(values: Array) -> Array:
    return np.concatenate([[0.0], values])
