"""An engine that runs layers as a whole has its stages lowered as is registered for its kind: a fabric counts."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.core import closed_form
from simulator.errors import ConfigError
from simulator.hardware import load_system
from simulator.mapping.lowering import model_plan
from simulator.mapping.target import target
from simulator.serving.stages import Stages
from simulator.workload import decode, load_model, prefill
from simulator.workload.routing.routers import uniform, zipf
from tests.deployed import deployment

EXECUTE = "devices.socket.engines.rdu.fabric.launch.hardware.execute"


@cache
def stages(model: str, execute: int) -> Stages:
    system = load_system("sn40l-node", (f"{EXECUTE}={execute} us",))
    return Stages(deployment(system, load_model(model), experts="tensor"))


@pytest.mark.slow
@settings(max_examples=5, deadline=None)
@given(
    st.builds(stages, st.sampled_from(["llama-3.1-8b", "mixtral-8x7b"]), st.sampled_from([2, 200])),
    st.integers(1, 3), st.integers(2, 700), st.integers(1, 32), st.integers(1, 4000),
)  # fmt: skip
def test_a_stage_is_the_pass_of_its_sequences(
    of: Stages, prompts: int, length: int, sequences: int, context: int
) -> None:
    runner, model = target(of.deployment.system), of.model
    prompt = [prompts, prompts * length, prompts * length * (length + 1) / 2]
    decoding = [sequences, sequences * context]
    for features, passed in (
        ([*prompt, 0, 0, 0], prefill(prompts, length)),
        ([0, 0, 0, *decoding, 0], decode(sequences, context)),
        ([*prompt, *decoding, 0], prefill(prompts, length) + decode(sequences, context)),
    ):
        took = of.shared(np.array([[features]], dtype=float), mixed=features[0] > 0)[0]
        assert took == pytest.approx(float(closed_form(model_plan(runner, model, passed)).time), rel=1e-9)


def test_its_routed_experts_are_not_drawn() -> None:
    """They are part of the layer, for as many experts as uniform routing touches; another routing is refused."""
    of = stages("mixtral-8x7b", 2)
    assert of.layers == 0
    assert of.draws(uniform(8, 2)) is None
    with pytest.raises(ConfigError, match=r"workload.router: found one .* with socket.rdu, of kind dataflow, .*"):
        of.draws(zipf(8, 2))
    router = zipf(8, 2)
    on_gpus = Stages(deployment(load_system("dgx-h100"), load_model("mixtral-8x7b")))
    assert on_gpus.draws(router) is router


@pytest.mark.parametrize(
    ("overrides", "path"), [((), "experts: found 'whole' with"), (("nodes=2",), "nodes: found 2 with")]
)
def test_experts_are_not_spread_over_its_devices(overrides: tuple[str, ...], path: str) -> None:
    with pytest.raises(ConfigError, match=f"{path} socket.rdu, of kind dataflow, which runs a layer as a whole"):
        deployment(load_system("sn40l-node", overrides), load_model("mixtral-8x7b"))
