"""Copies of keys and values: every byte costs the energy of the tiers and links that it crosses."""

from __future__ import annotations

from collections import Counter
from math import isnan
from typing import Any

import pytest

from simulator.core import Resource
from simulator.scenario.form import Scenario
from simulator.scenario.parts import deployment
from simulator.scenario.requests.program import served
from simulator.scenario.requests.service import Run
from simulator.scenario.requests.spent import spent

BIT = 8e-12
HBM, PCIE, DDR, LINK = 3.9 * BIT, 10 * BIT, 15 * BIT, 5 * BIT
"""J a byte, of dgx-h100 and of a link."""
TOKEN = 2 * 32 * 8 * 128 * 2
"""Bytes of keys and values: of 32 layers, 8 heads, 128 elements, bf16."""


WORK = {"kind": "requests", "requests": 30, "rate": 200, "input": 100, "output": 60, "spread": 0.3}


def made(work: dict[str, Any] = WORK, **mapping: Any) -> tuple[Scenario, Run]:
    parts = {"hardware": "dgx-h100", "model": "llama-3.1-8b", "mapping": {"devices": 8, **mapping}}
    asked = Scenario.model_validate({**parts, "workload": work})
    return asked, served(asked)[0]


def energies(asked: Scenario, run: Run) -> tuple[float, float]:
    """Joules of a run, and of it without copies."""
    whole = spent(asked, run).metrics["energy_per_token_j"]
    kept = [pool.work.copied for pool in run.pools]
    for pool in run.pools:
        pool.work.copied = {}
    without = spent(asked, run).metrics["energy_per_token_j"]
    for pool, copied in zip(run.pools, kept, strict=True):
        pool.work.copied = copied
    return whole * run.figures.output, without * run.figures.output


def test_who_is_swapped_costs_memory_link_and_host_each_way() -> None:
    store = {"kind": "blocks", "block": 16, "blocks": 60, "swap": "host"}
    asked, run = made(scheduler={"kind": "vllm-v0", "preempt": "swap"}, kv_store=store)
    assert run.metrics()["preemptions"] > 3
    system, copied = deployment(asked, requests=True).low.system, run.pools[0].work.copied
    out, back = (system[name].count * copied[system[name]] for name in ("gpu.hbm->host", "host->gpu.hbm"))
    assert out == back > 0, "who goes comes back"
    assert out % TOKEN == 0
    whole, without = energies(asked, run)
    assert whole - without == pytest.approx((out + back) * (HBM + PCIE + DDR), rel=1e-6)


def test_a_prompt_handed_over_costs_both_memories_and_the_link() -> None:
    store = {"link": "50 GB/s", "link_energy": "5 pJ/bit", "kind": "blocks"}
    asked, run = made(scheduler={"kind": "vllm-v1", "prompts": 1}, kv_store=store)
    tokens = run.figures.input
    whole, without = energies(asked, run)
    assert whole - without == pytest.approx(tokens * TOKEN * (2 * HBM + LINK), rel=1e-6)
    used = Counter[str]()
    for pool in run.pools:
        used.update({resource.name: units * resource.count for resource, units in pool.work.copied.items()})
    assert used["link of keys and values"] == tokens * TOKEN == pytest.approx(used["gpu.hbm"] / 2)


def test_blocks_of_prefixes_cost_what_lies_between_their_tiers() -> None:
    laws = {
        "requests": 60, "arrivals": {"kind": "poisson", "rate": 5}, "sessions": {"turns": 4, "think": "2 s"},
        "lengths": {"kind": "fixed", "input": 200, "output": 20},
    }  # fmt: skip
    store = {"kind": "prefix", "block": 16, "blocks": 120, "tiers": ["host"]}
    asked, run = made({"kind": "requests", "trace": laws}, scheduler={"kind": "vllm-v1"}, kv_store=store)
    metrics = run.metrics()
    whole, without = energies(asked, run)
    moved = metrics["loaded_bytes"] + metrics["written_bytes"]
    assert metrics["loaded_bytes"] > 0
    assert whole - without == pytest.approx(moved * (HBM + PCIE + DDR), rel=1e-6)


@pytest.mark.parametrize(("prompts", "replicas"), [(1, 3), (2, 1)])
def test_a_link_is_used_for_the_time_that_its_bytes_take(prompts: int, replicas: int) -> None:
    scheduler = {"kind": "vllm-v1", "prompts": prompts, "replicas": replicas}
    asked, run = made(scheduler=scheduler, kv_store={"link": "5 GB/s", "kind": "blocks"})
    busy = run.figures.input * TOKEN / 5e9 / prompts
    used = spent(asked, run).utilisation["link of keys and values"]
    assert used == pytest.approx(busy / run.figures.seconds, rel=1e-9)


def test_a_link_without_a_figure_leaves_the_energy_unknown_and_is_named() -> None:
    asked, run = made(scheduler={"kind": "vllm-v1", "prompts": 1}, kv_store={"link": "50 GB/s"})
    cost = spent(asked, run)
    assert isnan(cost.metrics["energy_per_token_j"])
    assert cost.lacks == ("mapping.kv_store.link_energy",)


def test_where_nothing_is_copied_it_costs_nothing() -> None:
    asked, run = made(scheduler={"kind": "vllm-v1"})
    none: dict[Resource, float] = {}
    assert all(pool.work.copied == none for pool in run.pools)
    whole, without = energies(asked, run)
    assert whole == without
