"""A stage is the pass of its sequences without the routed experts, and what an MoE layer sends beside them."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from simulator.core import Plan, closed_form
from simulator.core.affine import affine, probes
from simulator.errors import ConfigError
from simulator.hardware import load_system
from simulator.mapping.deployment import Deployment
from simulator.mapping.dispatch import Route, policy
from simulator.mapping.lowering import model_plan
from simulator.mapping.stage import DECODING, FEATURES, MIXED, TYPICAL, batch, exchange, expert_engine, kinds, stage
from simulator.workload import Sequences, decode, load_model, operator_graph, prefill
from tests.deployed import deployment

FIXED = ["xpu_only", "pim_only", "static_by_layer", "experts_in_memory"]


@cache
def deployed(machine: str = "duplex-node", model: str = "mixtral-8x7b", *overrides: str, **how: Any) -> Deployment:
    return deployment(load_system(machine, overrides), load_model(model), **how)


def features(prompts: list[int], contexts: list[int], past: int = 0) -> list[float]:
    pairs = [n * past + n * (n + 1) / 2 for n in prompts]
    return [len(prompts), sum(prompts), sum(pairs), len(contexts), sum(contexts), past * len(prompts)]


def seconds(of: Deployment, x: NDArray[np.float64], mixed: bool) -> NDArray[np.float64]:
    total = np.zeros(len(x))
    for kind, rows in kinds(x, mixed):
        for part in stage(of, x[rows], kind):
            total[rows] += part.repeat * np.asarray(closed_form(part.plan).time)
    return total


@given(st.lists(st.integers(2, 500), max_size=4), st.lists(st.integers(0, 5000), max_size=4), st.integers(0, 900))
def test_features_say_what_the_sequences_demand(prompts: list[int], contexts: list[int], cached: int) -> None:
    """Of a prompt of one token nothing tells that it is none that decodes; so none is drawn."""
    if not prompts and not contexts:
        return
    x = np.array(features(prompts, contexts, cached))
    assert len(x) == len(FEATURES) == len(TYPICAL)
    each = [*(Sequences(1, n, cached) for n in prompts), *(Sequences(1, 1, past) for past in contexts)]
    one_by_one = operator_graph(load_model("llama-2-7b"), tuple(each)).totals()
    together = operator_graph(load_model("llama-2-7b"), batch(x, MIXED)).totals()
    assert together.flops == pytest.approx(one_by_one.flops, rel=1e-12)
    assert together.bytes == pytest.approx(one_by_one.bytes, rel=1e-12)
    if not prompts:
        assert operator_graph(load_model("llama-2-7b"), batch(x, DECODING)).totals() == together


def test_a_stage_of_a_dense_model_is_its_pass() -> None:
    of, sequences = deployed(model="llama-2-7b"), prefill(2, 300) + decode(5, 700)
    whole = closed_form(model_plan(of.high, of.model, sequences)).time
    (took,) = seconds(of, np.array([features([300, 300], [700] * 5)]), mixed=True)
    assert took == pytest.approx(float(whole), rel=1e-12)
    (took,) = seconds(of, np.array([features([], [700] * 5)]), mixed=False)
    assert took == pytest.approx(float(closed_form(model_plan(of.high, of.model, decode(5, 700))).time), rel=1e-12)


@pytest.mark.parametrize("model", ["mixtral-8x7b", "glam-143b", "qwen2-57b-a14b"])
@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize("dispatch", FIXED)
def test_a_stage_of_an_moe_is_its_pass_without_experts(model: str, mixed: bool, dispatch: str) -> None:
    of = deployed("duplex-node", model, dispatch=dispatch)
    expected = 0.0
    for block in operator_graph(of.model, (prefill(1, 300) if mixed else ()) + decode(5, 700)).blocks:
        route = Route(of.engines, block)
        choices = policy(dispatch)(route)
        steps = [route.seconds(s, route.options(s)[int(c)]) for s, c in zip(route.steps, choices, strict=True)
                 if not s[0].routed]  # fmt: skip
        expected += block.repeat * float(sum(steps))
    (took,) = seconds(of, np.array([features([300] if mixed else [], [700] * 5)]), mixed)
    assert took == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("machine", ["duplex-node", "duplex-hetero"])
@pytest.mark.parametrize("mixed", [False, True])
@settings(max_examples=8)
@given(st.sampled_from(FIXED), st.booleans(), st.data())
def test_a_stage_is_affine_in_its_features(
    machine: str, mixed: bool, dispatch: str, together: bool, data: st.DataObject
) -> None:
    """Lowered once, it is what it is lowered anew: where no policy looks at the size of the batch."""
    nodes = f"nodes={2 if machine == 'duplex-node' else 1}"
    of = deployed(machine, "mixtral-8x7b", nodes, dispatch=dispatch, together=together)
    prompts = st.lists(st.integers(1, 4000), max_size=3) if mixed else st.just([])
    contexts = st.lists(st.integers(0, 30_000), max_size=4)
    x = np.array([features(*data.draw(st.tuples(prompts, contexts, st.integers(0, 999)))) for _ in range(3)])
    lowered = np.zeros(len(x))
    for kind, rows in kinds(x, mixed):
        for part in stage(of, probes(TYPICAL), kind):
            assert part.fixed
            lowered[rows] += part.repeat * affine(part.plan, probes(TYPICAL)).time(x[rows])
    np.testing.assert_allclose(lowered, seconds(of, x, mixed), rtol=1e-9)


def test_a_policy_that_looks_at_the_batch_is_not_fixed() -> None:
    for dispatch in ("by_op_per_byte", "oracle"):
        of = deployed(dispatch=dispatch)
        assert not any(part.fixed for part in stage(of, probes(TYPICAL), MIXED))


@pytest.mark.parametrize("mixed", [False, True])
def test_the_oracle_is_never_slower_nor_are_engines_together(mixed: bool) -> None:
    x = np.array([features([500], [900] * 8), features([3000], [100] * 400), features([2] * 4, [9000] * 64)])
    times = {
        (dispatch, together): seconds(deployed(dispatch=dispatch, together=together), x, mixed)
        for dispatch in [*FIXED, "by_op_per_byte", "oracle"]
        for together in (False, True)
    }
    for (dispatch, together), took in times.items():
        assert np.all(times["oracle", together] <= took * (1 + 1e-12))
        if dispatch in FIXED:
            assert np.all(times[dispatch, True] <= times[dispatch, False] * (1 + 1e-12))
    overlapped = times["static_by_layer", True] < times["static_by_layer", False]
    assert np.all(overlapped == mixed)


# --- experts


@pytest.mark.parametrize(
    ("dispatch", "decoding", "mixed"),
    [("xpu_only", "xpu", "xpu"), ("pim_only", "pim", "pim"), ("static_by_layer", "pim", "xpu"),
     ("experts_in_memory", "pim", "pim")],
)  # fmt: skip
def test_the_engine_of_the_experts_is_as_the_policy_says(dispatch: str, decoding: str, mixed: str) -> None:
    of = deployed(dispatch=dispatch)
    assert (expert_engine(of, False).engine, expert_engine(of, True).engine) == (decoding, mixed)
    turned = deployed(dispatch=dispatch, engines=("xpu.pim", "xpu.xpu"))
    assert (expert_engine(turned, False).engine, expert_engine(turned, True).engine) == (decoding, mixed)


@pytest.mark.parametrize("model", ["mixtral-8x7b", "glam-143b"])
@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize("order", [("xpu.xpu", "xpu.pim"), ("xpu.pim", "xpu.xpu")])
def test_the_oracle_gives_experts_to_the_faster_engine(model: str, mixed: bool, order: tuple[str, str]) -> None:
    of = deployed("duplex-node", model, dispatch="oracle", engines=order)
    for block in operator_graph(of.model, batch(np.array(TYPICAL), MIXED if mixed else DECODING)).blocks:
        route = Route(of.engines, block)
        for step in (step for step in route.steps if step[0].routed):
            times = [float(route.seconds(step, (engine,))) for engine in range(2)]
            assert expert_engine(of, mixed) is of.engines[int(np.argmin(times))]


# --- what an MoE layer sends


def sent(*overrides: str, **how: Any) -> list[tuple[str, dict[str, float], float]]:
    """Of 100 tokens of a node, each with 2 rows of 4096 elements of 2 bytes."""
    of = deployed("duplex-node", "mixtral-8x7b", *overrides, **how)
    found = list(exchange(of, 100.0))
    for activity in found:
        assert set(activity.demand) <= set(of.low.system.resources), "the links of the node itself"
    return [(a.name, {r.name: float(d) for r, d in a.demand.items()}, float(a.latency)) for a in found]


ROWS = 100 * 2 * 4096 * 2.0
LONE, EIGHT = ("nodes=1",), ("nodes=2", "devices.xpu.count=8")


def test_one_node_sends_nothing_more() -> None:
    assert sent(*LONE) == sent(*LONE, experts="tensor") == []
    with pytest.raises(ConfigError, match=r"^expert_reduces: found 2, expected 1 with whole experts"):
        sent(*LONE, expert_reduces=2)
    ((name, demand, latency),) = sent(*LONE, experts="tensor", expert_reduces=2)
    assert name == "all_reduce"  # over a ring of 4: 2 x 3/4 of the tensor, 2 x 3 phases of 3 us
    assert demand == {"xpu->xpu": pytest.approx(2 * 3 / 4 * 100 * 4096 * 2)}
    assert latency == pytest.approx(18e-6)


def test_rows_go_to_the_node_of_their_expert_and_back() -> None:
    there = ("all_to_all", {"node->node": pytest.approx(ROWS / 2)}, pytest.approx(0.5e-6))
    assert sent("nodes=2", "devices.xpu.count=4") == [there, there]  # 8 groups: no expert is cut
    # 16 devices hold 8 experts, 2 each: what arrives for one of the 4 pairs of a node goes to both, over a ring of 2
    pairs = {"xpu->xpu": pytest.approx(ROWS / 2 / 4 / 2)}, pytest.approx(3e-6)
    assert sent(*EIGHT) == [there, ("all_gather", *pairs), ("reduce_scatter", *pairs), there]
    # cut over all 8 devices of a node: 7/8 of all that arrives, and 7 phases
    all_eight = {"xpu->xpu": pytest.approx(ROWS / 2 * 7 / 8)}, pytest.approx(21e-6)
    whole = [there, ("all_gather", *all_eight), ("reduce_scatter", *all_eight), there]
    assert sent(*EIGHT, experts="tensor") == whole
    again = ("all_reduce", {"xpu->xpu": pytest.approx(2 * 7 / 8 * 100 * 4096 * 2)}, pytest.approx(42e-6))
    assert sent(*EIGHT, experts="tensor", expert_reduces=2) == [*whole, again]


def test_four_nodes_send_three_quarters_each() -> None:
    there = ("all_to_all", {"node->node": pytest.approx(ROWS * 3 / 4)}, pytest.approx(0.5e-6))
    # 32 devices, 8 groups of 4: 2 groups a node
    four = {"xpu->xpu": pytest.approx(ROWS * 3 / 4 / 2 * 3 / 4)}, pytest.approx(9e-6)
    assert sent("nodes=4", "devices.xpu.count=8") == [there, ("all_gather", *four), ("reduce_scatter", *four), there]


@pytest.mark.parametrize(
    ("model", "layers"), [("mixtral-8x7b", 32), ("glam-143b", 16), ("qwen2-57b-a14b", 28), ("llama-2-7b", 0)]
)
@pytest.mark.parametrize("mixed", [False, True])
def test_a_stage_has_the_exchange_of_each_moe_layer_in_it(model: str, layers: int, mixed: bool) -> None:
    """Two layers of GLaM are one block, with one layer of experts; a dense model sends nothing between nodes."""
    of = deployed("duplex-node", model, "nodes=2")
    plan, x = Plan(), np.array([features([200, 100] if mixed else [], [700] * 10)])
    for part in stage(of, x, MIXED if mixed else DECODING):
        plan.add(part.plan, repeat=part.repeat)
    assert sum(times for activity, times in plan.activities() if activity.name == "all_to_all") == 2 * layers
    moved = sum(float(np.sum(units)) for r, units in plan.demand().items() if r.name == "node->node")
    rows = (310 if mixed else 10) * (of.model.moe.top_k if of.model.moe else 0)
    assert moved == pytest.approx(layers * 2 * rows * of.model.hidden * 2 / 2)


def test_keys_and_values_of_prompts_go_to_their_spaces_once_a_layer() -> None:
    x = np.array([features([512, 300], [700] * 5)])
    plain, moving = (deployed(dispatch="static_by_layer", together=True, migrate=migrate) for migrate in (False, True))
    more = seconds(moving, x, True) - seconds(plain, x, True)
    size = 2 * 812 * 2 * 8 * 128 * 2.0 / 4  # read and written, keys and values of 8 heads over 4 devices
    bus = plain.high.system["xpu.hbm->xpu.xpu"]
    assert more == pytest.approx(32 * size / bus.rate(size), rel=1e-9)
    assert seconds(moving, x, False) == pytest.approx(seconds(plain, x, False))
