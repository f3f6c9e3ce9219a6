"""What a machine without engines in its memory would do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from simulator.core import closed_form
from simulator.mapping.dispatch import Route, policy
from simulator.mapping.lowering import model_plan
from simulator.mapping.target import Target, target
from simulator.workload import decode, prefill

Engines = Callable[..., tuple[Target, ...]]


def test_all_is_on_the_engine_of_high_op_per_byte(engines: Engines, blocks: Any, name: str) -> None:
    both = engines(name)
    for order, expected in ((both, 0), (both[::-1], 1)):
        for block in blocks("mixtral-8x7b", prefill(1, 300) + decode(8, 700)):
            route = Route(order, block)
            chosen = policy("xpu_only")(route)
            taken = [route.options(step)[c] for step, c in zip(route.steps, chosen, strict=True)]
            assert {engine for option in taken for engine in option} == {expected}


@pytest.mark.parametrize("llm", ["llama-2-7b", "mixtral-8x7b"])
def test_that_is_the_pass_of_the_engine_alone(
    engines: Engines, machine: Any, llm: str, blocks: Any, model: Any
) -> None:
    batch = prefill(1, 300) + decode(8, 700)
    routes = [Route(engines("duplex-node"), block) for block in blocks(llm, batch)]
    time = sum(float(closed_form(r.plan(policy("xpu_only")(r))).time) * r.block.repeat for r in routes)
    alone = closed_form(model_plan(target(machine("duplex-node"), "xpu", "xpu"), model(llm), batch)).time
    assert time == pytest.approx(alone, rel=1e-12)
