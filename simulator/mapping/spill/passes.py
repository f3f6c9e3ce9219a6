"""Models larger than main memory: what the memory plan puts into the next tier, and passes that read it there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from simulator.config.choose import check_name
from simulator.core import Plan
from simulator.errors import CapacityError, ConfigError
from simulator.mapping.dataflow.partition import partition
from simulator.mapping.dataflow.programs import Program
from simulator.mapping.kernels.kernels import kernels_of
from simulator.mapping.lowering import lowered
from simulator.mapping.spill.memory_plan import MemoryPlan, memory_plan, space
from simulator.mapping.spill.symbols import Pass, Uses, distinct, spilled_groups, symbols
from simulator.mapping.target import Target, program_key
from simulator.workload import OperatorGraph


@dataclass(frozen=True, eq=False)
class Spill:
    """Where the symbols of a program lie.

    Attributes:
        order: the order in which they spill (`memory_plan.py`).
        target: with the tier that takes what main memory cannot hold.
        plan: the tier and the address of each symbol, of one device.
        uses: the symbol behind each operand, by pass, block and layer.
        programs: of each block, by pass.
    """

    order: str
    target: Target
    plan: MemoryPlan
    uses: list[list[list[Uses]]]
    programs: list[list[Program]]

    def stored(self, tier: str, kind: Literal["weight", "kv", "activation"]) -> float:
        """Bytes of a kind of symbol in a tier, on all devices together; of activations, what lies beside the others."""
        if tier not in (self.target.memory, self.target.spill):
            return 0.0
        region = self.plan.slow if tier == self.target.spill else self.plan.fast
        kept = {k: sum(s.bytes for s in region.addresses if s.kind == k) for k in ("weight", "kv")}
        each = region.peak - sum(kept.values()) if kind == "activation" else kept[kind]
        return each * self.target.ways

    def lowered(self, index: int, graph: OperatorGraph, name: str) -> Plan:
        """A pass of the program, over any context: layers that have the same operands in the other tier together."""
        plan = Plan(name)
        for block, layers, program in zip(graph.blocks, self.uses[index], self.programs[index], strict=True):
            for _, repeat, spilled in spilled_groups(block, layers, self.plan):
                run = replace(block, repeat=repeat)
                own = replace(self.target, spilled=spilled, programs={program_key(run): (program,)})
                plan.add(lowered(own, run))
        return plan


def check_spill(target: Target, tier: str) -> None:
    """Nothing, where what main memory cannot hold may lie in a tier: another that is read off the chip.

    Raises:
        ConfigError: an engine that is no dataflow engine, or no such tier.
    """
    others = tiers_behind(target)
    if not others:
        found = (
            f"'{target.engine}', a {target.description.kind} engine that reads {', '.join(target.description.reads)}"
        )
        expected = "a dataflow engine that reads two tiers off the chip"
        raise ConfigError("to spill", path="spill", found=found, expected=expected)
    check_name(tier, others, "spill")


def tiers_behind(target: Target) -> list[str]:
    """The tiers that may take what main memory cannot hold."""
    tiers = target.system.machine.devices[target.device].tiers
    others = [t for t in target.description.reads if t != target.memory and not tiers[t].on_chip]
    return others if target.description.kind == "dataflow" else []


def spills(
    target: Target, behind: str, program: Sequence[tuple[OperatorGraph, float, float]], orders: Sequence[str]
) -> Iterator[Spill]:
    """Plan the memory of a program by each of these orders that fits.

    A program is its passes, each with how often it is made and which part of its activations is kept at once. `behind`
    is the tier that takes what main memory cannot hold.

    One plan is all where nothing spills. Kernels are those of the machine with all symbols in main memory: one program
    a block, whatever its size, as symbols are what these kernels hand to one another.

    Raises:
        CapacityError: both tiers together are too small, in any of these orders.
    """
    programs = [[Program(1, partition(target, block)) for block in graph.blocks] for graph, _, _ in program]
    passes = [
        Pass(
            graph,
            [kernels_of(block, each.groups, target.ways) for block, each in zip(graph.blocks, of_pass, strict=True)],
            times,
            live,
        )
        for (graph, times, live), of_pass in zip(program, programs, strict=True)
    ]
    uses = symbols(passes)
    both = space(target, target.memory), space(target, behind)
    full: list[CapacityError] = []
    for order in orders:
        try:
            plan = memory_plan(distinct(uses), *both, order)
        except CapacityError as error:
            full.append(error)
            continue
        yield Spill(order, replace(target, spill=behind), plan, uses, programs)
        if not plan.slow.addresses:
            break
    if len(full) == len(orders):
        raise full[0]
