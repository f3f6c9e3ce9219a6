"""The ways through a block when several engines may run it, and the plan of the one that is chosen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from simulator.core import Activity, Plan, Quantity, closed_form
from simulator.errors import ConfigError
from simulator.mapping.dispatch.units import Step, Unit, steps
from simulator.mapping.kernels.kernels import Kernel, arriving, kernels_of
from simulator.mapping.lowering import fusion, kernel_activity
from simulator.mapping.lowerings.kernel_by_kernel import by_kernels
from simulator.mapping.parallel.collective import all_reduce
from simulator.mapping.parallel.tensor import shard
from simulator.mapping.target import Target
from simulator.mapping.transfer import transfer
from simulator.mapping.two_engines.expert_costs import stack_sum
from simulator.workload import Block

Option: TypeAlias = tuple[int, ...]
"""The engine of each unit of a step, by its place in `Route.engines`."""
Choice: TypeAlias = int | NDArray[np.int64]
"""The option taken, by its place in `Route.options`: one, or one for each point of the arrays of the block."""


@dataclass(frozen=True, eq=False)
class Route:
    """A block and the engines that may run its steps.

    Attributes:
        engines: of one device, over the same memory or not, or of several devices of a machine.
        block: what to run.
        together: whether the units of a step run at once where they are on different engines; else one by one.
        own_experts: whether routed experts are timed elsewhere (`two_engines/experts.py`): here they take no time.
        beside_prompts: whether other nodes compute prompts in the same iteration.
    """

    engines: tuple[Target, ...]
    block: Block
    together: bool = False
    own_experts: bool = False
    beside_prompts: bool = False

    def __post_init__(self) -> None:
        """Refuse engines that run blocks as a whole: what is registered for their kind lowers no part of one.

        Raises:
            ConfigError: there is such an engine.
        """
        for target in self.engines:
            if not by_kernels(target):
                found = f"{target.name}, of kind {target.description.kind}, which runs a layer as a whole"
                raise ConfigError(path="dispatch", found=found, expected="engines that run it kernel by kernel")

    @cached_property
    def steps(self) -> tuple[Step, ...]:
        return steps(self.block)

    @cached_property
    def mixed(self) -> bool:
        """Whether the iteration computes prompts, on this node or on another."""
        return self.beside_prompts or any(unit.phase == "prefill" for step in self.steps for unit in step)

    def options(self, step: Step) -> list[Option]:
        """All ways to give the units of a step to engines."""
        return list(product(range(len(self.engines)), repeat=len(step)))

    def option(self, step: Step, engine: int) -> int:
        """The option that gives all units of a step to one engine."""
        return self.options(step).index((engine,) * len(step))

    def kernels(self, unit: Unit, engine: int) -> list[Kernel]:
        """The kernels of a unit on an engine: as fused there, and no coarser than the unit has them."""
        target = self.engines[engine]
        key = (unit, engine)
        if key not in self._kernels:
            fused = fusion(target.description) != "unfused"
            groups = unit.groups if fused else [(name,) for name in unit.operators]
            self._kernels[key] = kernels_of(self.block, groups, target.ways)
        return self._kernels[key]

    def unit_plan(self, unit: Unit, engine: int) -> Plan:
        """A unit on an engine: its kernels one after another, each partial sum reduced before the next.

        What the stacks of an engine in the memory make of routed experts is then added up by one outside of it.
        """
        target = self.engines[engine]
        plan = Plan(unit.name)
        if unit.routed and self.own_experts:
            return plan
        for kernel in self.kernels(unit, engine):
            plan.add(kernel_activity(target, kernel))
            for size in kernel.reduces:
                for phase in all_reduce(target.system, target.device, size):
                    plan.add(phase)
        adder = next((each for each in self.engines if not each.description.in_memory), None)
        if unit.routed and adder:
            plan.add(stack_sum(adder, target, self.kernels(unit, engine)[-1].operators[-1].bytes["output"]))
        return plan

    def seconds(self, step: Step, option: Option) -> Quantity:
        """How long a step takes by an option, without what it is handed."""
        return closed_form(self._step_plan(step, [(option, None)])).time

    def op_per_byte(self, unit: Unit, engine: int) -> tuple[Quantity, Quantity]:
        """FLOPs of a unit, and the bytes that it moves over the boundary of its kernels on an engine."""
        kernels = self.kernels(unit, engine)
        flops: Quantity = sum((kernel.flops for kernel in kernels), start=0.0)
        traffic: Quantity = sum((kernel.traffic for kernel in kernels), start=0.0)
        return flops, traffic

    def plan(self, choices: Sequence[Choice]) -> Plan:
        """The block once, each step by the option chosen for it.

        Before a step that reads what an engine with another memory made, that is copied (`mapping/transfer.py`).

        Raises:
            ValueError: not one choice a step, or a choice that is no option of its step.
        """
        plan = Plan(self.block.name)
        made: dict[str, list[Quantity]] = {}  # by operator: for each engine, whether it ran there (1) or not (0)
        for step, choice in zip(self.steps, choices, strict=True):
            options = self.options(step)
            if np.min(choice) < 0 or np.max(choice) >= len(options):
                name = "+".join(unit.name for unit in step)
                raise ValueError(f"step {name}: found option {choice}, expected 0 to {len(options) - 1}")
            chosen = [(o, w) for i, o in enumerate(options) if (w := _where(choice, i)) is None or np.any(w)]
            for move in self._moves(step, chosen, made):
                plan.add(move)
            plan.add(self._step_plan(step, chosen))
            for place, unit in enumerate(step):
                share: list[Quantity] = [0.0] * len(self.engines)
                for option, where in chosen:
                    share[option[place]] = share[option[place]] + (1.0 if where is None else where)
                made.update(dict.fromkeys(unit.operators, share))
        return plan

    def moved(self, step: Step, option: Option, before: int) -> Quantity:
        """Seconds to copy to a step all that it reads, if the engine `before` made it: 0 over the same memory."""
        here: list[Quantity] = [float(e == before) for e in range(len(self.engines))]
        made = dict.fromkeys(self.block.graph, here)
        plan = Plan("moves")
        for move in self._moves(step, [(option, None)], made):
            plan.add(move)
        return closed_form(plan).time

    def _step_plan(self, step: Step, chosen: Sequence[tuple[Option, Quantity | None]]) -> Plan:
        """The units of a step: on each engine one after another, and the engines at once or in turn."""
        plan = Plan("+".join(unit.name for unit in step))
        for option, where in chosen:
            mode = Plan(plan.name)
            for engine in sorted(set(option)):
                chain = Plan(self.engines[engine].engine)
                for unit, runs_on in zip(step, option, strict=True):
                    if runs_on == engine:
                        alone = self.unit_plan(unit, engine)
                        chain.add(alone if where is None else alone.scaled(where))
                mode.add(chain, () if self.together else None)
            plan.add(mode)
        return plan

    def _moves(
        self, step: Step, chosen: Sequence[tuple[Option, Quantity | None]], made: dict[str, list[Quantity]]
    ) -> list[Activity]:
        moves = []
        for option, where in chosen:
            for unit, engine in zip(step, option, strict=True):
                for producer, size in self._arriving(unit, engine).items():
                    for source, share in enumerate(made.get(producer, ())):
                        if self._apart(source, engine) and np.any(share):
                            crosses = share * (1.0 if where is None else where)
                            moves.append(self._move(source, engine, size, crosses))
        return moves

    def _arriving(self, unit: Unit, engine: int) -> dict[str, Quantity]:
        """Bytes that each device of an engine reads of what each operator before a unit made."""
        key = (unit, engine)
        if key not in self._read:
            shares = {o.name: shard(o, self.engines[engine].ways) for o in self.block.operators}
            read = arriving(self.block, unit.operators, shares)
            sizes = {p: size for p, size in read.items() if p is not None}
            # Its edges carry nothing, for it is read where it lies: to another memory, what is new must go.
            sizes |= {p: shares[p].bytes["kv_write"] for p in sizes if shares[p].kind == "cache"}
            self._read[key] = {p: size for p, size in sizes.items() if np.any(size)}
        return self._read[key]

    def _apart(self, one: int, other: int) -> bool:
        a, b = self.engines[one], self.engines[other]
        return (a.device, a.memory) != (b.device, b.memory)

    def _move(self, source: int, engine: int, size: Quantity, crosses: Quantity) -> Activity:
        """Copies, where `crosses` is 1, the `size` bytes that each device of an engine reads to all of them."""
        a, b = self.engines[source], self.engines[engine]
        total = size * crosses * b.ways
        return transfer(a.system, total, a.tier, b.tier, name="move")

    _kernels: dict[tuple[Unit, int], list[Kernel]] = field(default_factory=dict, init=False)
    _read: dict[tuple[Unit, int], dict[str, Quantity]] = field(default_factory=dict, init=False)


def _where(choice: Choice, option: int) -> Quantity | None:
    """1 at the points that take an option; None where all do."""
    if isinstance(choice, np.ndarray):
        chosen: NDArray[np.float64] = (choice == option).astype(np.float64)
        return chosen
    return None if choice == option else 0.0
