from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.core import Activity, Plan, Resource, closed_form
from simulator.core.events import events
from simulator.errors import CapacityError, ConfigError
from simulator.hardware import System, load_system
from simulator.mapping.lowering import model_plan
from simulator.mapping.parallel.parallelism import Parallelism, group, parallelism, send
from simulator.mapping.parallel.pipeline import Replica, _staggered, _works, decode_plan, forward_plan, replica, split
from simulator.mapping.target import target
from simulator.scenario.batch_detail import BatchDetail
from simulator.scenario.evaluate import estimate
from simulator.workload import decode, load_model, operator_graph, prefill, weight_bytes
from tests.deployed import kept

NODES = ["nodes=2", "links.node<->node={bandwidth: 50 GB/s, latency: 20 us}"]


def staged(pipeline: int, data: int = 1, model: str = "llama-2-7b", system: System | None = None) -> Replica:
    runner = target(system or load_system("dgx-a100"))
    parallel = parallelism(runner.ways, None, pipeline, data)
    return replica(runner, parallel, load_model(model), decode(1, 500))


@given(times=st.lists(st.floats(0.1, 10), min_size=1, max_size=9), data=st.data())
def test_layers_are_split_so_that_the_slowest_part_is_as_fast_as_can_be(
    times: list[float], data: st.DataObject
) -> None:
    parts = data.draw(st.integers(1, len(times)))

    def slowest(ends: list[int]) -> float:
        return max(sum(times[a:b]) for a, b in zip([0, *ends], ends, strict=False))

    found = split(times, parts)
    assert found[-1] == len(times)
    assert len(found) == parts
    assert all(a < b for a, b in zip([0, *found], found, strict=False))
    best = min(slowest([*cuts, len(times)]) for cuts in combinations(range(1, len(times)), parts - 1))
    assert slowest(found) == pytest.approx(best)


@given(times=st.lists(st.floats(0.1, 10), min_size=1, max_size=5), microbatches=st.integers(1, 6), equal=st.booleans())
def test_a_pass_of_microbatches_takes_the_known_time(times: list[float], microbatches: int, equal: bool) -> None:
    times = [times[0]] * len(times) if equal else times
    works = []
    for index, time in enumerate(times):
        work = Plan()
        work.add(Activity("work", {Resource(f"stage {index}", 1.0, "s"): time}))
        works.append(work)
    plan = _staggered("pass", works, microbatches)
    timing = closed_form(plan)
    assert timing.exact
    assert timing.time == pytest.approx(sum(times) + (microbatches - 1) * max(times))  # a permutation flow shop
    assert events(plan).time == pytest.approx(timing.time, rel=1e-9)


@pytest.mark.parametrize("machine", ["dgx-a100", "sn40l-node"])
@pytest.mark.parametrize("microbatches", [1, 3])
def test_closed_form_and_events_agree_on_stages_of_a_model(machine: str, microbatches: int) -> None:
    share, model = staged(4, system=load_system(machine)), load_model("llama-2-7b")
    for plan in (
        forward_plan(share, model, prefill(2, 100), microbatches),
        decode_plan(share, model, decode(2, 500), microbatches),
    ):
        timing = closed_form(plan)
        assert timing.exact
        assert events(plan).time == pytest.approx(timing.time, rel=1e-9)


@pytest.mark.parametrize(("pipeline", "microbatches"), [(2, 2), (4, 1), (4, 2), (4, 4), (4, 7)])
def test_steady_steps_are_those_of_the_unrolled_pipeline(pipeline: int, microbatches: int) -> None:
    """Many steps as one plan: a microbatch begins a token when its last one is back; each step adds one period."""
    model, steps = load_model("llama-2-7b", ["layers=8"]), 5
    runner = target(load_system("dgx-a100"))
    share = replica(runner, parallelism(8, None, pipeline), model, decode(1, 500))
    works = _works(share, model, decode(1, 500), answers=True)
    plan, last = Plan(), [None] * pipeline  # type: list[int | None]
    token: list[int | None] = [None] * microbatches
    for _ in range(steps):
        for microbatch in range(microbatches):
            before = token[microbatch]
            for stage, work in enumerate(works):
                before = plan.add(work, after=[s for s in (before, last[stage]) if s is not None])
                last[stage] = before
            token[microbatch] = before
    first = closed_form(_staggered("first", works, microbatches)).time
    period = closed_form(decode_plan(share, model, decode(1, 500), microbatches)).time
    assert closed_form(plan).time == pytest.approx(first + (steps - 1) * period, rel=1e-9)
    assert events(plan).time == pytest.approx(closed_form(plan).time, rel=1e-9)


def test_a_pipeline_does_all_the_work_and_no_more() -> None:
    model, runner = load_model("mixtral-8x7b"), target(load_system("dgx-a100"))
    share = staged(4, model="mixtral-8x7b")
    blocks = operator_graph(model, decode(1, 500)).blocks
    totals = [sum(stage.repeats[i] for stage in share.stages) for i in range(len(blocks))]
    assert totals == [block.repeat for block in blocks]
    pair = target(runner.system.with_devices(2))
    alone = {r.name: d for r, d in model_plan(pair, model, decode(1, 500)).demand().items()}
    together: dict[str, float] = {}
    for resource, units in forward_plan(share, model, decode(1, 500), 1).demand().items():
        together[resource.name] = together.get(resource.name, 0.0) + float(units)
    sends = 3 * model.hidden * 2
    assert together.pop("gpu->gpu") == pytest.approx(float(alone.pop("gpu->gpu")) + sends)
    assert together == pytest.approx({name: float(units) for name, units in alone.items()})


def test_stages_use_no_resource_together() -> None:
    share = staged(4)
    used = [set(model_plan(stage.target, load_model("llama-2-7b"), decode(1, 9)).demand()) for stage in share.stages]
    assert not any(a & b for a, b in combinations(used, 2))


def test_devices_divide_into_tensor_pipeline_and_data() -> None:
    assert parallelism(16, None, 4, 2) == Parallelism(2, 4, 2)
    assert parallelism(8).is_tensor
    for asked in ((8, 3, 1, 1), (8, None, 3, 1), (8, 8, 2, 1), (8, None, 16, 1)):
        with pytest.raises(ConfigError, match="the number of devices, 8"):
            parallelism(*asked)
    with pytest.raises(ConfigError, match="pipeline: found 0"):
        parallelism(8, None, 0)
    with pytest.raises(ConfigError, match=r"^context: found context 3, expected ways whose product divides"):
        parallelism(8, None, context=3)
    with pytest.raises(ConfigError, match=r"^tensor: found tensor 2 x data 2, expected ways whose product is"):
        parallelism(8, 2, data=2)
    with pytest.raises(ConfigError, match="at most 32"):
        staged(64, system=load_system("dgx-a100", ["devices.gpu.count=64"]))


def test_a_stage_is_a_part_of_a_node_or_whole_nodes() -> None:
    system = load_system("dgx-a100", ["nodes=4", *NODES[1:]])
    for tensor, count, nodes in ((4, 4, 1), (8, 8, 1), (16, 8, 2)):
        own = group(system, "gpu", Parallelism(tensor, 32 // tensor)).machine
        assert (own.devices["gpu"].count, own.nodes) == (count, nodes)
    with pytest.raises(ConfigError, match="a whole part of the 6 gpu of a node"):
        group(load_system("dgx-a100", ["nodes=2", "devices.gpu.count=6"]), "gpu", Parallelism(4, 3))


def test_a_send_leaves_the_node_where_the_next_stage_does() -> None:
    system = load_system("dgx-a100", NODES)

    def link(parallel: Parallelism, stage: int) -> tuple[str, float]:
        own = group(system, "gpu", parallel)
        ((resource, units),) = send(system, "gpu", parallel, stage, target(own), 1e6).demand.items()
        return resource.name, float(units)

    assert link(Parallelism(4, 4), 0) == ("gpu->gpu", 1e6)
    assert link(Parallelism(4, 4), 1) == ("node->node", 4e6)
    assert link(Parallelism(4, 4), 3) == ("node->node", 4e6)  # back to the first
    assert link(Parallelism(4, 2, 2), 1) == ("gpu->gpu", 1e6)
    assert link(Parallelism(8, 2), 0) == ("node->node", 8e6)


@pytest.mark.parametrize("name", ["llama-3-70b", "mixtral-8x7b", "falcon-40b", "qwen2-57b-a14b", "deepseek-v3"])
@pytest.mark.parametrize("pipeline", [1, 2, 8])
def test_the_stages_keep_the_whole_model_once(name: str, pipeline: int) -> None:
    model, replicas = load_model(name), 8 // pipeline
    machine = load_system("dgx-h100", ["devices.gpu.tiers.hbm.capacity=4 TB"])
    got = kept(machine, model, 8, 1000, pipeline=pipeline, data=replicas).total
    table = model.vocab * model.hidden * 2 if model.tied_embeddings and pipeline > 1 else 0.0
    assert got.weights == pytest.approx(replicas * (weight_bytes(model) + table))
    assert got.kv == pytest.approx(kept(machine.with_devices(1), model, 8, 1000).total.kv)


def test_what_does_not_fit_a_stage_is_refused_and_what_fits_is_not() -> None:
    system, model = load_system("dgx-a100"), load_model("llama-3-70b")
    most = kept(system, model, 1, 4096, pipeline=4).max_batch()
    full = kept(system, model, most, 4096, pipeline=4)
    full.check()
    assert full.total.used <= full.total.capacity
    with pytest.raises(CapacityError, match=rf"of stage \d of 4.*fits with batch {most}"):
        kept(system, model, most + 1, 4096, pipeline=4).check()
    assert full.max_context() >= 4096
    with pytest.raises(CapacityError, match="more stages"):
        kept(system, model, 8, 4096, data=8).check()


def of(**changes: object) -> BatchDetail:
    asked: dict[str, object] = {"hardware": "dgx-a100", "model": "llama-2-7b", "batch": 8, "input": 300, "output": 20}
    return estimate(**(asked | changes))  # type: ignore[arg-type]


def test_replicas_work_side_by_side() -> None:
    pair, both = of(batch=4, devices=4), of(batch=8, data=2)
    assert (both.ttft_s, both.tbt_s) == pytest.approx((pair.ttft_s, pair.tbt_s))
    assert both.tokens_per_s == pytest.approx(2 * pair.tokens_per_s)
    parts = {part.name: part for part in both.energy}
    for part in pair.energy:
        joules = parts[part.name].joules
        assert part.joules is not None
        assert joules == pytest.approx(part.joules if part.name == "static_power" else 2 * part.joules)


def test_stages_cost_latency_and_interleaving_gives_throughput() -> None:
    whole, four = of(devices=4, batch=1), of(pipeline=4, devices=4, batch=1)
    assert four.tbt_s > whole.tbt_s  # each layer has one device instead of four
    alone, many = of(pipeline=4, devices=4, batch=1), of(pipeline=4, devices=4, batch=4)
    assert many.tbt_s < 1.25 * alone.tbt_s  # four microbatches, each while the others are elsewhere
    assert many.tokens_per_s > 2.5 * alone.tokens_per_s
    single = of(devices=1, batch=1)
    assert alone.tbt_s == pytest.approx(single.tbt_s, rel=0.02)  # one sequence is in one stage at a time


def test_all_devices_in_one_group_is_what_it_was_without_asking() -> None:
    plain, asked = of(), of(tensor=8, pipeline=1, data=1)
    assert asked.as_json() == plain.as_json()
    assert plain.as_json()["parallelism"] == {"tensor": 8, "pipeline": 1, "data": 1, "context": 1}


def test_a_batch_is_divided_over_replicas() -> None:
    with pytest.raises(ConfigError, match="batch: found 3, expected a multiple of the 2 replicas"):
        of(batch=3, data=2)


def test_a_group_has_its_share_of_the_links_to_the_host() -> None:
    """Each of eight replicas of one GPU reads the host over one x16."""
    alone = group(load_system("dgx-h100"), "gpu", Parallelism(tensor=1, data=8))
    assert alone.machine.links["host<->gpu.hbm"].parallel == 1
