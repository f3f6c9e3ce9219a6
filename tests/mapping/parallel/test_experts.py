"""Replicas of a static batch that share whole experts: what each device reads, sends and keeps."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest

from simulator.core import closed_form
from simulator.errors import ConfigError
from simulator.hardware import load_system
from simulator.mapping.deployment import Deployment, resolve
from simulator.mapping.form import Draft, MappingForm
from simulator.workload import Model, decode, load_model, operator_graph
from simulator.workload.model.parameters import weight_bytes_by_class
from simulator.workload.routing.distinct import uniform

BATCH, INPUT = 64, 300


@cache
def mixtral() -> Model:
    return load_model("mixtral-8x7b", ["layers=2"])


def deployed(nodes: int = 1, gpus: int = 8, model: Model | None = None, **mapping: Any) -> Deployment:
    system = load_system("dgx-h100", [f"nodes={nodes}", f"devices.gpu.count={gpus}", *LINK])
    return resolve(MappingForm(**mapping), system, model or mixtral())


LINK = ["links.node<->node={bandwidth: 400 GB/s, latency: 5 us}"]


def step(at: Deployment) -> Any:
    return at.passes(BATCH, INPUT, 8).step(float(INPUT))


def sent(at: Deployment, link: str) -> float:
    return sum(float(units) for resource, units in step(at).demand().items() if resource.name == link)


@pytest.mark.parametrize("experts", ["whole", None])
def test_one_device_that_shares_experts_with_none_is_one_device(experts: str | None) -> None:
    alone, spread = deployed(gpus=1), deployed(gpus=1, experts=experts)
    assert closed_form(step(alone)).time == closed_form(step(spread)).time
    demands = [{r.name: units for r, units in step(each).demand().items()} for each in (alone, spread)]
    assert demands[0] == demands[1]
    assert alone.footprint(BATCH, INPUT, 8).total == spread.footprint(BATCH, INPUT, 8).total


@pytest.mark.parametrize(("data", "tensor"), [(8, 1), (4, 2), (2, 4)])
def test_a_device_reads_its_part_of_the_experts_that_all_tokens_touch(data: int, tensor: int) -> None:
    at, moe = deployed(data=data, tensor=tensor, experts="whole"), mixtral().moe
    assert moe
    spread = at.lowering.engines[0].spread
    assert spread
    graph = operator_graph(mixtral(), decode(BATCH / data, INPUT), spread.routing(mixtral()))
    kept = weight_bytes_by_class(mixtral())["experts"] / moe.experts
    read = graph.totals().bytes["expert"] / tensor
    assert read * 8 == pytest.approx(kept * uniform(moe.experts, moe.top_k)(BATCH))
    alone = operator_graph(mixtral(), decode(BATCH / data, INPUT)).totals()
    assert graph.totals().flops == alone.flops


@pytest.mark.parametrize(("data", "tensor"), [(8, 1), (4, 2), (2, 4)])
def test_the_all_to_alls_send_what_tokens_picked_less_each_devices_own(data: int, tensor: int) -> None:
    model, moe = mixtral(), mixtral().moe
    assert moe
    rows = BATCH / data * moe.top_k * model.hidden * 2 / tensor
    reduced = sent(deployed(data=data, tensor=tensor), "gpu->gpu")
    got = sent(deployed(data=data, tensor=tensor, experts="whole"), "gpu->gpu")
    assert got - reduced == pytest.approx(2 * model.layers * rows * 7 / 8)


def test_between_nodes_each_replica_sends_its_own_rows_at_its_part_of_the_rate() -> None:
    model, moe = mixtral(), mixtral().moe
    assert moe
    at = deployed(nodes=2, gpus=4, data=8, experts="whole")
    rows = BATCH / 8 * moe.top_k * model.hidden * 2
    crossed = 2 * model.layers * rows / 2
    assert sent(at, "node->node") == pytest.approx(crossed)
    demand = step(at).demand()
    (part,) = (resource for resource in demand if resource.name == "gpu.gpu (link of its node)")
    assert demand[part] == pytest.approx(4 * at.high.system["node->node"].seconds(crossed))
    assert part.energy == 0


def test_memory_is_the_model_once_for_experts_and_a_copy_of_the_rest_a_replica() -> None:
    spread = deployed(data=8, experts="whole").footprint(BATCH, INPUT, 8).total
    whole = weight_bytes_by_class(mixtral())
    others = sum(whole.values()) - whole["experts"]
    assert spread.weights == pytest.approx(whole["experts"] + 8 * others)
    assert spread.weights < deployed(data=8).footprint(BATCH, INPUT, 8).total.weights


def test_many_tokens_a_device_make_replicas_that_share_experts_read_less() -> None:
    own, spread = (float(closed_form(step(deployed(data=8, experts=each))).time) for each in (None, "whole"))
    assert spread < own


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({"data": 2, "experts": "tensor"}, "experts: found tensor, of 4 devices an expert"),
        ({"data": 4, "expert": 4}, "expert: found 4, of 2 devices an expert"),
        ({"data": 4, "pipeline": 2, "experts": "whole"}, "pipeline: found 2, expected 1 with experts"),
        ({"data": 8, "experts": "whole", "kernels": "modelled"}, "kernels: found 'modelled', expected 'roofline'"),
    ],
)
def test_a_split_that_is_not_built_is_refused_by_its_key(mapping: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        deployed(**mapping).passes(BATCH, INPUT, 8)


def test_a_model_without_experts_spreads_none() -> None:
    with pytest.raises(ConfigError, match="expected a model with experts, which llama-3-8b has not"):
        deployed(model=load_model("llama-3-8b", ["layers=2"]), data=8, experts="whole").passes(BATCH, INPUT, 8)


def test_groups_of_one_device_are_whole_experts() -> None:
    stated, whole = deployed(data=8, expert=8), deployed(data=8, experts="whole")
    assert closed_form(step(stated)).time == closed_form(step(whole)).time


def test_a_draft_beside_shared_experts_takes_longer() -> None:
    draft = Draft(model="mixtral-8x7b", acceptance=0.0)
    drafted = deployed(data=8, experts="whole", draft=draft)
    assert closed_form(step(drafted)).time > closed_form(step(deployed(data=8, experts="whole"))).time
