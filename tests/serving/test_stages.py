"""Stages of a serving run: affine or lowered anew, faster with more of anything, and what they cost in energy."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.core import closed_form
from simulator.core.account import energy, joules, traffic
from simulator.hardware import load_system
from simulator.mapping.lowering import model_plan
from simulator.mapping.stage import kinds, stage
from simulator.serving.closed_loop import Load, layout, load, timed
from simulator.serving.split import serve_split
from simulator.serving.stage_demand import demand_by_kind
from simulator.serving.stages import Stages
from simulator.workload import decode, load_model
from simulator.workload.requests.lengths import Lengths
from simulator.workload.routing.draws import counts, pool
from simulator.workload.routing.routers import uniform
from tests.deployed import deployment

PLAIN = {"dispatch": "static_by_layer"}
FULL = PLAIN | {"together": True, "split": "greedy", "experts": "tensor"}


@cache
def made(machine: str, model: str, overrides: tuple[str, ...], how: tuple[tuple[str, Any], ...]) -> Stages:
    return Stages(deployment(load_system(machine, overrides), load_model(model), **dict(how)))


def on(machine: str = "duplex-node", model: str = "mixtral-8x7b", *overrides: str, **how: Any) -> Stages:
    return made(machine, model, overrides, tuple(how.items()))


features = st.lists(
    st.tuples(st.integers(0, 3), st.integers(1, 3000), st.integers(0, 64), st.integers(0, 200_000)),
    min_size=1,
    max_size=4,
).map(lambda rows: np.array([[p, p * n, p * n * (n + 1) / 2, d, d and c, 0] for p, n, d, c in rows], dtype=float))


@settings(max_examples=12, deadline=None)
@given(
    features, st.booleans(), st.sampled_from(["xpu_only", "pim_only", "static_by_layer", "by_op_per_byte", "oracle"])
)
def test_stages_are_the_closed_form_of_their_plans(x: np.ndarray, mixed: bool, dispatch: str) -> None:
    of = on(dispatch=dispatch, together=True)
    direct = np.zeros(len(x))
    for kind, rows in kinds(x, mixed):
        for part in stage(of.deployment, x[rows], kind):
            direct[rows] += part.repeat * np.asarray(closed_form(part.plan).time)
    assert of.shared(x[:, None], mixed) == pytest.approx(direct, rel=1e-9)


@settings(max_examples=8, deadline=None)
@given(features, st.booleans())
def test_the_oracle_is_never_slower(x: np.ndarray, mixed: bool) -> None:
    best = on(dispatch="oracle").shared(x[:, None], mixed)
    for dispatch in ("xpu_only", "pim_only", "static_by_layer", "by_op_per_byte"):
        assert (best <= on(dispatch=dispatch).shared(x[:, None], mixed) * (1 + 1e-12)).all()


@settings(max_examples=20, deadline=None)
@given(features, st.booleans())
def test_engines_at_once_are_never_slower_than_in_turn(x: np.ndarray, mixed: bool) -> None:
    at_once, in_turn = (on(dispatch="static_by_layer", together=together) for together in (True, False))
    assert (at_once.shared(x[:, None], mixed) <= in_turn.shared(x[:, None], mixed) * (1 + 1e-12)).all()


FASTER = (
    "devices.xpu.tiers.hbm.stack.timing.tCCD_S=1.2 ns",
    "devices.xpu.engines.xpu.reads.hbm.efficiency=0.95",
    "devices.xpu.engines.pim.reads.hbm.efficiency=0.9",
    "links.xpu<->xpu.bandwidth=900 GB/s",
    "links.xpu<->xpu.latency=1 us",
)


@pytest.mark.parametrize("more", FASTER)
@pytest.mark.parametrize("mixed", [False, True])
def test_more_of_anything_is_never_slower(more: str, mixed: bool) -> None:
    x = np.array(
        [[[p, p * 512, p * 512 * 513 / 2, d, d * 700, 0]] for p in (0, 1, 4) for d in (1, 32, 128)], dtype=float
    )
    base, better = (on("duplex-node", "mixtral-8x7b", *changed, **PLAIN) for changed in ((), (more,)))
    assert (better.shared(x, mixed) <= base.shared(x, mixed) * (1 + 1e-12)).all()


def test_the_slowest_node_counts() -> None:
    of = on("duplex-node", "mixtral-8x7b", "nodes=2", **PLAIN)
    light, heavy = ([0, 0, 0, 8.0, 8e3, 0], [0, 0, 0, 8.0, 8e5, 0])
    both, alone = (of.shared(np.array([[a, b]]), False) for a, b in ((light, heavy), (heavy, heavy)))
    assert both == pytest.approx(alone)


def drawn(tokens: int, model: str = "mixtral-8x7b", steps: int = 50) -> np.ndarray:
    moe = load_model(model).moe
    assert moe
    return counts(uniform(moe.experts, moe.top_k), np.full(steps, tokens), 2)


@pytest.mark.parametrize("how", [PLAIN, FULL], ids=["plain", "full"])
def test_experts_in_another_order_on_their_device_take_as_long(how: dict[str, Any]) -> None:
    of = on(**how)
    found = drawn(32)
    groups = of.deployment.groups
    shuffled = found.reshape(*found.shape[:-1], groups, -1)[..., ::-1].reshape(found.shape)
    assert of.experts(found, False) == pytest.approx(of.experts(shuffled, False))


def test_experts_without_tokens_cost_nothing() -> None:
    of = on(**PLAIN)
    one = np.zeros((1, 1, 8), dtype=int)
    assert of.experts(one, False) == 0
    one[..., 3] = 5
    lone = of.experts(one, False)
    one[..., 0] = 5  # on another device
    assert of.experts(one, False) == pytest.approx(lone)
    one[..., 2] = 5  # on the same one
    assert of.experts(one, False) > 1.5 * lone


def test_sharing_experts_is_never_slower_than_leaving_them_to_one_engine() -> None:
    for tokens in (8, 64, 512, 4096):
        found = drawn(tokens)
        shared = on(**FULL).experts(found, False)
        for dispatch in ("xpu_only", "pim_only"):
            alone = on(dispatch=dispatch, experts="tensor").experts(found, False)
            assert (shared <= alone * 1.03).all(), "but for the sum over stacks, which only one engine makes"


def loaded(model: str = "mixtral-8x7b") -> Load:
    moe = load_model(model).moe
    router = uniform(moe.experts, moe.top_k) if moe else None
    return load(layout(Lengths(64, 16), 8, 3), router, on(model=model).layers)


def spent(of: Stages, work: Load) -> Any:
    """Joules of all stages; None where the machine lacks a figure."""
    return joules(term for demand in demand_by_kind(timed(of, work)).values() for term in energy(demand))


def test_energy_is_demand_times_energy_a_unit() -> None:
    of, work = on(model="llama-2-7b", **PLAIN), loaded("llama-2-7b")
    demand = demand_by_kind(timed(of, work))
    cached = work.layout.features(1)[:, 0, 4] + work.layout.features(1)[:, 0, 3]
    (read,) = (term for term in energy(demand["attention"]) if term.name == "xpu.hbm->xpu.pim")
    kv = 2 * 32 * 128 * 2.0 * 32 * cached.sum()  # keys and values of 32 heads and layers
    queries = 2 * 32 * 128 * 2.0 * 32 * work.layout.features(1)[:, 0, 3].sum()  # and results
    assert read.count * read.amount == pytest.approx(kv + queries, rel=1e-9)
    assert read.each == pytest.approx(8 * (1.81e-12 + 0.909e-9 / 8192), rel=1e-3)


def test_every_node_reads_its_own_weights_and_shares_its_experts() -> None:
    """Other weights once a stage and node, whatever is decoded; the experts once for all."""
    work = loaded("llama-2-7b")

    def read(nodes: int) -> float:
        of = on("duplex-node", "llama-2-7b", f"nodes={nodes}", dispatch="xpu_only")
        moved = [traffic(demand) for demand in demand_by_kind(timed(of, work)).values()]
        return float(sum(each.get("xpu.hbm->xpu.xpu", 0.0) for each in moved))

    weights = 2 * (32 * (4 * 4096**2 + 3 * 4096 * 11008) + 32000 * 4096)  # and the head
    assert read(2) - read(1) == pytest.approx(work.layout.stages * weights, rel=0.01)
    one, two = (on("duplex-node", "mixtral-8x7b", f"nodes={n}", dispatch="xpu_only") for n in (1, 2))
    of_one, of_two = (
        {r.name: units for r, units in of.routed(drawn(32), False).whole_demand.items() if units} for of in (one, two)
    )
    assert of_one == pytest.approx(of_two)


def test_experts_on_logic_pim_cost_less_than_over_the_bus() -> None:
    work = loaded()
    plain, gpu = (spent(of, work) for of in (on(**PLAIN), on(dispatch="xpu_only")))
    assert plain is not None and gpu is not None
    assert 0.5 < plain / gpu < 0.9
    assert on(**PLAIN).routed(loaded().decoding, False).whole_demand  # type: ignore[arg-type]


def test_a_machine_that_lacks_a_figure_gives_no_energy(tmp_path: Any) -> None:
    (tmp_path / "bare.yaml").write_text(
        "devices:\n  chip:\n    tiers: {hbm: {kind: hbm, capacity: 80 GB, bandwidth: 1 TB/s}}\n"
        "    engines: {core: {kind: gpu, peak: {bf16: 100 TFLOP/s}, reads: {hbm: {}}}}\n"
    )
    of = Stages(deployment(load_system(tmp_path / "bare.yaml"), load_model("llama-2-7b")))
    work = load(layout(Lengths(64, 16), 8, 3), None, 0)
    assert timed(of, work).served.throughput > 0
    assert spent(of, work) is None


def test_a_split_has_no_mixed_stage_and_waits_for_prompts() -> None:
    system, model = load_system("duplex-split"), load_model("mixtral-8x7b")
    prompts, answers = (
        Stages(deployment(system, model, (f"{half}.xpu", f"{half}.pim"), **FULL)) for half in ("prompts", "answers")
    )
    seen = serve_split(prompts, answers, Lengths(512, 64), 16, 200, uniform(8, 2))
    alone = prompts.shared(np.array([[[1, 512, 512 * 513 / 2, 0, 0, 0]]]), True)[0]
    assert seen.ttft.min() >= alone
    assert (seen.e2e > seen.ttft).all()
    assert seen.tbt(99) < 1.5 * seen.tbt(50)
    assert seen.often.max() <= 16
    assert (seen.queued > 0).all(), "keys and values are on their way"


@cache
def one_engine(devices: int, launch: int, bandwidth: float, experts: str, model: str) -> Stages:
    at = "devices.gpu"
    overrides = (f"{at}.count={devices}", f"{at}.engines.gpu.launch_overhead={launch} us",
                 f"{at}.tiers.hbm.bandwidth={bandwidth} TB/s", f"{at}.engines.gpu.experts={experts}")  # fmt: skip
    return Stages(deployment(load_system("dgx-h100", overrides), load_model(model), experts="tensor"))


@settings(max_examples=10, deadline=None)
@given(
    st.builds(
        one_engine, st.sampled_from([1, 4]), st.sampled_from([0, 3, 20]), st.sampled_from([1.0, 3.35, 8.0]),
        st.sampled_from(["grouped", "one_by_one"]), st.sampled_from(["mixtral-8x7b", "qwen3-30b-a3b", "glam-143b"]),
    ),
    st.integers(1, 64), st.integers(1, 4000),
)  # fmt: skip
def test_with_uniform_routing_a_stage_takes_in_the_mean_what_an_estimate_says(
    of: Stages, sequences: int, context: int
) -> None:
    """Of what drawn counts take, the mean; an estimate has the mean number of experts that are touched."""
    moe = of.model.moe
    assert moe
    drawn = pool(uniform(moe.experts, moe.top_k), sequences, of.layers, draws=64).counts(sequences)
    x = np.array([[[0, 0, 0, sequences, sequences * context, 0]]], dtype=float)
    served = of.shared(x, False)[0] + of.experts(drawn, False).mean()
    expected = closed_form(model_plan(of.deployment.high, of.model, decode(sequences, context))).time
    assert served == pytest.approx(float(expected), rel=0.03)
