"""Tensor parallelism: each operator divided over devices that work in lockstep."""

from __future__ import annotations

from dataclasses import replace

from simulator.core import Quantity
from simulator.workload import Operator

WHOLE_INPUT = {"columns", "vocab"}  # every device reads the whole input
WHOLE_OUTPUT = {"rows"}  # every device makes a partial sum of the whole output


def shard(operator: Operator, ways: int) -> Operator:
    """One device's share of an operator over `ways` devices, evenly divided.

    `columns` and `vocab` divide FLOPs, weights and output; `rows` FLOPs, weights and input; `heads`, `elements` and
    `experts` all; `none` nothing. Keys and values divide at most `operator.ways` times: with more devices than KV heads
    each head has copies (Megatron-LM, arXiv 1909.08053; GQA, arXiv 2305.13245).
    """
    if ways == 1 or operator.split == "none":
        return operator
    reads_cache = "kv_read" in operator.bytes
    copies = min(ways, operator.ways or ways)
    others = ways if reads_cache else copies  # what makes K or V is copied with them
    divide: dict[str, int] = {"kv_read": copies, "kv_write": copies}
    if operator.split in WHOLE_INPUT:
        divide["input"] = 1
    if operator.split in WHOLE_OUTPUT:
        divide["output"] = 1
    share: dict[str, Quantity] = {name: size / divide.get(name, others) for name, size in operator.bytes.items()}
    return replace(operator, flops=operator.flops / others, bytes=share)  # type: ignore[arg-type]
