"""Ranks in lockstep that share experts: equal to stepping, and to an estimate where all have as much to do."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator import evaluate
from simulator.core.closed_form import alone
from simulator.errors import ConfigError
from simulator.mapping.deployment import Deployment
from simulator.mapping.form import Scheduler as Settings
from simulator.mapping.parallel.serving_stages import ranked
from simulator.registry import registered
from simulator.scenario.form import Scenario
from simulator.scenario.parts import deployment
from simulator.scenario.requests.serve import serve as serve_scenario
from simulator.serving.iteration.iterations import Iterations, Run
from simulator.serving.iteration.lockstep import lockstep
from simulator.serving.kv.blocks import Blocks
from simulator.serving.kv.prefix import PrefixBlocks
from simulator.serving.service.pool import Pool
from simulator.serving.service.ranks import Ranks
from simulator.serving.service.sequence import Sequence
from simulator.serving.service.work import demand
from simulator.serving.stages import Stages
from simulator.workload import Batch, Ragged, decode, prefill
from simulator.workload.requests.request import Request
from tests.serving.service import stepping
from tests.serving.service.stepping import InLockstep, Load, Stepping, WithPrefixes
from tests.serving.service.test_pool import check_equal, limits, sessions, traces

MODELS: dict[str, dict[str, Any]] = {
    "mixtral": {"extends": "mixtral-8x7b", "layers": 3},
    "deepseek": {"extends": "deepseek-v2-lite", "layers": 4},
    "windows": {"extends": "mixtral-8x7b", "layers": 3, "attention.window": 48},
}
NODES = {"node<->node": {"bandwidth": "50 GB/s", "latency": "5 us", "energy": "10 pJ/bit"}}
MACHINES = (
    (4, 4, 1, "ideal", "mixtral"), (4, 8, 1, "vllm", "deepseek"), (2, 2, 1, "gpu-libraries", "windows"),
    (4, 4, 2, "gpu-libraries", "deepseek"),
)  # fmt: skip
"""Ranks, devices, nodes, runtime and model."""


def scenario(
    ranks: int, devices: int, nodes: int, runtime: str, model: str, work: dict[str, Any], **mapping: Any
) -> Scenario:
    machine = {"extends": "dgx-h100", "nodes": nodes, "devices": {"gpu": {"count": devices // nodes}}, "links": NODES}
    chosen = {"data": ranks, "experts": "whole", "runtime": runtime, **mapping}
    parts = {"hardware": machine, "model": MODELS[model], "mapping": chosen, "workload": work}
    return Scenario.model_validate(parts)


@cache
def deployed(*machine: Any) -> Deployment:
    return ranked(deployment(scenario(*machine, {"kind": "requests"}, scheduler={"kind": "vllm-v1"}), requests=True))


@cache
def iterations(*machine: Any) -> Iterations:
    return Iterations(Stages(deployed(*machine)))


def pools(of: Iterations, number: int, blocks: int, size: int, scheduler: str, tokens: int, most: int, order: str,
          ahead: bool) -> list[Pool]:  # fmt: skip
    made = registered("scheduler", scheduler)
    return [
        Pool(of, Blocks(blocks, size), made(Settings(tokens=tokens, max_sequences=most)), order, ahead=ahead)
        for _ in range(number)
    ]


def serve(replica: Ranks | Pool, requests: list[Request]) -> list[Sequence]:
    ended: list[Sequence] = []
    replica.ended = ended.append
    for number, request in enumerate(requests):
        replica.arrive(Sequence(request, number, request.arrival_s, 4096))
    replica.advance()
    return ended


SLOW = ("sarathi", "orca", "static", "trt-llm-no-evict", "trt-llm-max-utilisation")


@pytest.mark.parametrize(
    "scheduler", ["vllm-v1", "vllm-v0", "sglang", *(pytest.param(s, marks=pytest.mark.slow) for s in SLOW)]
)
@settings(max_examples=5, deadline=None)
@given(traces(), st.sampled_from(MACHINES), limits, st.booleans())
def test_it_equals_stepping(
    scheduler: str, requests: list[Request], machine: tuple[Any, ...], limits: Any, ahead: bool
) -> None:
    size, tokens, most, total, order = limits
    of, policy, each = iterations(*machine), getattr(stepping, scheduler.replace("-", "_")), total // size
    engines = [Stepping(Load(of.cuts), size, each, policy, order, tokens, most, ahead) for _ in range(machine[0])]
    slow = InLockstep(engines, together=lambda loads: lockstep(of, loads)[0])
    replica = Ranks(of, pools(of, machine[0], each, size, scheduler, tokens, most, order, ahead))
    spans: dict[Pool, list[tuple[float, float]]] = {pool: [] for pool in replica.pools}
    for pool in replica.pools:
        pool.watch = lambda pool, start, *_: spans[pool].append((start, pool.now))
    check_equal(serve(replica, requests), slow.run(requests))
    first, *others = spans.values()
    assert all(each == first for each in others), "all begin and end at the same times"
    assert all(end <= start for (_, end), (start, _) in pairwise(first))
    assert sum(pool.answer_tokens for pool in replica.pools) == sum(r.output_tokens for r in requests)
    assert all(pool.store.free == pool.store.total for pool in replica.pools), "all is given back"
    assert replica.outstanding == 0
    assert all(pool.work.often.total() == len(first) for pool in replica.pools), "all experts are used in each"


@settings(max_examples=5, deadline=None)
@given(sessions(), st.sampled_from(MACHINES), limits)
def test_with_prefixes_it_equals_blocks_one_by_one(
    requests: list[Request], machine: tuple[Any, ...], limits: Any
) -> None:
    size, tokens, most, total, order = limits
    of, each = iterations(*machine), max(total // 2, 600 + size) // size
    engines = [
        WithPrefixes(Load(of.cuts), size, each, stepping.vllm_v1, order, tokens, most) for _ in range(machine[0])
    ]
    slow = InLockstep(engines, together=lambda loads: lockstep(of, loads)[0])
    made = registered("scheduler", "vllm-v1")(Settings(tokens=tokens, max_sequences=most))
    replica = Ranks(of, [Pool(of, PrefixBlocks(each, size), made, order) for _ in engines])
    check_equal(serve(replica, requests), slow.run(requests))


@settings(max_examples=5, deadline=None)
@given(traces(), limits, st.booleans())
def test_one_rank_alone_is_the_pool_to_the_bit(requests: list[Request], limits: Any, ahead: bool) -> None:
    size, tokens, most, total, order = limits
    of = iterations(*MACHINES[0])

    class OneByOne(Iterations):
        def mixed(self, *figures: Any) -> float:
            return lockstep(self, [(figures[:6], figures[7])])[0]

        def run(self, sequences: int, context: int, *_: Any) -> Run:
            seconds = lockstep(self, [((0, 0, 0.0, 0, sequences, context), ())])[0]
            return Run(1, seconds, seconds, seconds)

    alone = OneByOne(of.stages)
    (pool,) = pools(alone, 1, total // size, size, "vllm-v1", tokens, most, order, ahead)
    replica = Ranks(of, pools(of, 1, total // size, size, "vllm-v1", tokens, most, order, ahead))
    expected, ended = serve(pool, requests), serve(replica, requests)
    assert [(e.number, e.scheduled, e.first, e.last) for e in ended] == [
        (e.number, e.scheduled, e.first, e.last) for e in expected
    ]
    (other,) = replica.pools
    assert (other.number, other.busy, other.work.sums, other.work.often) == (
        pool.number, pool.busy, pool.work.sums, pool.work.often,
    )  # fmt: skip


def spread(tokens: float) -> Batch:
    """What each rank has of the tokens of all."""
    return (Ragged("decode", tokens, tokens, tokens, tokens, {}),)


def parts(of: Deployment, batch: Batch, experts: bool) -> Iterator[tuple[float, dict[Any, Any]]]:
    """What an estimate's pass of one rank does, of routed experts or of all else: seconds and demands."""
    for activity, times in of.lowering.plan(of.model, batch).activities():
        if activity.name.startswith("moe.experts.") == experts:
            yield times * float(alone(activity)), {r: times * float(units) for r, units in activity.demand.items()}


@settings(max_examples=8, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 50), st.integers(1, 3000)), min_size=4, max_size=4),
    st.sampled_from(["prompts", "decoding", "both"]),
)
def test_the_slowest_rank_counts_and_the_experts_of_all_tokens(loads: list[tuple[int, int]], what: str) -> None:
    machine = MACHINES[3]
    of, busy = deployed(*machine), [(n, length) for n, length in loads if n] or [(1, 5)]

    def batch(n: int, length: int) -> Batch:
        prompts = prefill(n, length) if what != "decoding" else ()
        return (*prompts, *(decode(n, length) if what != "prompts" else ()))

    def sums(n: int, length: int) -> Any:
        prompts = (n, n * length, n * length * (length + 1) / 2, 0) if what != "decoding" else (0, 0, 0.0, 0)
        return (*prompts, *((n, n * length) if what != "prompts" else (0, 0)))

    seconds, routed = lockstep(iterations(*machine), [(sums(*each), ()) for each in busy])
    own = max(sum(each for each, _ in parts(of, batch(*load), experts=False)) for load in busy)
    new = {"prompts": (1, 0), "decoding": (0, 1), "both": (1, 1)}[what]
    assert routed == sum(n * (length * new[0] + new[1]) for n, length in busy)
    shared = sum(each for each, _ in parts(of, spread(routed / machine[0]), experts=True))
    assert seconds == pytest.approx(own + shared, rel=1e-9)


@pytest.mark.parametrize("machine", MACHINES)
def test_equal_loads_are_the_estimate(machine: tuple[Any, ...]) -> None:
    lengths = {"input": 300, "output": 20}
    batch = evaluate(scenario(*machine, {"kind": "batch", "batch": machine[0], **lengths})).metrics
    closed = {"kind": "requests", "loop": "closed", "batch": machine[0], "rounds": 1, "spread": 0, **lengths}
    of = evaluate(scenario(*machine, closed, scheduler={"kind": "vllm-v1"})).metrics
    for name, expected in (("ttft_p99_s", "ttft_s"), ("e2e_p50_s", "e2e_s"), ("energy_per_token_j",) * 2):
        assert of[name] == pytest.approx(float(batch[expected]), rel=1e-9)
    assert of["busy"] == pytest.approx(1.0)


def test_the_link_of_a_node_is_used_by_all_its_ranks() -> None:
    closed = {"kind": "requests", "loop": "closed", "batch": 6, "rounds": 1, "input": 100, "output": 12}
    for replicas in (1, 2):
        chosen = {"kind": "vllm-v1", "replicas": replicas}
        used = serve_scenario(scenario(4, 4, 2, "ideal", "deepseek", closed, scheduler=chosen)).utilisation
        assert used["node->node"] == pytest.approx(used["gpu.gpu (link of its node)"], rel=1e-9)
        assert 0 < max(used.values()) <= 1


def test_one_request_alone_demands_its_rank_and_the_experts_of_all() -> None:
    machine = MACHINES[3]
    of, replica = (
        deployed(*machine),
        Ranks(iterations(*machine), pools(iterations(*machine), 4, 200, 16, "vllm-v1", 2048, 8, "fcfs", False)),
    )
    (ended,) = serve(replica, [Request("alone", 0.0, 500, 1)])
    expected: dict[Any, float] = {}
    seconds = 0.0
    for experts, batch, ranks in ((False, prefill(1, 500), 1), (True, spread(500 / 4), 4)):
        for each, demands in parts(of, batch, experts):
            seconds += each
            for resource, units in demands.items():
                expected[resource] = expected.get(resource, 0.0) + ranks * units
    assert ended.last == pytest.approx(seconds, rel=1e-9)
    found = demand(iterations(*machine), [pool.work for pool in replica.pools])
    assert {r.name: u for r, u in found.items()} == pytest.approx({r.name: u for r, u in expected.items()}, rel=1e-9)


def test_replicas_of_ranks_serve_a_closed_loop() -> None:
    closed = {"kind": "requests", "loop": "closed", "batch": 6, "rounds": 4, "input": 100, "output": 12}
    for balance in ("round_robin", "least_loaded", "kv_aware"):
        chosen = {"kind": "vllm-v1", "replicas": 2, "balance": balance}
        assert evaluate(scenario(*MACHINES[0], closed, scheduler=chosen)).metrics["ended"] == 24


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({"pipeline": 2, "data": 2}, "pipeline: found 2, expected 1 with experts"),
        ({"kernels": "modelled", "runtime": "vllm-v1"}, "kernels: found 'modelled', expected 'roofline'"),
        ({"scheduler": {"kind": "vllm-v1", "prompts": 1}, "kv_store": {"link": 1e9}}, "data: found 4 with prompts"),
        ({"kv_store": {"kind": "prefix", "tiers": ["host"]}}, "data: found 4 with a kv_store of several tiers"),
        ({"scheduler": {"kind": "vllm-v0", "preempt": "swap"}, "kv_store": {"swap": "host"}}, "data: found 4 with a s"),
        ({"experts": "tensor"}, "data: found 4, expected 1, and more replicas"),
    ],
)
def test_what_does_not_go_with_ranks_is_refused_by_name(mapping: dict[str, Any], message: str) -> None:
    work = {"kind": "requests", "requests": 2, "input": 64, "output": 8}
    chosen = {"scheduler": {"kind": "vllm-v1"}, **mapping}
    with pytest.raises(ConfigError, match=message):
        evaluate(scenario(4, 4, 1, str(chosen.pop("runtime", "ideal")), "mixtral", work, **chosen))


def test_more_devices_than_experts_are_refused_with_more_replicas_in_their_place() -> None:
    work = {"kind": "requests", "requests": 2, "input": 64, "output": 8}
    with pytest.raises(ConfigError, match=r"experts: found whole, of 2 .*, or fewer devices, and more replicas"):
        evaluate(scenario(16, 16, 2, "ideal", "mixtral", work, scheduler={"kind": "vllm-v1"}))


def test_draws_of_another_router_are_refused_by_name() -> None:
    work = {"kind": "requests", "requests": 2, "input": 64, "output": 8, "router": "zipf"}
    with pytest.raises(
        ConfigError, match=r"workload.router: found .* with experts that ranks share, expected 'uniform'"
    ):
        evaluate(scenario(*MACHINES[0], work, scheduler={"kind": "vllm-v1"}))
