"""Pipeline parallelism: the layers of a model divided over groups of devices, and microbatches that pass through them.

A stage sends what it made before it takes the next microbatch (as in Megatron-LM, arXiv 2104.04473, without interleaved
stages), so that its devices do one thing at a time and the closed form is exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

import numpy as np

from simulator.core import Activity, Plan, Quantity, Resource, closed_form
from simulator.errors import ConfigError
from simulator.hardware import System
from simulator.mapping.lowering import compiled, lowered
from simulator.mapping.parallel.parallelism import Parallelism, group, send
from simulator.mapping.runtime.host_time import NO_HOST, Host
from simulator.mapping.target import Target, program_key
from simulator.workload import Batch, Block, Model, OperatorGraph, decode, operator_graph
from simulator.workload.formats.dtypes import INDEX_BYTES


@dataclass(frozen=True, eq=False)
class Stage:
    """A group of devices with resources of its own; `repeats` says how often it runs each block of the model."""

    target: Target
    repeats: tuple[int, ...]

    def blocks(self, graph: OperatorGraph) -> list[Block]:
        """The blocks of a pass that it runs, each as often as it does."""
        pairs = zip(graph.blocks, self.repeats, strict=True)
        return [replace(block, repeat=repeat) for block, repeat in pairs if repeat]


@dataclass(frozen=True, eq=False)
class Replica:
    """One replica of a model: its stages, of the devices of `whole`. All replicas are alike and work on their own.

    `host` drives each stage by itself; a batch is divided into at most `most` microbatches, None: as many as stages.
    """

    whole: Target
    parallel: Parallelism
    stages: tuple[Stage, ...]
    host: Host = NO_HOST
    most: int | None = None

    def microbatches(self, batch: int) -> int:
        """How many microbatches a batch of one replica is divided into: the most that are equal, up to its stages."""
        most = min(len(self.stages), self.most or len(self.stages))
        return max(m for m in range(1, most + 1) if batch % m == 0)

    def compiled(self, model: Model, batch: Batch) -> Replica:
        """The replica with programs on its stages, which are alike, for all sizes of a microbatch."""
        graph = operator_graph(model, self.whole.share(batch))
        blocks = {program_key(block): block for stage in self.stages for block in stage.blocks(graph)}
        programs = compiled(self.stages[0].target, blocks.values).programs
        stages = (replace(stage, target=replace(stage.target, programs=programs)) for stage in self.stages)
        return replace(self, stages=tuple(stages))


def replica(target: Target, parallel: Parallelism, model: Model, batch: Batch) -> Replica:
    """Divide the layers over the stages so that the slowest takes the least time on `batch` (sends not counted).

    Raises:
        ConfigError: more stages than layers, or groups that do not fit the nodes.
    """
    blocks = operator_graph(model, target.share(batch)).blocks
    most = sum(block.repeat for block in blocks[1:-1])
    if parallel.pipeline > most:
        expected = f"at most {most}, as many as {model.name} has layers (or groups of layers that alternate)"
        raise ConfigError(path="pipeline", found=parallel.pipeline, expected=expected)
    groups = [replace(target, system=group(target.system, target.device, parallel)) for _ in range(parallel.pipeline)]
    times = [float(np.mean(closed_form(lowered(groups[0], replace(block, repeat=1))).time)) for block in blocks]
    homes = [index for index, block in enumerate(blocks) for _ in range(block.repeat)]
    ends = split([times[home] for home in homes], parallel.pipeline)
    parts = [homes[start:end] for start, end in zip([0, *ends], ends, strict=False)]
    stages = [
        Stage(own, tuple(part.count(index) for index in range(len(blocks))))
        for own, part in zip(groups, parts, strict=True)
    ]
    return Replica(target, parallel, tuple(stages))


def split(times: Sequence[float], parts: int) -> list[int]:
    """Where each of `parts` runs of consecutive layers ends, so that the largest sum is as small as it can be.

    Dynamic programming: `best(p, n) = min_k max(best(p - 1, k), sum(times[k:n]))`; each part has one layer at least.
    """
    sums = np.array([0.0, *accumulate(times)])
    best = sums
    cuts = []
    for part in range(2, parts + 1):
        least, cut = np.full(len(sums), np.inf), np.zeros(len(sums), dtype=int)
        for n in range(part, len(sums)):
            largest = np.maximum(best[part - 1 : n], sums[n] - sums[part - 1 : n])
            cut[n] = part - 1 + int(np.argmin(largest))
            least[n] = largest.min()
        best = least
        cuts.append(cut)
    ends = [len(times)]
    for cut in reversed(cuts):
        ends.append(int(cut[ends[-1]]))
    return ends[::-1]


def forward_plan(replica: Replica, model: Model, batch: Batch, microbatches: int) -> Plan:
    """One pass of so many microbatches, each as `batch`: stage i has microbatch j once stage i - 1 and it are done.

    Of p stages that take the same time t, with the send in it, `(microbatches + p - 1) t` (GPipe, arXiv 1811.06965).
    """
    return _staggered(model.name, _works(replica, model, batch, answers=False), microbatches)


def decode_plan(replica: Replica, model: Model, batch: Batch, microbatches: int) -> Plan:
    """One decode step of so many microbatches, each as `batch`, in the steady state: what passes between two tokens.

    Every stage serves each microbatch once, side by side with the other stages; and no microbatch begins its next token
    before the last one is back at the first stage. So `max(m x slowest stage, sum of all stages and sends)`.
    """
    works = _works(replica, model, batch, answers=True)
    if microbatches == 1:
        return _staggered(model.name, works, 1)
    plan = Plan(model.name)
    for work in works:
        plan.add(work, after=(), repeat=microbatches)
    around: Quantity = sum((closed_form(work).time for work in works), start=0.0)
    way = Resource("way of a token", 1.0, "s", energy=0.0)
    plan.add(Activity(way.name, {way: around}), after=())
    return plan


def _staggered(name: str, works: Sequence[Plan], microbatches: int) -> Plan:
    plan = Plan(name)
    done: list[int | None] = [None] * len(works)  # the step of each stage that was added last
    for _ in range(microbatches):
        before: int | None = None
        for stage, work in enumerate(works):
            before = plan.add(work, after=[step for step in (before, done[stage]) if step is not None])
            done[stage] = before
    return plan


def _works(replica: Replica, model: Model, batch: Batch, answers: bool) -> list[Plan]:
    """What each stage does with one microbatch: its layers, and the send; `answers`: the last one sends token ids."""
    graph = operator_graph(model, replica.whole.share(batch))
    whole, works = replica.whole, list[Plan]()
    for index, stage in enumerate(replica.stages):
        work = Plan(f"stage {index}")
        mine = stage.blocks(graph)
        for block in mine:
            work.add(lowered(stage.target, block))
        sent = handed_on(whole.system, replica.parallel, index, stage.target, mine[-1], batch, answers)
        if sent is not None:
            work.add(sent)
        works.append(replica.host.of_stage(index).driving(work, layers_of(model, stage.repeats), batch))
    return works


def handed_on(
    system: System, parallel: Parallelism, index: int, target: Target, block: Block, batch: Batch, answers: bool
) -> Activity | None:
    """What a stage, whose last block is given, sends to the next one: what that has made of a microbatch.

    The last stage sends token ids to the first, where a pass `answers`; else nothing, as a lone stage does.
    """
    last = index == parallel.pipeline - 1
    if parallel.pipeline == 1 or (last and not answers):
        return None
    return send(system, target.device, parallel, index, target, _answer(batch) if last else _made(block))


def layers_of(model: Model, repeats: Sequence[int]) -> float:
    """Layers of a model in a stage that runs its blocks so often each; the first block and the last are none."""
    blocks = operator_graph(model, decode(1, 1)).blocks
    return model.layers * sum(repeats[1:-1]) / sum(block.repeat for block in blocks[1:-1])


def _made(block: Block) -> Quantity:
    """Bytes that a block hands to the next."""
    made: Quantity = block.graph.nodes[block.exit]["operator"].bytes["output"]
    return made


def _answer(batch: Batch) -> Quantity:
    """Bytes of the tokens that a pass gives, one a sequence."""
    return sum((group.count for group in batch), start=0.0) * INDEX_BYTES
