"""A request that is served alone sees what an estimate of it says; a node without work takes no time."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.hardware import System, load_system
from simulator.scenario.evaluate import estimate
from simulator.serving.open_loop import StageTimes, chosen, serve
from simulator.serving.served import Served
from simulator.serving.stages import Stages
from simulator.workload import Model, load_model
from simulator.workload.requests.arrivals import Requests
from tests.deployed import deployment

MODELS = ["llama-2-7b", "llama-3.1-8b", "phi-2", "opt-6.7b"]
MACHINES = {"dgx-h100": "gpu", "dgx-a100": "gpu", "duplex-h100": "xpu"}


@cache
def machine(name: str, count: int, launch: int, latency: int) -> System:
    device = MACHINES[name]
    return load_system(
        name,
        (
            f"devices.{device}.count={count}",
            f"devices.{device}.engines.{device}.launch_overhead={launch} us",
            f"devices.{device}.tiers.hbm.latency={latency} ns",
        ),
    )


machines = st.builds(
    machine,
    st.sampled_from([*MACHINES]),
    st.sampled_from([1, 4]),
    st.sampled_from([0, 3, 50]),
    st.sampled_from([0, 400]),
)


def alone(system: System, model: Model, input: int, output: int) -> Served:
    of = Stages(deployment(system, model, (next(iter(system.engines)),)))
    request = Requests(np.zeros(1), np.array([input]), np.array([output]))
    return serve(StageTimes(of, chosen(request, None, 0, 1)), request, 1)


@settings(max_examples=10, deadline=None)
@given(machines, st.sampled_from(MODELS), st.integers(1, 700), st.integers(1, 300))
def test_a_request_alone_sees_its_estimate(system: System, model: str, input: int, output: int) -> None:
    served, of = alone(system, load_model(model), input, output), estimate(system, model, 1, input, output)
    assert served.ttft[0] == pytest.approx(of.ttft_s, rel=1e-9)
    assert served.e2e[0] == pytest.approx(of.e2e_s, rel=1e-9)


features = st.tuples(st.integers(1, 3), st.integers(1, 900), st.integers(1, 64), st.integers(0, 900))


@settings(max_examples=10, deadline=None)
@given(machines, st.sampled_from(MODELS), features)
def test_what_a_node_has_none_of_takes_no_time(system: System, model: str, drawn: tuple[int, int, int, int]) -> None:
    """Beside the prompts of another node it takes as long to decode, and prompts alone do not wait for the cache."""
    prompts, length, decoding, context = drawn
    of = Stages(deployment(system, load_model(model), (next(iter(system.engines)),)))
    prompt = [prompts, prompts * length, prompts * length * (length + 1) / 2, 0, 0, 0]
    decode = [0, 0, 0, decoding, decoding * context, 0]
    both = np.array([[prompt], [decode], [[0] * 6]], dtype=float)
    apart = of.shared(both, mixed=True)
    assert apart[1] == pytest.approx(of.shared(both[1:2], mixed=False)[0], rel=1e-12)
    assert apart[2] == 0
    whole = of.shared(both[:1] + np.array([0, 0, 0, 1, 0, 0]), mixed=True)[0]
    launch = float(np.mean(of.deployment.high.latency)) * len(of.model.decoder)
    assert apart[0] <= (whole - launch) * (1 + 1e-12), "the kernel of attention that decodes, once a layer"
    demand = of.shared_demand(both[2:], mixed=True)
    assert not any(demand.values()), "nor does it read a weight"
