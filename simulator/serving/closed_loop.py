"""A closed loop: so many requests in flight, and whenever one ends, the next one joins at the stage that follows.

Which stage a request joins and leaves at follows from the lengths alone, not from what stages take. So the whole run is
laid out first, and its stages are then timed all at once, by the same draws on every machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from simulator.errors import ConfigError
from simulator.mapping.stage import FEATURES
from simulator.serving.routed import Array, Routed
from simulator.serving.served import Served
from simulator.serving.stages import Stages
from simulator.workload.requests.lengths import Ints, Lengths
from simulator.workload.routing.draws import counts, pooled
from simulator.workload.routing.routers import Router


@dataclass(frozen=True, eq=False)
class Layout:
    """Which stages each request of a closed loop takes part in.

    Attributes:
        slots: requests in flight.
        stages: how many stages are looked at, 0, 1, ...
        slot: of each request, the place that it takes; the next request in it joins when it has left.
        join: the stage that computes its prompt and gives its first token; below 0 where it is under way at the start.
        input, output: its lengths; it leaves after `output` stages.
    """

    slots: int
    stages: int
    slot: Ints
    join: Ints
    input: Ints
    output: Ints

    @cached_property
    def prompts(self) -> Ints:
        """Prompts computed in each stage."""
        joined = self.join[self.join >= 0]
        return np.bincount(joined, minlength=self.stages)

    @property
    def mixed(self) -> NDArray[np.bool_]:
        """Which stages compute a prompt."""
        return self.prompts > 0

    def features(self, nodes: int) -> Array:
        """What each node has in each stage (`mapping/stage.py`): shape (stages, nodes, features).

        Slot i is on node i mod nodes. A request that joined at stage j has `input + s - j - 1` tokens cached before
        stage s > j.
        """
        shape = (self.stages + 1, nodes)
        node = self.slot % nodes
        joins = self.join >= 0
        at = self.join[joins], node[joins]
        tokens = self.input[joins].astype(np.float64)
        found = np.zeros((*shape, len(FEATURES)))
        for feature, amount in enumerate((np.ones(len(tokens)), tokens, tokens * (tokens + 1) / 2)):
            np.add.at(found[..., feature], at, amount)
        first = np.clip(self.join + 1, 0, self.stages)
        last = np.clip(self.join + self.output, 0, self.stages)  # the stage after its last
        running, offset = np.zeros(shape), np.zeros(shape)
        for at_stage, sign in ((first, 1.0), (last, -1.0)):
            np.add.at(running, (at_stage, node), sign)
            np.add.at(offset, (at_stage, node), sign * (self.input - self.join - 1))
        running, offset = np.cumsum(running, axis=0), np.cumsum(offset, axis=0)
        found[..., 3] = running
        found[..., 4] = offset + running * np.arange(self.stages + 1)[:, np.newaxis]
        return found[:-1]


def layout(lengths: Lengths, slots: int, rounds: float, seed: int = 0) -> Layout:
    """A closed loop of `slots` requests in flight over as many stages as `rounds` answers of mean length take.

    Each slot starts somewhere in its first request, every place equally likely: the steady state, without a warm-up.
    """
    random = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, lengths.input, lengths.output, slots])))
    stages = int(np.ceil(rounds * lengths.output))
    shortest = max(lengths.output - min(lengths.scale, lengths.input, lengths.output) * bool(lengths.spread), 1)
    each = int(np.ceil(stages / shortest)) + 2
    input, output = (part.reshape(slots, each) for part in lengths.draw(slots * each, random))
    begun = (random.random(slots) * output[:, 0]).astype(np.int64)
    join = np.cumsum(output, axis=1) - output - begun[:, np.newaxis]
    slot = np.broadcast_to(np.arange(slots)[:, np.newaxis], join.shape)
    inside = join < stages
    return Layout(slots, stages, slot[inside], join[inside], input[inside], output[inside])


@dataclass(frozen=True, eq=False)
class Load:
    """A layout and what its routers chose: the same for every machine that serves it.

    `decoding`: tokens of each expert in the decoding-only stages of a pool, used in turn; `mixed`: in each mixed stage,
    drawn afresh. None without experts.
    """

    layout: Layout
    decoding: NDArray[np.int32] | None
    mixed: NDArray[np.int32] | None


def load(found: Layout, router: Router | None, layers: int, seed: int = 0) -> Load:
    """Draw the experts of a layout's stages, `layers` MoE layers each."""
    if router is None or not layers:
        return Load(found, None, None)
    whole = found.features(1)[found.mixed, 0]
    tokens = (whole[:, 1] + whole[:, 3]).astype(np.int64)
    return Load(found, pooled(router, found.slots, layers, seed), counts(router, tokens, layers, seed))


@lru_cache(maxsize=64)
def drawn(lengths: Lengths, slots: int, rounds: float, router: Router | None, layers: int, seed: int = 0) -> Load:
    """The load of a closed loop of `rounds`; whoever serves the same shares it."""
    return load(layout(lengths, slots, rounds, seed), router, layers, seed)


@dataclass(frozen=True, eq=False)
class Timed:
    """A load as one machine serves it: seconds of each stage, and what it spends (`experts`: of the routed ones).

    `features`: of the nodes of each stage. `routed`: the routed experts of the decoding-only stages of the pool, and of
    the mixed stages, by whether they are mixed.
    """

    stages: Stages
    layout: Layout
    features: Array
    seconds: Array
    experts: Array
    routed: dict[bool, Routed]

    @cached_property
    def served(self) -> Served:
        """What the requests saw that joined at a stage of the run and ended before it was over.

        A request arrives when its stage begins. All slots give a token in each stage; a request that joins has no gap
        before it.

        Raises:
            ConfigError: there is no such request.
        """
        found = self.layout
        ends = np.cumsum(self.seconds)
        last = found.join + found.output - 1
        whole = (found.join >= 0) & (last < found.stages)
        if not whole.any():
            expected = "so many that a request joins and has all its tokens: 2 are enough where all are of one length"
            raise ConfigError(path="rounds", found=f"{found.stages} stages", expected=expected)
        join, last = found.join[whole], last[whole]
        start = ends[join] - self.seconds[join]
        return Served(
            done=ends[last],
            queued=np.zeros(len(join)),
            ttft=self.seconds[join],
            e2e=ends[last] - start,
            gaps=self.seconds,
            often=(found.slots - found.prompts).astype(np.float64),
            tokens=float(found.slots * found.stages),
            seconds=float(ends[-1]),
        )


def timed(stages: Stages, load: Load) -> Timed:
    """Time all stages of a load on a machine, in closed form."""
    found = load.layout
    x = found.features(stages.deployment.nodes)
    seconds, experts = np.empty(found.stages), np.zeros(found.stages)
    routed: dict[bool, Routed] = {}
    for mixed in (False, True):
        at = found.mixed == mixed
        seconds[at] = stages.shared(x[at], mixed)
        chosen = load.mixed if mixed else load.decoding
        if chosen is not None and at.any():
            routed[mixed] = stages.routed(chosen, mixed)
            each = routed[mixed].seconds
            experts[at] = each if mixed else each[np.arange(at.sum()) % len(each)]
    seconds += experts
    for mixed in (False, True):
        at = found.mixed == mixed
        seconds[at] = stages.driven(seconds[at], x[at], mixed)
    return Timed(stages, found, x, seconds, experts, routed)
