"""Replicas that train together: what each keeps and sends, as ZeRO counts it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.core import closed_form
from simulator.core.events import events
from simulator.errors import ConfigError
from simulator.mapping.training.held import held_of_training
from simulator.mapping.training.step import TrainingStep
from simulator.scenario.evaluate import read_scenario
from simulator.scenario.evaluators.training import TrainingEvaluator
from simulator.workload import load_model, parameters
from tests.mapping.training.cases import CPU, GRADIENTS, scenario

STAGES = ["none", "optimizer", "gradients", "weights"]
COUNT = parameters(load_model("llama-2-7b", ["layers=4"])).total


def trained(data: int = 4, sharded: str = "none", tensor: int = 1, nodes: int = 1, **keys: Any) -> TrainingStep:
    machine = {
        "extends": "dgx-h100", "nodes": nodes, "devices": {"gpu": {"count": data * tensor // nodes}},
        **({"links": {"node<->node": {"bandwidth": "50 GB/s"}}} if nodes > 1 else {}),
    }  # fmt: skip
    asked = scenario(hardware=machine, **{"batch": data, **keys})
    asked["mapping"] |= {"data": data, "tensor": tensor, **({"sharded": sharded} if sharded != "none" else {})}
    return TrainingEvaluator.detail(read_scenario(asked))


def sent(of: TrainingStep, link: str = "gpu->gpu") -> float:
    return sum(float(units) for resource, units in of.plan.demand().items() if resource.name == link)


@pytest.mark.parametrize(("sharded", "published"), [*zip(STAGES, [120e9, 31.4e9, 16.6e9, 1.9e9], strict=True)])
def test_a_device_keeps_what_zero_has_it_keep(sharded: str, published: float) -> None:
    """7.5 billion parameters on 64 devices (arXiv 1910.02054, figure 1)."""
    of = trained(64, sharded, nodes=8)
    kept = sum(size * of.replicas.share(part) for part, size in of.kept.parts.items() if part != "activations")
    assert kept / COUNT * 7.5e9 == pytest.approx(published, rel=0.02)


@given(data=st.sampled_from([2, 4, 8]), micro_batches=st.sampled_from([1, 3]))
@settings(max_examples=4, deadline=None)
def test_replicas_send_gradients_once_and_gather_what_they_share(data: int, micro_batches: int) -> None:
    """Of 2 bytes a parameter: an all-reduce sends them twice, so do a reduce-scatter and an all-gather; of sharded
    weights also those of the backward pass (arXiv 1910.02054, section 7: 2 and 3 times), but for tables and head."""
    n, weights = micro_batches, 2 * COUNT
    each = {s: trained(data, s, batch=data * n, micro_batches=n) for s in STAGES}
    once = sum(each["none"].kept.parts[part] for part in ("embedding", "head"))
    asked = [2 * weights, 2 * weights, (n + 1) * weights, n * (weights + 2 * weights - once)]
    for of, size in zip(each.values(), asked, strict=True):
        assert sent(of) == pytest.approx((data - 1) / data * size, rel=1e-9)


def test_sharing_more_keeps_less_and_a_replica_computes_what_a_device_alone_does() -> None:
    steps = [trained(4, sharded) for sharded in STAGES]
    used = [sum(float(held.used) for held in held_of_training(of)) for of in steps]
    assert used[0] > used[1] > used[2]
    alone = trained(1, batch=1)
    forward = [float(closed_form(of.plans["forward"]).time) for of in (alone, *steps)]
    assert forward[1:4] == [forward[0]] * 3
    assert forward[4] > forward[0]
    update = [float(closed_form(of.plans["update"]).time) for of in (alone, *steps)]
    assert update[1] == update[0] > update[4]


def test_between_nodes_a_replica_has_its_part_of_the_link() -> None:
    inside, across = trained(8), trained(8, nodes=2)
    node = 2 * 1 / 2 * 2 * COUNT  # the gradients of a node, all-reduced over two
    assert sent(across, "node->node") * 4 == pytest.approx(node, rel=1e-9)
    assert float(closed_form(across.plan).time) > float(closed_form(inside.plan).time)


def test_groups_that_share_a_model_send_their_shards() -> None:
    one, two = trained(2), trained(2, tensor=2)
    other = trained(1, tensor=2, batch=1)
    assert sent(two) - sent(other) == pytest.approx(sent(one) / 2, rel=1e-9)


@pytest.mark.parametrize("sharded", STAGES)
def test_collectives_beside_layers_take_no_less_than_the_bound(sharded: str) -> None:
    plan = trained(4, sharded).plan
    timing = closed_form(plan)
    simulated = events(plan).time
    assert simulated >= float(timing.time) * (1 - 1e-9)
    assert not timing.exact or simulated == pytest.approx(float(timing.time), rel=1e-9)


HOST: dict[str, Any] = {
    "cpu": {
        "count": 1, "tiers": {"dram": {"kind": "ddr", "capacity": "1 TB", "bandwidth": "300 GB/s"}},
        "engines": {"cpu": {"kind": "cpu", "peak": {"fp32": "3 TFLOP/s"}, "reads": {"dram": {}}}},
    }
}  # fmt: skip


def offloaded(data: int, sharded: str, parallel: int, *rules: dict[str, Any]) -> TrainingStep:
    link = {"bandwidth": "55 GB/s", "parallel": parallel}
    machine = {
        "extends": "h100-sxm", "devices": {"gpu": {"count": data}, **HOST}, "links": {"cpu.dram<->gpu.hbm": link}
    }  # fmt: skip
    asked = scenario(*rules, hardware=machine, batch=data)
    asked["mapping"] |= {"engines": ["gpu"], "data": data, **({"sharded": sharded} if data > 1 else {})}
    return TrainingEvaluator.detail(read_scenario(asked))


def busy(of: TrainingStep, plan: str, name: str) -> float:
    return sum(r.seconds(float(units)) for r, units in of.plans[plan].demand().items() if r.name == name)


@pytest.mark.parametrize("parallel", [1, 4])
def test_replicas_that_share_a_host_keep_it_as_busy_as_one_that_has_it_alone(parallel: int) -> None:
    one, four = (offloaded(data, "gradients", parallel, CPU, GRADIENTS) for data in (1, 4))
    for name in ("cpu.dram", "cpu.cpu", "cpu.dram->cpu.cpu"):
        assert busy(four, "update", name) == pytest.approx(busy(one, "update", name), rel=1e-9)
    link = "gpu.hbm->cpu.dram"  # four links instead of one where there are so many
    assert busy(four, "backward", link) == pytest.approx(busy(one, "backward", link), rel=1e-9)
    rooms = [{each.tier: each for each in held_of_training(of)}["cpu.dram"] for of in (one, four)]
    assert rooms[1].capacity * 4 == rooms[0].capacity
    assert rooms[1].states * 4 == rooms[0].states


def test_sharded_weights_come_from_the_host_once_for_all_replicas() -> None:
    rule = {"of": ["ffn", "attention", "embedding", "head"], "in": "cpu.dram"}
    one, four = offloaded(1, "weights", 1, rule), offloaded(4, "weights", 4, rule)
    assert 4 * sent(four, "cpu.dram->gpu.hbm") == pytest.approx(sent(one, "cpu.dram->gpu.hbm"), rel=1e-9)
    assert sent(four) > 0.0


def test_parts_of_one_replica_and_weights_that_each_has_are_refused() -> None:
    with pytest.raises(ConfigError, match="data: 2 or more") as error:
        trained(1, "weights")
    assert tuple(error.value.path or ()) == ("mapping", "sharded")
    with pytest.raises(ConfigError, match="sharded: weights") as error:
        offloaded(4, "gradients", 4, {"of": "activations", "in": "cpu.dram"}, {"of": "ffn", "in": "cpu.dram"})
    assert tuple(error.value.path or ()) == ("mapping", "placement", 1, "of")
