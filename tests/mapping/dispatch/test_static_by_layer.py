"""Which layer is where, as a table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from simulator.mapping.dispatch import Route, policy
from simulator.mapping.target import Target
from simulator.workload import Batch, decode, prefill

Engines = Callable[..., tuple[Target, ...]]
BATCHES = {"decode": decode(8, 700), "prefill": prefill(2, 300), "mixed": prefill(1, 300) + decode(8, 700)}


def low(route: Route, rule: str) -> set[str]:
    """What runs on the engine of low Op/B: attention by its phase, experts, or anything else by its name."""
    found = set()
    memory = max(range(2), key=lambda engine: route.engines[engine].engine in ("pim", "cpu"))
    for step, choice in zip(route.steps, policy(rule)(route), strict=True):
        for unit, engine in zip(step, route.options(step)[int(choice)], strict=True):
            if engine == memory:
                found.add(unit.phase or unit.name)
    return found


@pytest.mark.parametrize("llm", ["llama-2-7b", "mixtral-8x7b", "glam-143b", "qwen2-57b-a14b", "deepseek-v3"])
@pytest.mark.parametrize(
    ("batch", "experts"), [("decode", True), ("prefill", False), ("mixed", False)], ids=["decode", "prefill", "mixed"]
)
def test_the_table(engines: Engines, blocks: Any, name: str, llm: str, batch: str, experts: bool) -> None:
    for together in (False, True):
        for order in (1, -1):
            for block in blocks(llm, BATCHES[batch]):
                inside = "head" if block.name in ("head", "embedding") else block.name
                expected = set() if inside == "head" or batch == "prefill" else {"decode"}
                expected |= {"experts"} if experts and "moe" in inside else set()
                assert low(Route(engines(name)[::order], block, together), "static_by_layer") == expected


def test_it_looks_at_no_size(engines: Engines, blocks: Any) -> None:
    batch: Batch = prefill(np.array([1, 64]), 300) + decode(np.array([1, 4096]), np.array([1, 90000]))
    for block in blocks("mixtral-8x7b", batch):
        for rule in ("static_by_layer", "experts_in_memory", "xpu_only", "pim_only"):
            assert all(isinstance(choice, int) for choice in policy(rule)(Route(engines("duplex-node"), block)))
