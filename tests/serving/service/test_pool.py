"""The fast pool equals one that goes token by token: every time of every request."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.mapping.form import Scheduler as Settings
from simulator.registry import registered
from simulator.scenario.form import Scenario
from simulator.scenario.parts import deployment
from simulator.serving.kv.blocks import Blocks
from simulator.serving.kv.prefix import PrefixBlocks
from simulator.serving.service.iteration import Iterations
from simulator.serving.service.pool import Pool
from simulator.serving.service.sequence import Sequence
from simulator.serving.stages import Stages
from simulator.workload.requests.request import Request
from tests.serving.service import stepping
from tests.serving.service.stepping import Stepping, WithPrefixes

MACHINES = (
    ("h100-sxm", "gpu-libraries"), ("a100-sxm-80gb", "vllm"), ("rtx4090-gen4", "ideal"),
    ("h100-sxm", "vllm-v1", "modelled"),
)  # fmt: skip
"""An efficiency that bends, a host before the devices, straight lines, and models of kernels."""


@cache
def iterations(machine: str, runtime: str, kernels: str = "roofline") -> Iterations:
    mapping = {"devices": 1, "runtime": runtime, "kernels": kernels}
    parts = {"hardware": machine, "model": "llama-3.1-8b", "mapping": mapping}
    return Iterations(
        Stages(deployment(Scenario.model_validate({**parts, "workload": {"kind": "requests"}}), requests=True))
    )


@st.composite
def traces(draw: st.DrawFn) -> list[Request]:
    number, rate = draw(st.integers(1, 30)), draw(st.sampled_from([1.0, 20.0, 300.0, np.inf]))
    random = np.random.default_rng(draw(st.integers(0, 10**6)))
    arrivals = np.cumsum(random.exponential(1 / rate, number))
    longest = draw(st.sampled_from([3, 60, 700]))
    return [
        Request(
            str(i), float(at), int(random.integers(1, longest + 1)), int(random.integers(1, 120)), max_tokens=130,
            priority=int(random.integers(0, 3)), slo=float(random.integers(1, 9)),
        )
        for i, at in enumerate(arrivals)
    ]  # fmt: skip


@st.composite
def sessions(draw: st.DrawFn) -> list[Request]:
    """Requests with prefixes of a few lengths, and sessions whose prompts go on with what was said."""
    number, rate = draw(st.integers(1, 30)), draw(st.sampled_from([2.0, 20.0, 200.0, np.inf]))
    random = np.random.default_rng(draw(st.integers(0, 10**6)))
    longest = draw(st.sampled_from([3, 60, 200]))
    said: dict[str, int] = {}
    requests = []
    for i, at in enumerate(np.cumsum(random.exponential(1 / rate, number))):
        new, output, prefix = int(random.integers(1, longest + 1)), int(random.integers(1, 80)), [0, 7, 37, 90][i % 4]
        common: dict[str, Any] = {"prefix_id": f"p{prefix}", "prefix_tokens": prefix} if prefix else {}
        if random.random() < 0.4:
            session = f"s{random.integers(0, 3)}"
            context = said.get(session, 0) % 250
            said[session] = context + new + output
            common, prefix = {"session_id": session, "context_tokens": context}, context
        requests.append(
            Request(str(i), float(at), prefix + new, output, 130, priority=int(random.integers(0, 3)), **common)
        )
    return requests


def times(served: Any) -> list[float]:
    return [served.scheduled, served.times[0], served.times[-1]]


SCHEDULERS = (
    "vllm-v1", "vllm-v0", "vllm-v0-swapping", "sarathi", "orca", "static", "trt-llm-no-evict",
    "trt-llm-max-utilisation", "sglang",
)  # fmt: skip


def copy_seconds(tokens: int) -> float:
    return 1e-6 * tokens


def serve(
    scheduler: str,
    of: Iterations,
    store: Blocks | PrefixBlocks,
    order: str,
    tokens: int,
    most: int,
    requests: list[Request],
    ahead: bool = False,
) -> tuple[Pool, list[Sequence]]:
    ended: list[Sequence] = []
    how = "swap" if scheduler.endswith("swapping") else None
    settings = Settings(tokens=tokens, max_sequences=most, preempt=how)
    made = registered("scheduler", scheduler.removesuffix("-swapping"))(settings)
    pool = Pool(of, store, made, order, ended.append, copy_seconds, ahead=ahead)
    for number, request in enumerate(requests):
        pool.arrive(Sequence(request, number, request.arrival_s, 4096))
    pool.advance()
    return pool, ended


def check_equal(ended: list[Sequence], slow: dict[str, Any]) -> None:
    assert len(ended) == len(slow), "no request is lost or made"
    for each in ended:
        expected = slow[each.request.request_id]
        assert [each.scheduled, each.first, each.last] == pytest.approx(times(expected), rel=1e-9)
        assert each.preemptions == expected.lost


limits = st.tuples(
    st.sampled_from([1, 4, 16]), st.sampled_from([64, 300, 2048]), st.integers(1, 40), st.integers(900, 4000),
    st.sampled_from(["fcfs", "priority", "shortest", "deadline"]),
)  # fmt: skip
machines = st.sampled_from(MACHINES)


@pytest.mark.parametrize("scheduler", SCHEDULERS)
@settings(max_examples=15, deadline=None)
@given(traces(), machines, limits, st.booleans())
def test_it_equals_stepping(
    scheduler: str, requests: list[Request], machine: tuple[str, ...], limits: Any, ahead: bool
) -> None:
    size, tokens, most, total, order = limits
    of, policy = iterations(*machine), getattr(stepping, scheduler.replace("-", "_"))
    slow = Stepping(of, size, total // size, policy, order, tokens, most, ahead, copy_seconds=copy_seconds).run(
        requests
    )
    pool, ended = serve(scheduler, of, Blocks(total // size, size), order, tokens, most, requests, ahead)
    check_equal(ended, slow)
    assert pool.store.free == pool.store.total, "all is given back"
    assert pool.count == pool.cached == 0
    assert pool.answer_tokens == sum(r.output_tokens for r in requests), "no token is lost or made"
    assert pool.gaps.count == pytest.approx(sum(r.output_tokens - 1 for r in requests))


@pytest.mark.parametrize("scheduler", [each for each in SCHEDULERS if each != "vllm-v0-swapping"])
@settings(max_examples=10, deadline=None)
@given(sessions(), machines, limits)
def test_with_prefixes_it_equals_blocks_one_by_one(
    scheduler: str, requests: list[Request], machine: tuple[str, ...], limits: Any
) -> None:
    size, tokens, most, total, order = limits
    total //= 2
    of, policy = iterations(*machine), getattr(stepping, scheduler.replace("-", "_"))
    slow = WithPrefixes(of, size, total // size, policy, order, tokens, most).run(requests)
    pool, ended = serve(scheduler, of, PrefixBlocks(total // size, size), order, tokens, most, requests)
    check_equal(ended, slow)
    assert pool.store.free == pool.store.total, "all is given back"
