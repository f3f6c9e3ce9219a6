"""The symbols of a program: each layer's weights, its KV cache, and the activations that leave a kernel."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import accumulate, groupby, zip_longest
from typing import Literal, TypeAlias

import numpy as np

from simulator.core import Quantity
from simulator.errors import ConfigError
from simulator.mapping.kernels.kernels import Kernel, arriving
from simulator.mapping.spill.memory_plan import MemoryPlan, Symbol
from simulator.workload import Block, Model, Operator, OperatorGraph, decode, operator_graph
from simulator.workload.formats.storage import element_bytes
from simulator.workload.operators.operator import WRITES, Operand

Use: TypeAlias = tuple[str, Operand]
"""An operator's operand; the `input` of the operator "" is what the layer gets from the one before."""
Uses: TypeAlias = dict[Use, Symbol]
"""The symbol behind each operand of one layer that lies in memory."""
INPUT: Use = ("", "input")


@dataclass(frozen=True, eq=False)
class Pass:
    """A forward pass that a program makes `times` times: its graph, and the kernels of each of its blocks.

    `live` is the part of its activations that is kept at once: of prompts computed one at a time, one in so many.
    """

    graph: OperatorGraph
    kernels: Sequence[Sequence[Kernel]]
    times: float = 1.0
    live: float = 1.0


def symbols(program: Sequence[Pass]) -> list[list[list[Uses]]]:
    """The symbols behind each operand, by pass, block and layer (repetition of the block), in bytes of one device.

    Weights and KV caches live as long as the program, and all of its passes share them. A weight has the bytes that are
    stored: a whole embedding table, all experts. A KV cache has those that the longest pass reads or writes. An
    activation lives from the kernel that makes it to the last that reads it; a step is one kernel. Of array quantities
    the largest needs room, and the mean is transferred each time.

    Raises:
        ConfigError: a training step, whose saved activations this does not follow.
    """
    starts = _starts(program)
    end = starts[-1] - 1
    kept: dict[tuple[int, str], _Kept] = {}
    homes = [[_collect(p, i, b, kept) for b in range(len(p.graph.blocks))] for i, p in enumerate(program)]
    names = _names(program[0].graph)
    lasting = {
        (b, local, layer): Symbol(f"{name}.{local}", k.stored, k.transferred, 0, end, k.kind)
        for (b, local), k in kept.items()
        for layer, name in enumerate(names[b])
    }
    return [
        [
            [
                {use: lasting[(*home, layer)] for use, home in homes[i][b].items()} | passing
                for layer, passing in enumerate(layers)
            ]
            for b, layers in enumerate(_passing(p, i, starts[i], names))
        ]
        for i, p in enumerate(program)
    ]


def distinct(uses: Sequence[Sequence[Sequence[Uses]]]) -> list[Symbol]:
    """Each symbol once, in the order of the program: what a memory plan places."""
    layers = (layer for blocks in uses for layers in blocks for layer in layers)
    return list(dict.fromkeys(symbol for layer in layers for symbol in layer.values()))


def spilled_groups(block: Block, layers: Sequence[Uses], plan: MemoryPlan) -> list[tuple[Block, int, frozenset[Use]]]:
    """Runs of a block's consecutive layers with the same operands in the slow tier: how many layers, and which."""
    spilled = (frozenset(use for use, symbol in layer.items() if plan.spilled(symbol)) for layer in layers)
    return [(block, len(list(run)), operands) for operands, run in groupby(spilled)]


def spilled_traffic(
    block: Block, kernels: Sequence[Kernel], spilled: frozenset[Use]
) -> list[tuple[Quantity, Quantity]]:
    """Of each kernel's `read` and `written` bytes (all kernels of the block), those of operands in the slow tier."""
    shares = {operator.name: operator for kernel in kernels for operator in kernel.operators}
    traffic = []
    for kernel in kernels:
        read: Quantity = 0.0
        written: Quantity = 0.0
        for operator in kernel.operators:
            for operand, size in operator.bytes.items():
                if (operator.name, operand) in spilled:  # an output is there only where it leaves its kernel
                    if operand in WRITES or operand == "output":
                        written = written + size
                    else:
                        read = read + size
        for producer, size in arriving(block, [o.name for o in kernel.operators], shares).items():
            if (INPUT if producer is None else (producer, "output")) in spilled:
                read = read + size
        traffic.append((read, written))
    return traffic


@dataclass(eq=False)
class _Kept:
    """A weight or a KV cache while the passes are gone through: its bytes as each pass sees them."""

    kind: Literal["weight", "kv"]
    transferred: float = 0.0
    seen: dict[tuple[object, ...], float] = field(default_factory=lambda: defaultdict(float))

    @property
    def stored(self) -> float:
        return max(self.seen.values())


def _collect(program: Pass, index: int, b: int, kept: dict[tuple[int, str], _Kept]) -> dict[Use, tuple[int, str]]:
    """Add what a block of a pass keeps to `kept`; gives the key there of each operand.

    Operators that serve one phase alone hold the same weights in two forms (MLA's, expanded and absorbed): those of a
    layer are one symbol, as large as the larger form. So are the keys and values of a layer: of all its phases.
    """
    model, block = program.graph.model, program.graph.blocks[b]
    homes: dict[Use, tuple[int, str]] = {}
    for share in (o for kernel in program.kernels[b] for o in kernel.operators):
        place = f"{head}." if (head := share.name.partition(".")[0]).isdigit() else ""
        for operand, quantity in share.bytes.items():
            size = _largest(quantity)
            if operand in ("input", "output") or not size:
                continue
            if operand in ("weight", "expert"):
                local = f"{place}attention.by_phase.weight" if share.phase else f"{share.name}.{operand}"
                tied = model is not None and model.tied_embeddings and share.name == "lm_head"
                home = (0, "embedding.weight") if tied else (b, local)
                kept.setdefault(home, _Kept("weight")).seen[index, share.phase, tied] += _stored(model, block, b, share)
            elif operand in ("kv_read", "kv_write"):
                home = (b, f"{place}attention.cache")
                kept.setdefault(home, _Kept("kv")).seen[index, operand] += size
            else:
                raise ConfigError(
                    f"{block.name}: '{share.name}' has bytes of class '{operand}'", expected="a pass without training"
                )
            kept[home].transferred += float(np.mean(quantity)) * program.times
            homes[share.name, operand] = home
    return homes


def _stored(model: Model | None, block: Block, b: int, share: Operator) -> float:
    """Bytes of weights that a device stores for an operator: where it reads rows or some experts, all of them."""
    whole: Operator = block.graph.nodes[share.name]["operator"]
    if model and "expert" in share.bytes:
        return _all_experts(model)[b, share.name] * _largest(share.bytes["expert"]) / _largest(whole.bytes["expert"])
    size = _largest(share.bytes["weight"])
    if model is None or share.kind != "embedding":
        return size
    rows = model.positions.rows if share.name == "position_embedding" else model.vocab
    table = rows * model.hidden * element_bytes(model, share.name)
    return table * size / _largest(whole.bytes["weight"])


@lru_cache(maxsize=16)
def _all_experts(model: Model) -> Mapping[tuple[int, str], float]:
    """Bytes of the experts of each operator, by block: what it reads where tokens touch them all."""
    experts = float(model.moe.experts if model.moe else 0)
    graph = operator_graph(model, decode(1, 1), lambda tokens: experts)
    return {
        (b, o.name): float(o.bytes["expert"])
        for b, block in enumerate(graph.blocks)
        for o in block.operators
        if "expert" in o.bytes
    }


@dataclass(frozen=True, eq=False)
class _Flow:
    """What one operator hands to other kernels: its bytes, those moved, and the kernels that make and last read it."""

    bytes: float
    moved: float
    first: int
    last: int


def _passing(program: Pass, index: int, start: int, names: Sequence[Sequence[str]]) -> list[list[Uses]]:
    """What the kernels of a pass, the first of which is step `start`, hand to one another, by block and layer."""
    blocks, kernels = program.graph.blocks, program.kernels
    flows = [_flows(block, of_block) for block, of_block in zip(blocks, kernels, strict=True)]
    order = [b for b, block in enumerate(blocks) for _ in range(block.repeat)]

    def symbol(name: str, step: int, flow: _Flow) -> Symbol:
        label, moved = f"pass.{index}.{name}", flow.moved * program.times
        return Symbol(label, flow.bytes * program.live, moved, step + flow.first, step + flow.last, "activation")

    symbols: list[list[Uses]] = [[] for _ in blocks]
    step, before = start, symbol("input", start, flows[0][INPUT])
    for b, following in zip_longest(order, order[1:]):
        name, uses = names[b][len(symbols[b])], {INPUT: before}
        for use, flow in flows[b].items():
            if use == (blocks[b].exit, "output") and following is not None:
                read = flows[following][INPUT]
                flow = _Flow(flow.bytes, flow.moved + read.moved, flow.first, len(kernels[b]) + read.last)
            if use != INPUT:
                uses[use] = symbol(f"{name}.{use[0]}", step, flow)
        symbols[b].append(uses)
        step, before = step + len(kernels[b]), uses[blocks[b].exit, "output"]
    return symbols


def _flows(block: Block, kernels: Sequence[Kernel]) -> dict[Use, _Flow]:
    """What the kernels of a block hand to one another and to the next block, and what they read of the one before."""
    shares = {operator.name: operator for kernel in kernels for operator in kernel.operators}
    made_in = {operator.name: k for k, kernel in enumerate(kernels) for operator in kernel.operators}
    read: dict[str | None, dict[int, Quantity]] = {block.exit: {}, None: {}}
    for k, kernel in enumerate(kernels):
        for producer, size in arriving(block, [o.name for o in kernel.operators], shares).items():
            read.setdefault(producer, {})[k] = size
    flows = {}
    for producer, by_kernel in read.items():
        moved = sum(float(np.mean(size)) for size in by_kernel.values())
        if producer is None:
            largest = max(map(_largest, by_kernel.values()), default=0.0)
            flows[INPUT] = _Flow(largest, moved, 0, max(by_kernel, default=0))
        elif size := _largest(output := shares[producer].bytes["output"]):
            made = made_in[producer]
            moved += float(np.mean(output))
            flows[producer, "output"] = _Flow(size, moved, made, max(by_kernel, default=made))
    return flows


def _starts(program: Sequence[Pass]) -> list[int]:
    """The first step of each pass, and the one after the last."""
    steps = (
        sum(block.repeat * len(of_block) for block, of_block in zip(p.graph.blocks, p.kernels, strict=True))
        for p in program
    )
    return list(accumulate(steps, initial=0))


def _names(graph: OperatorGraph) -> list[list[str]]:
    """Each block's layers as `<block>.<i>`, as in `OperatorGraph.digraph`."""
    seen: Counter[str] = Counter()
    names = []
    for block in graph.blocks:
        names.append([f"{block.name}.{seen[block.name] + i}" for i in range(block.repeat)])
        seen[block.name] += block.repeat
    return names


def _largest(quantity: Quantity) -> float:
    return float(np.max(quantity))
