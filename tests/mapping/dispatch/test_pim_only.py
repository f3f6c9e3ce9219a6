"""All in the memory, whether that is wise or not."""

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


def test_all_is_on_the_engine_of_low_op_per_byte(engines: Engines, blocks: Any, name: str) -> None:
    both = engines(name)
    for order, expected in ((both, 1), (both[::-1], 0)):
        for block in blocks("mixtral-8x7b", prefill(1, 300) + decode(8, 700)):
            route = Route(order, block)
            chosen = policy("pim_only")(route)
            taken = [route.options(step)[c] for step, c in zip(route.steps, chosen, strict=True)]
            assert {engine for option in taken for engine in option} == {expected}


@pytest.mark.parametrize("llm", ["llama-2-7b", "mixtral-8x7b"])
def test_that_is_the_pass_of_the_engine_alone(
    engines: Engines, machine: Any, llm: str, blocks: Any, model: Any
) -> None:
    batch = prefill(1, 300) + decode(8, 700)
    routes = [Route(engines("duplex-node"), block) for block in blocks(llm, batch)]
    time, sums = 0.0, 0.0
    for route in routes:
        plan = route.plan(policy("pim_only")(route))
        time += float(closed_form(plan).time) * route.block.repeat
        sums += route.block.repeat * sum(
            float(each.latency) + each.alone for each, _ in plan.activities() if each.name == "sum over stacks"
        )
    assert (sums > 0) == (llm == "mixtral-8x7b")
    time -= sums  # what the xPU adds up of the routed experts
    alone = closed_form(model_plan(target(machine("duplex-node"), "xpu", "pim"), model(llm), batch)).time
    assert time == pytest.approx(alone, rel=1e-12 if llm == "llama-2-7b" else 1e-5)
    assert time >= alone * (1 - 1e-12)  # the choice of experts and the gathering of their rows are no longer one kernel


def test_it_wins_where_bytes_count_and_loses_where_flops_do(engines: Engines, blocks: Any) -> None:
    def time(name: str, batch: Any) -> float:
        route = Route(engines("duplex-node"), blocks("llama-2-7b", batch)[1])
        return float(closed_form(route.plan(policy(name)(route))).time)

    assert time("pim_only", decode(1, 4000)) < time("xpu_only", decode(1, 4000))
    assert time("pim_only", prefill(4, 4000)) > time("xpu_only", prefill(4, 4000))
