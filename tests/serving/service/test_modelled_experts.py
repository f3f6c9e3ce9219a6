"""Routed experts in a service whose kernels are modelled: beside latent attention, as an estimate."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.core import Resource, add
from simulator.errors import ConfigError
from simulator.scenario.evaluate import estimate
from simulator.serving.iteration.iterations import Iterations
from simulator.serving.kv.blocks import Blocks
from simulator.serving.service.work import Work, demand
from simulator.workload.requests.request import Request
from simulator.workload.routing.routers import zipf
from tests.serving.service.test_pool import MODELS, iterations, serve

MACHINE = ("h100-sxm", "sglang", "modelled", "experts")


@settings(max_examples=10, deadline=None)
@given(st.integers(2, 1500), st.integers(1, 200))
def test_a_request_alone_is_its_estimate(input: int, output: int) -> None:
    of = iterations(*MACHINE)
    _, (one,) = serve("vllm-v1", of, Blocks(2000), "fcfs", 2048, 4, [Request("0", 0.0, input, output)])
    of_batch = estimate(
        MACHINE[0], MODELS["experts"], 1, input, output, devices=1, runtime=MACHINE[1], kernels="modelled"
    )
    assert (one.first, one.last) == pytest.approx((of_batch.ttft_s, of_batch.e2e_s), rel=1e-9)


decoding = st.tuples(st.integers(1, 300), st.integers(1, 3))


@settings(max_examples=4, deadline=None)
@given(st.lists(decoding, min_size=1, max_size=3), st.lists(st.integers(2, 900), max_size=3))
def test_it_demands_what_its_iterations_do(runs: list[tuple[int, int]], prompts: list[int]) -> None:
    """Of memory and engine the same bytes and seconds, though ever fewer experts are new to more tokens."""
    of, work = iterations(*MACHINE), Work()
    expected: dict[Resource, float] = {}
    for sequences, number in runs:
        work.decoding(sequences, sequences * 100, number)
        for i in range(number):
            _demanded(expected, of, [0, 0, 0, sequences, sequences * (100 + i), 0])
    for tokens in prompts:
        work.mixed(1, tokens, tokens * (tokens + 1) / 2, 0, 0, 0)
        _demanded(expected, of, [1, tokens, tokens * (tokens + 1) / 2, 0, 0, 0])
    total = demand(of, [work])
    for resource, units in expected.items():
        if resource.energy != 0.0 or resource.name.endswith("(moe)"):  # not what a model of other kernels takes
            assert total[resource] == pytest.approx(units, rel=1e-12)


def _demanded(total: dict[Resource, float], of: Iterations, features: list[float]) -> None:
    for part in of.stages.shared_demand(np.array([[features]], dtype=float), features[0] > 0).values():
        add(total, part)


def test_another_router_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match=r"workload.router: .* with kernels 'modelled', expected 'uniform', or k"):
        Iterations(iterations(*MACHINE).stages, zipf(64, 6))
