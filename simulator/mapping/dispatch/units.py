"""What goes to one engine as a whole: the units of a block, and the steps in which they run."""

from __future__ import annotations

from dataclasses import dataclass

from simulator.mapping.kernels.fusion import conventional
from simulator.workload import Block
from simulator.workload.batch import PhaseName
from simulator.workload.operators.feedforward import EXPERTS


@dataclass(frozen=True)
class Unit:
    """Operators that one engine runs: a kernel as GPU libraries fuse them, or all routed experts of a layer.

    Attributes:
        groups: the operators of each such kernel, in the order of the pass.
        phase: `prefill` or `decode` where they serve the sequences of that phase alone: their attention.
        routed: whether they are the routed experts; their rows are gathered with the choice of experts.
    """

    groups: tuple[tuple[str, ...], ...]
    phase: str | None = None
    routed: bool = False

    @property
    def name(self) -> str:
        return self.groups[0][0] if not self.routed else "experts"

    @property
    def operators(self) -> tuple[str, ...]:
        return tuple(name for group in self.groups for name in group)


Step = tuple[Unit, ...]
"""Units that need not wait for one another: attention of prompts and of sequences that decode; else a single one."""


def steps(block: Block) -> tuple[Step, ...]:
    """The units of a block, one step after another."""
    grouped: list[list[Unit]] = []
    for unit in _units(block):
        beside = grouped and grouped[-1][-1].phase and unit.phase and grouped[-1][-1].phase != unit.phase
        if beside:
            grouped[-1].append(unit)
        else:
            grouped.append([unit])
    return tuple(map(tuple, grouped))


def _units(block: Block) -> list[Unit]:
    units: list[Unit] = []
    for group in conventional(block.graph):
        for routed in (False, True):
            names = tuple(name for name in group if is_routed(name) == routed)
            if not names:
                continue
            if routed and units and units[-1].routed:
                units[-1] = Unit((*units[-1].groups, names), routed=True)
            else:
                units.append(Unit((names,), _phase(block, names), routed))
    return units


def is_routed(operator: str) -> bool:
    """Whether an operator, by its name in the block, belongs to the routed experts."""
    return f".{EXPERTS}." in f".{operator}"


def _phase(block: Block, names: tuple[str, ...]) -> PhaseName | None:
    phases: set[PhaseName | None] = {block.graph.nodes[name]["operator"].phase for name in names}
    return phases.pop() if len(phases) == 1 else None
