"""A placed step of training: bytes that cross links are those asked, and slower tiers take no less time."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.core import Plan, closed_form
from simulator.core.events import events
from simulator.mapping.training.step import TrainingStep
from simulator.scenario.evaluate import evaluate, read_scenario
from simulator.scenario.evaluators.training import TrainingEvaluator
from simulator.workload import load_model, parameters
from tests.mapping.training.cases import CPU, GRADIENTS, MODEL, scenario, step

TO_GPU, TO_HOST = "cpu.dram->gpu.vram", "gpu.vram->cpu.dram"
COUNT = parameters(load_model("llama-2-7b", ["layers=4"])).total
WEIGHTS = ["ffn", "attention", "embedding", "head"]


def crossed(of: TrainingStep, link: str, plan: str | None = None) -> float:
    demand = (of.plans[plan] if plan else of.plan).demand()
    return sum(float(units) for resource, units in demand.items() if resource.name == link)


def seconds(of: TrainingStep) -> float:
    return float(closed_form(of.plan).time)


@pytest.mark.parametrize(
    ("hardware", "recompute"),
    [("dgx-h100", "none"), ("dgx-h100", "attention"), ("epyc-9654", "layer"), ("sn40l-node", "none")],
)
def test_without_rules_a_step_is_the_kernels_of_its_graph(hardware: str, recompute: str) -> None:
    graph = {"kind": "pass", "phase": "train", "batch": 2, "tokens": 256, "recompute": recompute}
    whole = evaluate({"hardware": hardware, "model": MODEL, "workload": {"kind": "kernels", "graph": graph}})
    of = step(hardware=hardware, recompute=recompute)
    assert seconds(of) == pytest.approx(whole.metrics["time_s"], rel=1e-12)
    assert closed_form(of.plan).exact


def test_an_update_by_the_cpu_moves_four_bytes_a_parameter_as_zero_offload_has_it() -> None:
    """Gradients of 2 bytes go to the host and weights of 2 come back, the least that is possible (arXiv 2101.06840,
    section 3.3); where gradients lie changes when they go and not how many."""
    for rules in ([CPU], [CPU, GRADIENTS]):
        of = step(*rules)
        assert (crossed(of, TO_HOST), crossed(of, TO_GPU)) == pytest.approx((2 * COUNT, 2 * COUNT), rel=1e-6)
    assert crossed(step(CPU), TO_HOST, "backward") == 0.0
    assert crossed(step(CPU, GRADIENTS), TO_HOST, "update") == 0.0


def test_the_cpu_reads_16_bytes_less_2_of_each_parameter_and_writes_12_and_2() -> None:
    """28 bytes: numbers of 12 there and back, a gradient of 2, a weight of 2; at most as fast as its memory."""
    of = step(CPU, GRADIENTS)
    demand = {resource.name: resource for resource in of.plans["update"].demand()}
    port = demand["cpu.dram->cpu.cpu"]
    assert float(of.plans["update"].demand()[port]) == pytest.approx(28 * COUNT, rel=1e-9)
    least = 28 * COUNT / float(demand["cpu.dram"].capacity)
    assert float(closed_form(of.plans["update"]).time) >= least


@given(
    shares=st.fixed_dictionaries({part: st.integers(0, 100) for part in ("optimizer", "gradients", "activations")}),
    weights=st.integers(0, 100),
    micro_batches=st.sampled_from([1, 2]),
)
@settings(max_examples=12, deadline=None)
def test_bytes_that_cross_the_link_are_those_that_rules_have_elsewhere(
    shares: dict[str, int], weights: int, micro_batches: int
) -> None:
    """Numbers of the optimizer go there and back; activations too; weights come in each pass, and go when updated; of n
    micro batches all gradients go, all but the first come to be added to, and all come once to be used."""
    rules = [{"of": part, "in": "cpu.dram", "amount": f"{share} %"} for part, share in shares.items() if share]
    rules += [{"of": WEIGHTS, "in": "cpu.dram", "amount": f"{weights} %"}] if weights else []
    of, n = step(*rules, micro_batches=micro_batches), micro_batches
    lie = {part: share / 100 * of.kept.parts[part] for part, share in shares.items()}
    moved = weights / 100 * 2 * COUNT
    there = lie["optimizer"] + n * lie["gradients"] + n * lie["activations"] + moved
    once = weights / 100 * (of.kept.parts["embedding"] + of.kept.parts["head"])  # no gradient needs a table; one pass
    back = lie["optimizer"] + n * lie["gradients"] + n * lie["activations"] + n * (2 * moved - once)
    assert crossed(of, TO_HOST) == pytest.approx(there, rel=1e-9, abs=1.0)
    assert crossed(of, TO_GPU) == pytest.approx(back, rel=1e-9, abs=1.0)


@given(
    part=st.sampled_from(["optimizer", "gradients", "activations", "ffn"]),
    shares=st.tuples(st.integers(1, 100), st.integers(1, 100)),
    use=st.sampled_from(["copy", "read", "compute"]),
)
@settings(max_examples=8, deadline=None)
def test_more_bytes_in_a_slower_tier_are_never_faster(part: str, shares: tuple[int, int], use: str) -> None:
    def timed(share: int) -> float:
        how = {"by": "cpu.cpu"} if use == "compute" else {"use": use}
        how = how if part == "optimizer" else {}
        return seconds(step({"of": part, "in": "cpu.dram", "amount": f"{share} %", **how}))

    less, more = sorted(shares)
    assert seconds(step()) <= timed(less) * (1 + 1e-12)
    assert timed(less) <= timed(more) * (1 + 1e-12)


def test_a_slower_tier_takes_longer_than_a_faster_one_and_holds_the_same() -> None:
    near, far = step(CPU), step({"of": "optimizer", "in": "nvme", "by": "cpu.cpu"})
    assert seconds(far) > seconds(near)
    assert crossed(far, "nvme->cpu.dram") == crossed(far, "cpu.dram->nvme") == pytest.approx(12 * COUNT, rel=1e-9)
    assert crossed(far, TO_HOST) == crossed(near, TO_HOST)


def test_micro_batches_share_one_update() -> None:
    one, two = step(batch=2), step(batch=4, micro_batches=2)
    forward, backward, update = (
        [float(closed_form(of.plans[name]).time) for of in (one, two)] for name in ("forward", "backward", "update")
    )
    assert forward[1] == pytest.approx(2 * forward[0], rel=1e-12)
    assert update[1] == update[0]
    assert 2 * backward[0] <= backward[1] <= 2.1 * backward[0]  # the second adds to the gradients of the first


@pytest.mark.parametrize("rules", [[CPU], [CPU, GRADIENTS], [{"of": ["activations", *WEIGHTS], "in": "cpu.dram"}]])
def test_copies_beside_layers_take_between_the_bound_and_their_sum(rules: list[dict[str, Any]]) -> None:
    plan = step(*rules).plan
    simulated, bound = events(plan).time, float(closed_form(plan).time)
    assert bound * (1 - 1e-9) <= simulated <= alone(plan) * (1 + 1e-9)


def alone(plan: Plan) -> float:
    return sum(activity.alone + float(activity.latency) for activity, n in plan.activities() for _ in range(n))


def test_a_runtime_that_copies_nothing_ahead_takes_the_sum() -> None:
    rules = [CPU, GRADIENTS, {"of": "activations", "in": "cpu.dram"}]
    asked = scenario(*rules)
    asked["mapping"] |= {"runtime": "zero-inference"}
    of = TrainingEvaluator.detail(read_scenario(asked))
    assert seconds(of) == pytest.approx(alone(of.plan), rel=1e-9)


def test_dense_layers_read_from_a_second_memory_of_the_same_device_cross_no_link() -> None:
    near = step({"of": "optimizer", "in": "socket.ddr"}, hardware="sn40l-node")
    demand = {resource.name: float(units) * resource.count for resource, units in near.plan.demand().items()}
    assert demand["socket.ddr->socket.rdu"] == pytest.approx(24 * COUNT, rel=1e-9)
    assert not any(demand.get(f"socket.{a}->socket.{b}", 0.0) for a, b in (("ddr", "hbm"), ("hbm", "ddr")))
