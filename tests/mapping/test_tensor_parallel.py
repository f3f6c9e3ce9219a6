"""How the operators of a training step divide over devices: each has the gradients of what it has."""

from __future__ import annotations

import pytest

from simulator.mapping.tensor_parallel import shard
from simulator.workload import Operator, load_model, prefill, training_graph

NAMES = ("llama-2-7b", "llama-3-70b", "falcon-40b", "bloom-176b", "mixtral-8x7b")


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
