"""How a static batch lies in memory, in one tier or in two, and how it runs there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Literal, NamedTuple

import numpy as np

from simulator.errors import CapacityError, ConfigError
from simulator.mapping.memory_plan import ORDERS, space
from simulator.mapping.parallelism import Parallelism
from simulator.mapping.pipeline_parallel import Replica, replica
from simulator.mapping.placement import Placement, largest, max_batch, max_context, place
from simulator.mapping.spill import Spill, check_spill, spills
from simulator.mapping.target import Target
from simulator.serving.generation import (
    Generation,
    Passes,
    generated,
    mean_context,
    pipelined,
    spilling,
    step_contexts,
    tensor_parallel,
)
from simulator.serving.speculative import Speculation, speculative
from simulator.workload import Model, decode, operator_graph, prefill


class Arrangement(NamedTuple):
    """A static batch as it lies in memory, and its passes.

    Attributes:
        placement: bytes in main memory, and in the tier that it spills to.
        passes, run: what serves it, and in which times.
        most: finds the largest batch of prompts and answers of these lengths, and the longest context of this batch
            with answers of this length, that fit where this one lies; 0 where there is none.
        spill: what lies in which tier, where there are two.
    """

    placement: Placement
    passes: Passes
    run: Generation
    most: tuple[Callable[[], int], Callable[[], int]]
    spill: Spill | None = None


def resident(
    runner: Target,
    parallel: Parallelism,
    model: Model,
    batch: int,
    input: int,
    output: int,
    speculation: Speculation | None,
) -> Arrangement:
    """A batch in main memory alone.

    Raises:
        ConfigError: a batch that replicas do not share evenly, or with a draft; stages that there cannot be.
        CapacityError: it does not fit.
    """
    share = None if parallel.is_tensor else _replica(runner, parallel, model, batch, input, output, speculation)
    draft = speculation.draft if speculation else None
    room: dict[str, Any] = {"output": output, "replica": share, "draft": draft}
    placement = place(runner, model, batch, input + output, **room)
    if share:
        passes = pipelined(share, model, batch // parallel.data, input, output)
    elif speculation:
        passes = speculative(runner, model, speculation, batch, input, output)
    else:
        passes = tensor_parallel(runner, model, batch, input, output)
    most = partial(max_batch, runner, model, input + output, **room), partial(max_context, runner, model, batch, **room)
    return Arrangement(placement, passes, generated(passes, input, output), most)


def spilled(
    runner: Target, parallel: Parallelism, model: Model, batch: int, input: int, output: int, order: str | None
) -> Arrangement:
    """A batch of which the next tier takes what main memory cannot hold; nothing where that holds all.

    Symbols go there in the order that takes the least time, unless one is given.

    Raises:
        ConfigError: an engine that cannot spill; no such order.
        CapacityError: both tiers together are too small.
    """
    orders = [order] if order else list(ORDERS)
    check_spill(runner, orders)
    try:
        alone = resident(runner, parallel, model, batch, input, output, None)
    except CapacityError:
        plan, run = _fastest(_plans(runner, model, batch, input, output, orders), model, batch, input, output)
        passes, placement = spilling(plan, model, batch, input), _in_both(plan)
        most = _most_spilled(runner, model, batch, input, output, orders, placement)
        return Arrangement(placement, passes, run, most, plan)
    return alone._replace(most=_most_spilled(runner, model, batch, input, output, orders, alone.placement))


def _plans(runner: Target, model: Model, batch: int, input: int, output: int, orders: Sequence[str]) -> Iterator[Spill]:
    """The memory plans, by order, of the prefill and of the decode steps, with room for one token more than these."""
    contexts = np.append(step_contexts(input, output), input + output)
    first, later = (operator_graph(model, each) for each in (prefill(batch, input), decode(batch, contexts)))
    return spills(runner, [(first, 1.0), (later, output - 1.0)], orders)


def _fastest(plans: Iterator[Spill], model: Model, batch: int, input: int, output: int) -> tuple[Spill, Generation]:
    """The memory plan that takes the least time, and its run."""
    runs = [(each, generated(spilling(each, model, batch, input), input, output)) for each in plans]
    return min(runs, key=lambda run: run[1].seconds)


def _most_spilled(
    runner: Target, model: Model, batch: int, input: int, output: int, orders: Sequence[str], placed: Placement
) -> tuple[Callable[[], int], Callable[[], int]]:
    """What finds the largest batch and the longest context that main memory, or a plan over both tiers, holds."""
    more = (placed.capacity - placed.weights) / (placed.used - placed.weights)  # as many times the batch, or nearly

    def fits(batch: int, input: int) -> bool:
        try:
            place(runner, model, batch, input + output, output=output)
            return True
        except CapacityError:
            pass
        try:
            return next(_plans(runner, model, batch, input, output, orders)) is not None
        except CapacityError:
            return False

    return (
        lambda: largest(lambda each: fits(each, input), near=max(int(more * batch), 1)),
        lambda: output + largest(lambda each: fits(batch, each), model.max_context - output, max(int(more * input), 1)),
    )


def _in_both(plan: Spill) -> Placement:
    """What main memory and the tier that it spills to hold together."""
    target = plan.target
    tiers = [target.memory, target.spill or target.memory]
    kinds: tuple[Literal["weight", "kv", "activation"], ...] = ("weight", "kv", "activation")
    weights, kv, activations = (sum(plan.stored(tier, kind) for tier in tiers) for kind in kinds)
    capacity = sum(space(target, tier).capacity for tier in tiers) * target.ways
    return Placement(f"{target.device}.{target.memory}", capacity, weights, kv, activations)


def _replica(
    runner: Target,
    parallel: Parallelism,
    model: Model,
    batch: int,
    input: int,
    output: int,
    speculation: Speculation | None,
) -> Replica:
    """A replica whose layers are divided by the times of a decode step, or of the prefill where that is all."""
    if speculation:
        expected = "no draft: speculation is modelled with all devices tensor parallel"
        raise ConfigError("pipeline x data", found=f"{parallel.pipeline} x {parallel.data}", expected=expected)
    if batch % parallel.data:
        raise ConfigError(path="batch", found=batch, expected=f"a multiple of the {parallel.data} replicas")
    each = batch // parallel.data
    alike = decode(each, mean_context(input, output)) if output > 1 else prefill(each, input)
    return replica(runner, parallel, model, alike)
