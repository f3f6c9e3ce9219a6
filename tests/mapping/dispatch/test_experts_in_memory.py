"""Experts stay in the memory that holds them; all else as by layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from simulator.mapping.dispatch import Route, policy
from simulator.mapping.target import Target
from simulator.workload import decode, prefill

BATCHES = {"decode": decode(8, 700), "prefill": prefill(2, 300), "mixed": prefill(1, 300) + decode(8, 700)}


@pytest.mark.parametrize("llm", ["mixtral-8x7b", "glam-143b", "qwen2-57b-a14b", "llama-2-7b"])
@pytest.mark.parametrize("batch", BATCHES)
def test_experts_are_low_and_all_else_as_by_layers(
    engines: Callable[..., tuple[Target, ...]], blocks: Any, name: str, llm: str, batch: str
) -> None:
    for block in blocks(llm, BATCHES[batch]):
        route = Route(engines(name), block)
        at_home, by_layer = (policy(rule)(route) for rule in ("experts_in_memory", "static_by_layer"))
        for step, here, there in zip(route.steps, at_home, by_layer, strict=True):
            if step[0].routed:
                assert route.options(step)[int(here)] == (1,)
            else:
                assert here == there
