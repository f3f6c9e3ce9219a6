"""How a machine serves a model: engines, dispatch, where experts lie, and the nodes that share the requests."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import simulator.mapping.experts  # noqa: F401  # registers its splits
from simulator.errors import ConfigError
from simulator.hardware import System
from simulator.mapping.dispatch.policy import ridge
from simulator.mapping.lowering import by_kernels
from simulator.mapping.target import Target, target
from simulator.mapping.tensor_parallel import check_ways
from simulator.registry import registered
from simulator.workload import Model

Experts = Literal["whole", "tensor"]
SplitBy = Literal["achieved", "peak"]


@dataclass(frozen=True)
class Declared:
    """The iterations that an engine is compiled for: at most so many sequences, prompts and answers of these tokens."""

    sequences: int
    input: int
    output: int


@dataclass(frozen=True, eq=False)
class Deployment:
    """A model on a machine of one or more nodes.

    Attention and dense layers are tensor parallel over the devices of a node; every node has them all, and a part of
    the requests (data parallel). Experts are shared by all nodes.

    Attributes:
        system: the whole machine.
        model: what it serves.
        engines: what may run a part of the model, each over the devices of one node.
        dispatch: which engine runs what: a registered policy.
        together: whether engines of one device may run at once.
        split: how experts are shared between two engines of one device: a registered way, or `none`: as the policy
            says, all on one.
        experts: `whole`: each on one device, spread over all devices, and cut only where there are more devices;
            `tensor`: each cut over all devices of a node, and spread over nodes.
        expert_reduces: all-reduces of an MoE layer where experts are `tensor`: over the experts' devices, and (2) over
            those of the attention once more.
        split_by: the times that decide how experts are split: as achieved, or at the peak bandwidths.
        migrate: whether keys and values of prompts are copied, once their attention is done, from the memory space of
            prompts to those of the caches.
        declared: what an engine that runs layers as a whole is compiled for, once; None: for each call anew.
    """

    system: System
    model: Model
    engines: tuple[Target, ...]
    dispatch: str = "static_by_layer"
    together: bool = False
    split: str = "none"
    experts: Experts = "whole"
    expert_reduces: int = 1
    split_by: SplitBy = "achieved"
    migrate: bool = False
    declared: Declared | None = None

    @property
    def nodes(self) -> int:
        return self.system.machine.nodes

    @cached_property
    def low(self) -> Target:
        """The engine of low Op/B, whose devices hold experts and KV caches."""
        return min(self.engines, key=ridge)

    @cached_property
    def high(self) -> Target:
        """The engine of high Op/B, whose devices hold all other weights."""
        return max(self.engines, key=ridge)

    @cached_property
    def whole_layers(self) -> bool:
        """Whether its engine runs each layer as a whole, its routed experts with the rest, for uniform routing."""
        return not by_kernels(self.high)

    @cached_property
    def shares_memory(self) -> bool:
        """Whether all engines read the same memory."""
        return len({(engine.device, engine.memory) for engine in self.engines}) == 1

    @property
    def groups(self) -> int:
        """Groups of devices that hold different experts."""
        number = self.model.moe.experts if self.model.moe else 1
        return min(number, self.nodes if self.experts == "tensor" else self.nodes * self.low.ways)

    @property
    def expert_ways(self) -> int:
        """How many devices each expert is cut over."""
        return self.nodes * self.low.ways // self.groups


def deployment(
    system: System,
    model: Model,
    engines: tuple[str, ...] = (),
    dispatch: str = "xpu_only",
    together: bool = False,
    split: str = "none",
    experts: Experts = "whole",
    expert_reduces: int = 1,
    split_by: SplitBy = "achieved",
    migrate: bool = False,
) -> Deployment:
    """A deployment on the `engines` named (`device.engine`; all of the machine if none is).

    Raises:
        ConfigError: no such engine, dispatch or split; heads or experts that do not divide evenly; a split without two
            engines over one memory; an engine that runs layers as a whole, beside others or with experts on single
            devices.
    """
    for kind, name in (("dispatch", dispatch), ("split", split)):
        _check_registered(kind, name)
    names = engines or tuple(system.engines)
    node = system.put({"nodes": 1})
    targets = []
    for name in names:
        device, dot, engine = name.partition(".")
        targets.append(target(node, device, engine if dot else None))
    found = Deployment(
        system, model, tuple(targets), dispatch, together, split, experts, expert_reduces, split_by, migrate
    )
    if split != "none" and not (len(targets) == 2 and found.shares_memory):
        expected = "two engines over one memory, which share the experts"
        raise ConfigError(path="split", found=f"'{split}' with {', '.join(names)}", expected=expected)
    _check_whole_layers(found)
    if model.moe:
        devices, number = found.nodes * found.low.ways, model.moe.experts
        if number % found.groups or devices % found.groups:
            expected = f"a number that divides the {number} experts of {model.name}, or that they divide"
            raise ConfigError(path="experts", found=f"{found.groups} groups of {devices} devices", expected=expected)
    for each in found.engines:
        check_ways(model, each.ways, found.expert_ways if each is found.low else 1)
    return found


def _check_whole_layers(found: Deployment) -> None:
    """Nothing, where an engine that runs layers as a whole has all the work to itself, experts cut as all else."""
    for each in found.engines:
        if not by_kernels(each):
            kind = f"{each.name}, of kind {each.description.kind}, which runs a layer as a whole"
            if len(found.engines) > 1:
                raise ConfigError(path="engines", found=f"{kind}, and others", expected="it alone")
            if found.model.moe and found.nodes > 1:
                raise ConfigError(path="nodes", found=f"{found.nodes} with {kind}", expected="1, for routed experts")
            if found.model.moe and found.experts == "whole" and each.ways > 1:
                raise ConfigError(path="experts", found=f"'whole' with {kind}", expected="'tensor'")


def _check_registered(kind: str, name: str) -> None:
    """Nothing, where there is an implementation of this name; `none` is a split of its own."""
    if (kind, name) != ("split", "none"):
        try:
            registered(kind, name)
        except ConfigError as error:
            error.path = kind
            raise
