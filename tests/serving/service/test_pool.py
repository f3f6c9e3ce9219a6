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
from simulator.serving.service.iteration import Iterations
from simulator.serving.service.pool import Pool
from simulator.serving.service.sequence import Sequence
from simulator.serving.stages import Stages
from simulator.workload.requests.request import Request
from tests.serving.service import stepping
from tests.serving.service.stepping import Stepping

MACHINES = (("h100-sxm", "gpu-libraries"), ("a100-sxm-80gb", "vllm"), ("rtx4090-gen4", "ideal"))
"""An efficiency that bends, a host before the devices, and straight lines."""


@cache
def iterations(machine: str, runtime: str, model: str = "llama-3.1-8b") -> Iterations:
    parts = {"hardware": machine, "model": model, "mapping": {"devices": 1, "runtime": runtime}}
    return Iterations(Stages(deployment(Scenario.model_validate({**parts, "workload": {"kind": "requests"}}), requests=True)))


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


def times(served: Any) -> list[float]:
    return [served.scheduled, served.times[0], served.times[-1]]


SCHEDULERS = (
    "vllm-v1", "vllm-v0", "vllm-v0-swapping", "sarathi", "orca", "static", "trt-llm-no-evict", "trt-llm-max-utilisation",
    "sglang",
)  # fmt: skip


def copy_seconds(tokens: int) -> float:
    return 1e-6 * tokens


@pytest.mark.parametrize("scheduler", SCHEDULERS)
@settings(max_examples=15, deadline=None)
@given(traces(), st.sampled_from(MACHINES), st.sampled_from(["fcfs", "priority", "shortest", "deadline"]), st.data())
def test_it_equals_stepping(scheduler: str, requests: list[Request], machine: tuple[str, str], order: str, data: st.DataObject) -> None:
    size, tokens = data.draw(st.sampled_from([1, 4, 16])), data.draw(st.sampled_from([64, 300, 2048]))
    most, total = data.draw(st.integers(1, 40)), data.draw(st.integers(900, 4000)) // size
    of = iterations(*machine)
    policy = getattr(stepping, scheduler.replace("-", "_"))
    slow = Stepping(of, size, total, policy, order, tokens, most, copy_seconds=copy_seconds).run(requests)
    ended: list[Sequence] = []
    how = "swap" if scheduler.endswith("swapping") else None
    made = registered("scheduler", scheduler.removesuffix("-swapping"))(
        Settings(tokens=tokens, max_sequences=most, preempt=how)
    )
    pool = Pool(of, Blocks(total, size), made, order, ended.append, copy_seconds)
    for number, request in enumerate(requests):
        pool.arrive(Sequence(request, number, request.arrival_s, 4096))
    pool.advance()
    assert len(ended) == len(requests) == len(slow), "no request is lost or made"
    for each in ended:
        expected = slow[each.request.request_id]
        assert [each.scheduled, each.first, each.last] == pytest.approx(times(expected), rel=1e-9)
        assert each.preemptions == expected.lost
    assert pool.store.free == total and pool.count == pool.cached == 0, "all is given back"
    assert pool.answer_tokens == sum(r.output_tokens for r in requests), "no token is lost or made"
    assert pool.gaps.count == pytest.approx(sum(r.output_tokens - 1 for r in requests))
