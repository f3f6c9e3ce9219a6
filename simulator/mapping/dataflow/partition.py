"""Streaming fusion: which operators run as one kernel on a dataflow engine, so that the block takes the least time.

The choice minimises the sum of the kernels' times over all chains of convex cuts (`cuts.py`), each kernel laid
on the grid's PCUs and PMUs as it lies best (`layout.py`): a shortest path over the down-sets of the block's
graph, since a kernel's time depends on its own operators alone. It is exact but where operators are taken together (in
training, and in very wide graphs: `cuts.py`); there the other modes are tried too.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from simulator.errors import ConfigError
from simulator.mapping.dataflow.allocate import Numbers
from simulator.mapping.dataflow.call import fabric
from simulator.mapping.dataflow.cuts import Cuts, cuts
from simulator.mapping.dataflow.demands import SizedDemands, all_sized_demands, sized_demands
from simulator.mapping.dataflow.pipeline import Fitted, Pipeline, fit, least_seconds
from simulator.mapping.dataflow.sizes import Sizes, sizes
from simulator.mapping.kernels.fusion import FUSIONS, Kernels
from simulator.mapping.target import Target
from simulator.workload import Block

RESERVES = (0.0, 0.125, 0.25, 0.5)
"""Shares of the PMUs that may be kept for the weights of the next kernel, where these are prefetched."""


@dataclass(frozen=True, eq=False)
class Partition:
    """The kernels of a block, in the order in which they run, and the seconds of one repeat, summed over its sizes."""

    pipelines: tuple[Pipeline, ...]
    seconds: float


def partition(target: Target, block: Block | Sizes) -> Partition:
    """The kernels of a block under the fusion of the engine's fabric: the fastest of all partitions if `streaming`.

    One program serves all sizes: the one that takes the least time summed over them, with room for the largest.

    Raises:
        ConfigError: the machine's figures are arrays of design points: which partition is best differs between them.
    """
    if target.system.points:
        several, expected = f"{target.system.points} design points at once", "one at a time: each has its own kernels"
        raise ConfigError(f"{target.system.name}: the fusion of a dataflow engine", found=several, expected=expected)
    spread, mode = block if isinstance(block, Sizes) else sizes(block), fabric(target).fusion
    graph = spread.block.graph
    if mode != "streaming":
        return _fixed(target, spread, FUSIONS[mode](graph))
    reserves = RESERVES if fabric(target).prefetch else (0.0,)
    every = all_sized_demands(spread, target.ways)
    partitions = [_fastest(target, spread, every, share) for share in reserves]
    if cuts(spread.block).coarse:
        partitions += [_fixed(target, spread, FUSIONS[other](graph)) for other in ("conventional", "unfused")]
    best = min(partitions, key=lambda each: each.seconds)
    if not np.isfinite(best.seconds):
        expected = "a fabric that has a PCU and a few PMUs that can be used"
        raise ConfigError(f"{target.system.name}: not one operator of {spread.block.name} fits", expected=expected)
    return best


def spanning(target: Target, block: Block | Sizes) -> tuple[int, Partition]:
    """The partition of a block; where kernels may hold several layers, of as many of its repeats as go best in one.

    Across layers only whole ones are joined: with `max_span: none`, 2, 3, ... repeats that divide evenly are tried as
    one kernel, until they do not fit. Gives how many are joined, and the partition of so many.
    """
    spread = block if isinstance(block, Sizes) else sizes(block)
    best, repeat = (1, partition(target, spread)), spread.block.repeat
    if fabric(target).max_span == "none" and fabric(target).fusion == "streaming":
        for times in (n for n in range(2, repeat + 1) if repeat % n == 0):
            larger = spread.unrolled(times)
            one_kernel = sized_demands(larger, [list(larger.block.graph)], target.ways)
            fitted = fit(target, one_kernel)
            if not np.isfinite(fitted.seconds[0]):
                break
            if fitted.seconds[0] / times < best[1].seconds / best[0]:
                best = times, _partition(one_kernel, fitted, [0], 0.0)
    return best


def bound(target: Target, spread: Sizes) -> float:
    """Seconds that no partition of a block at these sizes beats; 0 where they are not bounded so simply."""
    f = fabric(target)
    if f.fusion != "streaming" or f.looping or f.prefetch or f.max_span == "none" or cuts(spread.block).coarse:
        return 0.0
    seconds = least_seconds(target, all_sized_demands(spread, target.ways))
    return float(seconds[_shortest(cuts(spread.block), seconds)].sum())


def _fastest(target: Target, spread: Sizes, every: SizedDemands, reserved: float) -> Partition:
    """The fastest partition with a share of the PMUs reserved, into some of `every` kernel.

    Kernels are laid on the grid where they may be part of it: those of the chain that would be fastest if none took
    longer than its bound, and then all through which some chain may be as fast as that one is.
    """
    possible, bounds = cuts(spread.block), least_seconds(target, every, reserved)
    near = np.unique(_shortest(possible, bounds))
    fitted = fit(target, every.of(near), reserved)
    through = np.flatnonzero(_through(possible, bounds) <= fitted.seconds.sum())
    if np.setdiff1d(through, near).size:
        near, fitted = through, fit(target, every.of(through), reserved)
    seconds = np.full(len(bounds), np.inf)
    seconds[near] = fitted.seconds
    chain = _shortest(possible, seconds)
    if not chain:  # what rides with another does not fit beside it
        return Partition((), np.inf)
    best, block = _partition(every.of(near), fitted, np.searchsorted(near, chain).tolist(), reserved), spread.block
    if fabric(target).looping and block.repeat > 1:
        one_kernel = sized_demands(spread, [list(block.graph)], target.ways)
        looped = _partition(one_kernel, fit(target, one_kernel, reserved, 1 / block.repeat), [0], reserved)
        if looped.seconds < best.seconds:
            pipelines = tuple(replace(p, launches=1 / block.repeat) for p in looped.pipelines)
            return Partition(pipelines, looped.seconds)
    return best


def _through(possible: Cuts, seconds: Numbers) -> Numbers:
    """(kernels) seconds of the fastest chain through each."""
    steps = list(zip(*(column.tolist() for column in possible.chains), strict=True))
    each, through = seconds.tolist(), [np.inf] * len(seconds)
    before, after = [0.0, *[np.inf] * (possible.down_sets - 1)], [*[np.inf] * (possible.down_sets - 1), 0.0]
    for start, end, kernel in steps:
        before[end] = min(before[end], before[start] + each[kernel])
    for start, end, kernel in reversed(steps):
        after[start] = min(after[start], each[kernel] + after[end])
    for start, end, kernel in steps:
        through[kernel] = min(through[kernel], before[start] + each[kernel] + after[end])
    return np.array(through)


def _shortest(possible: Cuts, times: Numbers) -> list[int]:
    """The kernels of the fastest chain; of those as fast, one of fewest kernels; none where no chain fits."""
    best = [(0.0, 0)] + [(np.inf, 0)] * (possible.down_sets - 1)
    last = [(0, 0)] * possible.down_sets
    seconds = times.tolist()
    for start, end, kernel in zip(*(column.tolist() for column in possible.chains), strict=True):
        time, number = best[start]
        reached = (time + seconds[kernel], number + 1)
        if reached < best[end]:
            best[end], last[end] = reached, (start, kernel)
    chain, at = [], possible.down_sets - 1
    while at and np.isfinite(best[-1][0]):
        at, kernel = last[at]
        chain.append(kernel)
    return chain[::-1]


def _fixed(target: Target, spread: Sizes, groups: Kernels) -> Partition:
    """Given kernels; one that does not fit runs operator by operator."""
    demand = sized_demands(spread, groups, target.ways)
    fits = np.isfinite(fit(target, demand).seconds)
    if not fits.all():
        order = list(spread.block.graph)
        groups = [
            part
            for group, ok in zip(groups, fits, strict=True)
            for part in ([group] if ok else [[n] for n in sorted(group, key=order.index)])
        ]
        demand = sized_demands(spread, groups, target.ways)
    return _partition(demand, fit(target, demand), list(range(len(groups))), 0.0)


def _partition(demand: SizedDemands, fitted: Fitted, chain: list[int], reserved: float) -> Partition:
    kernels = demand.largest
    names = list(kernels.block.graph)
    pipelines = tuple(
        Pipeline(
            tuple(name for name, inside in zip(names, kernels.members[kernel], strict=True) if inside),
            fitted.layouts[fitted.chosen[kernel]].row(kernel),
            reserved,
        )
        for kernel in chain
    )
    return Partition(pipelines, float(fitted.seconds[chain].sum()))
