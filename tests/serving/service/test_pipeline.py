"""A pipeline that serves requests: equal to stepping, to its estimate of one alone, and near its bounds for many."""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator import evaluate
from simulator.errors import CapacityError, ConfigError
from simulator.mapping.footprint.room import most_blocks
from simulator.mapping.form import Scheduler as Settings
from simulator.mapping.parallel.serving_stages import stages_of
from simulator.registry import registered
from simulator.scenario.form import Scenario
from simulator.scenario.parts import deployment
from simulator.serving.iteration.flow_shop import FlowShop
from simulator.serving.iteration.iterations import Iterations
from simulator.serving.kv.blocks import Blocks
from simulator.serving.kv.prefix import PrefixBlocks
from simulator.serving.service.pipeline import Pipeline
from simulator.serving.service.pool import Pool
from simulator.serving.service.sequence import Sequence
from simulator.serving.service.service import Service
from simulator.serving.stages import Stages
from simulator.workload.requests.request import Request
from simulator.workload.routing.routers import ROUTERS
from tests.serving.service import stepping
from tests.serving.service.stepping import Pass, Staged, Stepping, WithPrefixes
from tests.serving.service.test_pool import check_equal, limits, sessions, traces

EIGHT: dict[str, Any] = {"extends": "llama-3.1-8b", "layers": 8}
MODELS: dict[str, dict[str, Any]] = {
    "dense": EIGHT,
    "even": {**EIGHT, "vocab": 64},
    "windows": {**EIGHT, "attention": {"window": 48, "window_pattern": [True, False]}},
    "experts": {"extends": "mixtral-8x7b", "layers": 6},
}
NODES = {"node<->node": {"bandwidth": "400 GB/s", "latency": "5 us", "energy": "20 pJ/bit"}}
LINES = (
    (2, 2, "ideal", "dense"), (3, 6, "gpu-libraries", "dense"), (2, 4, "vllm", "windows"),
    (2, 2, "ideal", "experts"),
)  # fmt: skip
"""Stages, devices, runtime and model."""


def scenario(stages: int, devices: int, runtime: str, model: str, **values: Any) -> Scenario:
    nodes = max(devices // 8, 1)
    machine = {"extends": "dgx-h100", "nodes": nodes, "devices": {"gpu": {"count": devices // nodes}}, "links": NODES}
    mapping = {"pipeline": stages, "runtime": runtime, **values.pop("mapping", {})}
    work = values.pop("workload", {"kind": "requests"})
    return Scenario.model_validate({"hardware": machine, "model": MODELS[model], "mapping": mapping, "workload": work})


@cache
def line(stages: int, devices: int, runtime: str, model: str) -> tuple[Iterations, ...]:
    deployed = deployment(scenario(stages, devices, runtime, model), requests=True)
    moe = deployed.model.moe
    router = ROUTERS["uniform"](moe.experts, moe.top_k) if moe else None
    return tuple(Iterations(Stages(each), router, place) for place, each in enumerate(stages_of(deployed)))


def serve(
    of: tuple[Iterations, ...], scheduler: str, stores: list[Any], order: str, tokens: int, most: int, ahead: bool,
    requests: list[Request],
) -> tuple[Pipeline, list[Sequence]]:  # fmt: skip
    ended: list[Sequence] = []
    shared = FlowShop(of)

    def pool(store: Any) -> Pool:
        made = registered("scheduler", scheduler)(Settings(tokens=tokens, max_sequences=most))
        return Pool(shared, store, made, order, ahead=ahead)

    pipeline = Pipeline(shared, [pool(store) for store in stores])
    pipeline.ended = ended.append
    for number, request in enumerate(requests):
        pipeline.arrive(Sequence(request, number, request.arrival_s, 4096))
    pipeline.advance()
    return pipeline, ended


def engines(of: tuple[Iterations, ...], make: Any) -> list[Stepping]:
    """Engines that share stages, each made with its own view of them."""
    free, several = [0.0] * len(of), []
    for _ in of:
        passed = Pass(list(of), free, lambda: 0.0, of[0].cuts)
        engine = make(passed)
        passed.clock = lambda engine=engine: engine.now
        several.append(engine)
    return several


SLOW = ("vllm-v0", "sarathi", "static", "trt-llm-no-evict", "trt-llm-max-utilisation", "sglang")


@pytest.mark.parametrize("scheduler", ["vllm-v1", "orca", *(pytest.param(s, marks=pytest.mark.slow) for s in SLOW)])
@settings(max_examples=6, deadline=None)
@given(traces(), st.sampled_from(LINES), limits, st.booleans())
def test_it_equals_stepping(
    scheduler: str, requests: list[Request], machine: tuple[Any, ...], limits: Any, ahead: bool
) -> None:
    size, tokens, most, total, order = limits
    of, policy = line(*machine), getattr(stepping, scheduler.replace("-", "_"))
    slow = Staged(engines(of, lambda passed: Stepping(passed, size, total // size, policy, order, tokens, most, ahead)))
    stores = [Blocks(total // size, size) for _ in of]
    pipeline, ended = serve(of, scheduler, stores, order, tokens, most, ahead, requests)
    check_equal(ended, slow.run(requests))
    assert all(store.free == store.total for store in stores), "all is given back"
    assert sum(pool.answer_tokens for pool in pipeline.pools) == sum(r.output_tokens for r in requests)
    assert pipeline.outstanding == 0


@settings(max_examples=5, deadline=None)
@given(sessions(), st.sampled_from(LINES), limits)
def test_with_prefixes_it_equals_blocks_one_by_one(
    requests: list[Request], machine: tuple[Any, ...], limits: Any
) -> None:
    size, tokens, most, total, order = limits
    total, of = max(total // 2, 600 + size), line(*machine)
    slow = Staged(
        engines(of, lambda p: WithPrefixes(p, size, total // size, stepping.vllm_v1, order, tokens, most))
    )  # fmt: skip
    stores = [PrefixBlocks(total // size, size) for _ in of]
    _, ended = serve(of, "vllm-v1", stores, order, tokens, most, False, requests)
    check_equal(ended, slow.run(requests))


@pytest.mark.parametrize(
    ("stages", "devices", "runtime", "model", "kernels"),
    [
        (2, 2, "ideal", "dense", "roofline"), (3, 3, "vllm-v1", "dense", "roofline"),
        (2, 16, "vllm", "dense", "roofline"),
        pytest.param(2, 4, "vllm-v1", "experts", "modelled", marks=pytest.mark.slow),
    ],
)  # fmt: skip
def test_one_request_alone_is_its_estimate(stages: int, devices: int, runtime: str, model: str, kernels: str) -> None:
    lengths = {"input": 700, "output": 40}
    requests = {"kind": "requests", "requests": 1, "spread": 0, "process": "even", **lengths}
    alone, of = (
        evaluate(scenario(stages, devices, runtime, model, workload=work, mapping={"kernels": kernels, **more})).metrics
        for work, more in (
            ({"kind": "batch", "batch": 1, **lengths}, {}),
            (requests, {"scheduler": {"kind": "vllm-v1"}}),
        )
    )
    for name, expected in (("ttft_p50_s", "ttft_s"), ("e2e_p50_s", "e2e_s"), ("energy_per_token_j",) * 2):
        assert of[name] == pytest.approx(float(alone[expected]), rel=1e-9)


@pytest.mark.parametrize("stages", [2, 4])
def test_equal_stages_under_load_serve_almost_as_many_times_as_much(stages: int) -> None:
    of = line(stages, stages, "ideal", "even")
    seconds = [each.decoding(64, 64 * 164) for each in of]
    assert max(seconds) < 1.02 * min(seconds)
    requests = [Request(str(i), 0.0, 64, 200) for i in range(64 * stages)]
    pipeline, ended = serve(of, "vllm-v1", [Blocks(10_000, 16) for _ in of], "fcfs", 8192, 64, False, requests)
    _, alone = serve(of, "vllm-v1", [Blocks(10_000, 16)], "fcfs", 8192, 64, False, requests[:64])
    together, one = (max(each.last for each in some) for some in (ended, alone))
    assert one <= together <= 1.06 * one, "as many times as many requests; the line fills with prompts once"
    assert {pool.number for pool in pipeline.pools} == {200}, "equal shares take turns"


@settings(max_examples=5, deadline=None)
@given(traces(), st.sampled_from(LINES))
def test_no_stage_serves_two_at_once_and_none_is_left_out(requests: list[Request], machine: tuple[Any, ...]) -> None:
    of, spans = line(*machine), []

    class Watched(FlowShop):
        def _passed(self, seconds: Any) -> float:
            leaves = super()._passed(seconds)
            spans.append([(end - each, end) for each, end in zip(seconds, self.free, strict=True)])
            assert self.now + leaves == pytest.approx(self.free[-1], rel=1e-12)
            return leaves

    shared = Watched(of)
    pools = [Pool(shared, Blocks(400, 16), registered("scheduler", "vllm-v1")(Settings())) for _ in of]
    pipeline = Pipeline(shared, pools)
    for number, request in enumerate(requests):
        pipeline.arrive(Sequence(request, number, request.arrival_s, 4096))
    pipeline.advance()
    for before, after in pairwise(spans):
        assert all(ends <= begins * (1 + 1e-12) for (_, ends), (begins, _) in zip(before, after, strict=True))
    for iteration in spans:
        assert all(ends <= begins * (1 + 1e-12) for (_, ends), (begins, _) in pairwise(iteration))


@settings(max_examples=6, deadline=None)
@given(traces(), st.integers(1, 3))
def test_a_service_of_pipelines_serves_all_and_a_closed_loop_keeps_its_number(
    requests: list[Request], replicas: int
) -> None:
    of = line(2, 2, "ideal", "dense")

    def replica() -> Pipeline:
        shared = FlowShop(of)
        pools = [Pool(shared, Blocks(500, 16), registered("scheduler", "vllm-v1")(Settings())) for _ in of]
        return Pipeline(shared, pools)

    for in_flight, balance in ((None, "least_loaded"), (3, "round_robin"), (None, "kv_aware")):
        ended: list[tuple[float, float]] = []
        service = Service(
            [replica() for _ in range(replicas)],
            4096,
            balance,
            lambda s, _, ended=ended: ended.append((s.came, s.last)),
        )
        service.run(requests, in_flight)
        assert len(ended) == len(requests)
        assert service.now == max(last for _, last in ended)
        if in_flight and replicas == 1 and max(r.arrival_s for r in requests) == 0:
            assert all(sum(a <= at < b for a, b in ended) <= in_flight for at, _ in ended)


def test_blocks_are_those_of_the_stage_with_the_least_room() -> None:
    deployed = deployment(scenario(2, 2, "ideal", "dense"), requests=True)
    blocks = most_blocks(deployed, 16, 2048)
    parts = [each.part for each in stages_of(deployed)]
    assert [part.layers for part in parts if part] == pytest.approx([8 - parts[1].layers, parts[1].layers])
    token = 2 * 8 * 128 * 2 * max(part.layers for part in parts if part)
    assert 0.9 < blocks * 16 * token / deployed.low.system.free(deployed.low.tier) < 1
    run = {"kind": "requests", "requests": 2, "input": 3000, "output": 8}
    few = {"scheduler": {"kind": "vllm-v1"}, "kv_store": {"kind": "blocks", "block": 16, "blocks": 300}}
    with pytest.raises(CapacityError, match="needs 188 blocks, there are 150 blocks"):
        evaluate(scenario(2, 2, "ideal", "dense", workload=run, mapping=few))


def test_who_never_joins_is_told() -> None:
    of = line(2, 2, "ideal", "dense")
    with pytest.raises(ConfigError, match="request a never joins"):
        serve(of, "orca", [Blocks(100, 16) for _ in of], "fcfs", 2048, 8, False, [Request("a", 0.0, 400, 200)])


def test_experts_are_spread_over_no_nodes_but_those_of_stages() -> None:
    chosen = {"scheduler": {"kind": "vllm-v1"}}
    work = {"kind": "requests", "requests": 1, "input": 64, "output": 2}
    with pytest.raises(ConfigError, match=r"hardware.nodes: found 2, over which .*mapping.scheduler.replicas"):
        evaluate(scenario(1, 16, "ideal", "experts", workload=work, mapping=chosen))
    assert evaluate(scenario(2, 16, "ideal", "experts", workload=work, mapping=chosen)).metrics["ended"] == 1


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({}, "pipeline: found 2, expected 1, or a scheduler of a program"),
        (
            {"scheduler": {"kind": "vllm-v0", "preempt": "swap"}, "kv_store": {"swap": "host"}},
            "2 with a scheduler that",
        ),
        (
            {"scheduler": {"kind": "vllm-v1", "prompts": 1}, "kv_store": {"link": 1e9}},
            "2 with prompts that are computed",
        ),
        ({"scheduler": {"kind": "vllm-v1"}, "kv_store": {"kind": "prefix", "tiers": ["host"]}}, "2 with a kv_store of"),
    ],
)
def test_what_is_not_served_so_is_refused_by_name(mapping: dict[str, Any], message: str) -> None:
    work = {"kind": "requests", "requests": 2, "input": 64, "output": 8}
    with pytest.raises(ConfigError, match=message):
        evaluate(scenario(2, 2, "ideal", "dense", workload=work, mapping=mapping))
