"""Which neurons DRAM holds, and what must be read: a trace run through the row buffer of each layer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import count, islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.core.row_policies import LeastRecent, Step, row_policy
from simulator.core.row_traffic import row_traffic
from simulator.core.rows import Ints, RowBuffer
from simulator.errors import ConfigError
from simulator.mapping.neurons.friends import friends
from simulator.mapping.neurons.friends import reads as friend_reads
from simulator.mapping.neurons.steps import token_steps
from simulator.workload.neurons.trace import NeuronTrace

Steps = Callable[[NeuronTrace, int], Iterator[Step]]

LAYERS = 64
"""The layers that are kept in memory, for cases that differ in how neurons are kept."""
KEPT = 512
"""The traffic of so many traces, or ways to keep one's neurons, is remembered."""


@dataclass(frozen=True)
class Keeping:
    """What DRAM keeps of the FFN.

    Attributes:
        policy: what leaves the buffer (`rows` of the registry).
        window: tokens that it holds, where the policy has a window.
        capacity: neurons of a layer that DRAM has room for, pinned ones and buffer together; None: all.
        pinned: neurons of a layer that never leave, the most active ones; they are no part of the buffer.
        together: `neuron`: a read brings rows of one neuron; `friends`: those of its most co-active one too.
        cached: neurons of a layer that the operating system's page cache holds behind the buffer; 0: it is off.
        gathered: the FFN runs over active neurons alone, wherever they lie; else over all rows of the buffer.
        profiled: first tokens, from which friends and the neurons to pin are taken; what is measured comes after them.
    """

    policy: str = "window"
    window: int = 0
    capacity: int | None = None
    pinned: int = 0
    together: str = "neuron"
    cached: int = 0
    gathered: bool = False
    profiled: int = 256

    @property
    def transient(self) -> bool:
        """Whether one buffer serves all layers: the policy keeps nothing from step to step."""
        return bool(getattr(row_policy(self.policy), "transient", False))


@dataclass(frozen=True, eq=False)
class NeuronTraffic:
    """What DRAM held and what came: counts of shape (layers, steps).

    Attributes:
        held: neurons in DRAM, pinned ones and all.
        computed: neurons that the FFN runs over: all that DRAM holds, and those that pass through the buffer; where
            they are gathered, those that are active.
        missed: that had to come, from flash or out of the page cache.
        reads: from flash, each of one neuron, or of two friends; none for what the page cache has.
        moved: rows copied within the buffer.
        pinned: neurons of a layer that are no part of the buffer, a number.
    """

    held: Ints
    computed: Ints
    missed: Ints
    reads: Ints
    moved: Ints
    pinned: int


@lru_cache(maxsize=KEPT)
def held(trace: NeuronTrace, keeping: Keeping, steps: Steps = token_steps) -> NeuronTraffic:
    """Run each layer of a trace through a buffer of its own.

    With friends, reads are as many as cover what is missing; a friend is kept only where it was missing itself (arXiv
    2312.11514, section 3.2: hot neurons are everybody's friends, and are in DRAM already).

    Raises:
        ConfigError: no such policy; more pinned neurons than there is room for; friends behind a page cache.
    """
    room = _room(trace, keeping)
    layers = [_layer(_drawn(trace, layer), layer, keeping, room, steps) for layer in range(trace.layers)]
    counts = {name: np.stack([each[name].astype(np.int32) for each in layers]) for name in layers[0]}
    return NeuronTraffic(**counts, pinned=keeping.pinned)


@lru_cache(maxsize=LAYERS)
def _drawn(trace: NeuronTrace, layer: int) -> NeuronTrace:
    """The trace with one layer in memory, as far as somebody has read it: drawn once for all who do."""
    drawn, dtype = trace.layer(layer), np.min_scalar_type(trace.neurons)
    kept: list[NDArray[Any]] = []

    def read(_: int) -> Iterator[NDArray[np.int64]]:
        for token in count():
            if token < len(kept):
                yield kept[token].astype(np.int64)
            elif (active := next(drawn, None)) is not None:
                kept.append(active.astype(dtype))
                yield active
            else:
                return

    return replace(trace, draw=read)


def _room(trace: NeuronTrace, keeping: Keeping) -> int:
    """Neurons of a layer that DRAM has room for."""
    room = trace.neurons if keeping.capacity is None else min(keeping.capacity, trace.neurons)
    if not 0 <= keeping.pinned <= room:
        raise ConfigError(path="pinned", found=keeping.pinned, expected=f"0 to {room} neurons, for which there is room")
    if keeping.together == "friends" and keeping.cached:
        raise ConfigError(path="together", found="friends", expected="'neuron', where the page cache is on")
    return room


def settled(traffic: NeuronTraffic, warm_up: int) -> NeuronTraffic:
    """Without the first steps, in which the buffer fills."""
    counts = {name: counted[:, warm_up:] for name, counted in vars(traffic).items() if name != "pinned"}
    return NeuronTraffic(**counts, pinned=traffic.pinned)


def _layer(trace: NeuronTrace, layer: int, keeping: Keeping, room: int, steps: Steps) -> dict[str, Ints]:
    pins = _most_active(trace, layer, keeping)
    pinned: list[int] = []  # active ones, step by step

    def run() -> Iterator[Step]:
        pinned.clear()
        for step in steps(trace, layer):
            kept = step if pins is None else _without(step, pins)
            pinned.append(len(step.active) - len(kept.active))
            yield kept

    policy = row_policy(keeping.policy)(trace.neurons, keeping.window, run)
    buffer = RowBuffer(trace.neurons, room - keeping.pinned)
    traffic = row_traffic(run(), buffer, policy, _reads(trace, layer, keeping))
    resident = traffic.held + traffic.passed + keeping.pinned
    computed = traffic.active + np.array(pinned) if keeping.gathered else resident
    counts = {"missed": traffic.missed, "reads": traffic.reads, "moved": traffic.moved}
    return {"held": traffic.held + keeping.pinned, "computed": computed, **counts}


def _reads(trace: NeuronTrace, layer: int, keeping: Keeping) -> Callable[[Ints], int]:
    """How many reads bring what is missing."""
    if keeping.together == "friends":
        friend = friends(_first(trace, layer, keeping.profiled), trace.neurons)
        return lambda missing: len(friend_reads(missing, friend))
    return _PageCache(trace.neurons, keeping.cached).reads if keeping.cached else len


def _most_active(trace: NeuronTrace, layer: int, keeping: Keeping) -> NDArray[np.bool_] | None:
    """Those to pin: active most often in the tokens that are profiled; of equals, the first."""
    if not keeping.pinned:
        return None
    often = np.zeros(trace.neurons, dtype=np.int64)
    for active in _first(trace, layer, keeping.profiled):
        often[active] += 1
    pins = np.zeros(trace.neurons, dtype=bool)
    pins[np.argsort(-often, kind="stable")[: keeping.pinned]] = True
    return pins


def _first(trace: NeuronTrace, layer: int, tokens: int) -> Iterator[Ints]:
    return islice(trace.layer(layer), tokens)


def _without(step: Step, pins: NDArray[np.bool_]) -> Step:
    used = tuple(rows.compress(~pins[rows]) for rows in step.used)
    alone = len(used) == 1 and step.used[0] is step.active
    return Step(used[0] if alone else step.active.compress(~pins[step.active]), used)


class _PageCache:
    """Neurons that were read not long ago, in the operating system's memory: the least recent leaves first."""

    def __init__(self, neurons: int, room: int) -> None:
        self._buffer = RowBuffer(neurons, min(room, neurons))
        self._policy = LeastRecent(neurons, 0, lambda: ())

    def reads(self, missing: Ints) -> int:
        """How many of them reach flash."""
        return int(row_traffic([Step(missing, (missing,))], self._buffer, self._policy).missed[0])
