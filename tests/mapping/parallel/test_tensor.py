"""Over which devices a model divides; and how a training step does: each has the gradients of what it has."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator import estimate, kernels, roofline
from simulator.errors import CapacityError, ConfigError
from simulator.hardware import load_system
from simulator.mapping.lowering import model_plan
from simulator.mapping.parallel.tensor import check_ways, even_ways, shard
from simulator.mapping.target import target
from simulator.scenario.evaluator import evaluated
from simulator.scenario.form import Scenario
from simulator.workload import Operator, decode, load_model, prefill, training_graph
from tests.deployed import deployment, kept

NAMES = ("llama-2-7b", "llama-3-70b", "falcon-40b", "bloom-176b", "mixtral-8x7b")
SHARED = (*NAMES, "falcon-7b", "qwen2-7b", "qwen2-57b-a14b", "deepseek-v3", "grok-1", "yi-34b", "llama-3.1-405b")


def operators(name: str) -> dict[str, Operator]:
    return {operator.name: operator for operator, _ in training_graph(load_model(name), prefill(1, 64)).operators()}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("ways", [2, 8, 16])
def test_a_device_has_the_gradients_of_its_share_of_a_product(name: str, ways: int) -> None:
    found = operators(name)
    products = [o for n, o in found.items() if o.kind == "gemm" and f"{n}.dgrad" in found]
    assert products
    for operator in products:
        share, back = shard(operator, ways), shard(found[f"{operator.name}.dgrad"], ways)
        of_weights = shard(found[f"{operator.name}.wgrad"], ways)
        assert share.flops == back.flops == of_weights.flops
        assert back.bytes["output"] == share.bytes["input"]
        assert back.bytes["input"] == share.bytes["output"]
        for kind in ("weight", "expert"):
            assert back.bytes.get(kind) == share.bytes.get(kind)
        weights = share.bytes.get("weight", 0.0) + share.bytes.get("expert", 0.0)
        assert of_weights.bytes["state_write"] == weights
        if "saved_read" in of_weights.bytes and operator.split in ("columns", "rows"):
            assert of_weights.bytes["saved_read"] == share.bytes["input"]


def test_the_optimizer_steps_each_devices_parameters() -> None:
    step = operators("llama-2-7b")["optimizer"]
    assert shard(step, 8).total_bytes == step.total_bytes / 8
    assert shard(step, 8).flops == step.flops / 8


@pytest.mark.parametrize("name", SHARED)
def test_devices_that_share_a_model_have_equal_shares_or_are_refused(name: str) -> None:
    model = load_model(name)
    attention, moe = model.attention, model.moe
    widths = [each.intermediate for each in (model.ffn, moe) if each] + [moe.shared_intermediate if moe else 0]
    for ways in range(1, attention.heads + 2):
        of_kv = attention.kv_heads % ways == 0 or ways % attention.kv_heads == 0
        even = attention.heads % ways == 0 and of_kv and all(width % ways == 0 for width in widths)
        assert (ways in even_ways(model)) == even
        if even:
            check_ways(model, ways)
        else:
            with pytest.raises(ConfigError, match=rf"found {ways}, .*expected .*\b1\b"):
                check_ways(model, ways)


@given(st.sampled_from(SHARED), st.sampled_from([1, 2, 4, 8]), st.integers(1, 4096))
def test_advice_names_devices_that_can_share_the_model(name: str, devices: int, batch: int) -> None:
    model = load_model(name)
    if devices not in even_ways(model):
        return
    one = load_system("dgx-a100").with_devices(devices)
    try:
        kept(one, model, batch, 1000).check()
    except CapacityError as error:
        advised = re.search(r"(\d+) of gpu", error.remedy)
        if advised:
            count = int(advised[1])
            assert count in even_ways(model)
            kept(one.with_devices(count), model, batch, 1000).check()
            fewer = [ways for ways in even_ways(model) if devices < ways < count]
            for ways in fewer:
                with pytest.raises(CapacityError):
                    kept(one.with_devices(ways), model, batch, 1000).check()


@pytest.mark.parametrize("devices", range(1, 9))
def test_every_way_to_ask_refuses_devices_that_do_not_divide_a_model(devices: int) -> None:
    asks = [
        lambda: estimate("dgx-h100", "llama-3-8b", devices=devices),
        lambda: estimate(
            "dgx-h100", "llama-3.1-70b", devices=devices, draft={"model": "llama-3-8b", "acceptance": 0.8}
        ),
        lambda: kernels("dgx-h100", "llama-3-8b", devices=devices),
        lambda: roofline("dgx-h100", "llama-3-8b", devices=devices),
        lambda: deployment(load_system("duplex-node", [f"devices.xpu.count={devices}"]), load_model("llama-3-8b")),
        lambda: model_plan(
            target(load_system("dgx-h100").with_devices(devices)), load_model("llama-3-8b"), decode(1, 9)
        ),
    ]
    for ask in asks if devices > 2 else asks[:1]:
        if devices in (1, 2, 4, 8):
            ask()
        else:
            with pytest.raises(
                ConfigError, match=rf"^(mapping\.)?devices: .*found {devices}, which do not divide its \d+ heads"
            ):
                ask()


def test_stages_and_replicas_share_what_does_not_divide() -> None:
    assert estimate("dgx-h100", "qwen2-7b", batch=8, tensor=4, data=2).deployment.parallel.tensor == 4
    with pytest.raises(ConfigError, match=r"found 8, which do not divide its 28 heads, expected one of 1, 2, 4"):
        estimate("dgx-h100", "qwen2-7b")


def test_points_of_a_sweep_that_do_not_divide_say_so() -> None:
    scenario = Scenario(hardware="dgx-h100", model="llama-3-8b")
    found = evaluated(scenario, {"mapping.devices": np.array([1, 3, 4])})
    assert [bool(each) for each in found["error"]] == [False, True, False]
    assert "found 3, which do not divide its 32 heads" in found["error"][1]
