"""The Duplex paper: its orderings O1 to O15, and its headline figures within the bounds set before the first run.

Orderings of the full Duplex, unless the name says another. The numbering is that of the list of statements in the text
and figures of arXiv 2409.01141, in the order of its figures.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from simulator.hardware import load_system
from simulator.serving.stages import Stages
from simulator.study.results import StudyResults
from simulator.validation.published import Published
from simulator.workload import load_model
from tests.deployed import deployment

slow = pytest.mark.slow  # they share one run of all loops, a minute and a half on two cores

FULL, TWICE = "duplex-pe-et", "2xgpu"
MOE = ("mixtral-8x7b", "glam-143b", "grok-1")
SETTING = ["model", "input", "output", "batch"]


@pytest.fixture(scope="module")
def outcome(simulated: Callable[..., StudyResults]) -> StudyResults:
    rates = "[4, 6, 8, 8.5, 9, 9.5, 10, 12, 12.5, 13, 13.5, 14, 14.5, 15, 16]"
    axes = f"runs.fig13.axes={{workload.process: [poisson], workload.rate: {rates}}}"
    return simulated("duplex", ["workload.rounds=6", axes, "charts.arrivals_even=null"])


@pytest.fixture(scope="module")
def points(outcome: StudyResults) -> Any:
    """The closed loops, each once."""
    frame = outcome.named()
    frame = frame[frame["run"] != "fig13"].drop_duplicates(["system", *SETTING])
    return frame.set_index(["system", *SETTING]).sort_index()


def ratios(
    outcome: StudyResults, column: str, run: str, system: str, over: str = "gpu", **only: Any
) -> dict[Any, float]:
    """New over old at each setting of a run."""
    frame = outcome.named(run)
    for key, value in only.items():
        frame = frame[frame[key] == value]
    new, old = (frame[frame["system"] == each].set_index(SETTING)[column] for each in (system, over))
    return dict(new / old[new.index])


def speedups(outcome: StudyResults, system: str, over: str = "gpu", **only: Any) -> dict[Any, float]:
    return ratios(outcome, "tokens_per_s", "fig11", system, over, **only)


@slow
def test_o1_experts_and_attention_take_most_of_the_time_of_a_gpu(points: Any) -> None:
    fig4 = points.loc["gpu"].query("input == 2048 and model in ('mixtral-8x7b', 'glam-143b')")
    assert (fig4["decoding_share_experts"] + fig4["decoding_share_attention"] > 0.5).all()
    assert (fig4["mixed_share_experts"] + fig4["mixed_share_attention"] > 0.5).all()
    attention = fig4["decoding_share_attention"]
    for model in ("mixtral-8x7b", "glam-143b"):
        table = attention.loc[model].unstack("batch")
        assert (np.diff(table.to_numpy(), axis=0) > 0).all(), "longer"
        assert (np.diff(table.to_numpy(), axis=1) > 0).all(), "more at once"


@slow
def test_o2_most_stages_decode_only(points: Any) -> None:
    assert (points["mixed_share"] < 0.5).all()


@slow
def test_o3_apart_typical_tokens_come_sooner_and_late_ones_much_later(outcome: StudyResults) -> None:
    def ratio(column: str) -> dict[Any, float]:
        return ratios(outcome, column, "fig5", "hetero", "gpu", batch=32)

    assert max(ratio("tbt_p50_s").values()) < 1
    assert min(ratio("e2e_p50_s").values()) < 1 < max(ratio("e2e_p50_s").values())
    tails, first = ratio("tbt_p99_s"), ratio("ttft_p50_s")
    assert min([*tails.values(), *first.values()]) > 1.5
    for output in (256, 2048):
        short, long = (("mixtral-8x7b", n, output, 32) for n in (256, 2048))
        assert first[long] > 2 * first[short]
        assert tails[long] > 2 * tails[short]
    assert max(first.values()) > 6


@slow
def test_o4_apart_capacity_costs_throughput(points: Any) -> None:
    own, unlimited = (points.loc[s].query("batch == 128 and output == 4096") for s in ("hetero", "hetero-unlimited"))
    assert (own["admitted"] < 128).all()
    assert (own["tokens_per_s"] < unlimited["tokens_per_s"]).all()


@slow
def test_o5_faster_than_gpus_everywhere_and_than_twice_as_many_mostly(outcome: StudyResults) -> None:
    assert min(speedups(outcome, FULL).values()) > 1
    over = list(speedups(outcome, FULL, TWICE).values())
    assert 0.5 < sum(ratio >= 1 for ratio in over) / len(over) < 1


@slow
def test_o6_each_step_helps_mostly(outcome: StudyResults) -> None:
    assert min(speedups(outcome, "duplex-pe", "duplex").values()) > 0.99
    best = [
        max(speedups(outcome, s)[point] for s in ("duplex", "duplex-pe")) <= ratio
        for point, ratio in speedups(outcome, FULL).items()
    ]
    assert sum(best) > len(best) / 2
    plain = speedups(outcome, "duplex")
    assert max(plain, key=plain.__getitem__) == ("mixtral-8x7b", 4096, 4096, 32)


@slow
def test_o7_two_nodes_gain_less(outcome: StudyResults) -> None:
    mixtral, glam, grok = (np.mean(list(speedups(outcome, FULL, model=m).values())) for m in MOE)
    assert grok < min(mixtral, glam)


@slow
def test_o8_plain_duplex_then_twice_as_many_then_gpus_in_median_tbt(points: Any) -> None:
    duplex, twice, gpu = (points.loc[(s, "glam-143b")]["tbt_p50_s"] for s in ("duplex", TWICE, "gpu"))
    same = twice.index
    assert (duplex[same] < twice).all()
    assert (twice < gpu[same]).all()


@slow
def test_o9_prompts_of_512_are_answered_sooner_than_by_twice_as_many(outcome: StudyResults) -> None:
    for column in ("tbt_p99_s", "ttft_p50_s"):
        found = ratios(outcome, column, "fig11", FULL, TWICE, model="glam-143b", batch=64)
        short, long = (found["glam-143b", n, n, 64] for n in (512, 2048))
        assert short < 0.95
        assert 0.85 < long < 1.3, "level"


@slow
def test_o10_under_arrivals(outcome: StudyResults) -> None:
    at = {(row["system"], row["rate"]): row for row in outcome.named("fig13").to_dict("records")}
    rates = sorted({rate for _, rate in at})
    assert all(at[FULL, r]["tbt_p50_s"] < at[TWICE, r]["tbt_p50_s"] for r in rates)
    assert at[FULL, rates[0]]["tbt_p90_s"] < at[TWICE, rates[0]]["tbt_p90_s"]
    assert at[FULL, rates[-1]]["tbt_p90_s"] > at[TWICE, rates[-1]]["tbt_p90_s"]
    assert at["gpu", 12]["ttft_p50_s"] > 50 * at["gpu", 8]["ttft_p50_s"]
    assert at[FULL, 16]["ttft_p50_s"] > 50 * at[FULL, 12]["ttft_p50_s"]


@slow
def test_o11_bank_pim_and_experts(outcome: StudyResults) -> None:
    assert min(ratios(outcome, "tokens_per_s", "fig14", FULL, "bank-pim", model="mixtral-8x7b").values()) > 1
    gains = ratios(outcome, "tokens_per_s", "fig14", "bank-pim", "gpu", model="mixtral-8x7b")
    assert all(gains["mixtral-8x7b", n, n, 64] < gains["mixtral-8x7b", n, n, 32] for n in (256, 1024, 4096))


@slow
def test_o12_bank_pim_and_dense_models(outcome: StudyResults) -> None:
    assert min(ratios(outcome, "tokens_per_s", "fig14", FULL, "bank-pim", model="llama-3-70b").values()) > 1
    assert max(ratios(outcome, "tokens_per_s", "fig14", FULL, "bank-pim", model="opt-66b").values()) < 1
    for system in (FULL, "bank-pim"):
        for model in ("llama-3-70b", "opt-66b"):
            assert min(ratios(outcome, "tokens_per_s", "fig14", system, "gpu", model=model).values()) > 1


@slow
def test_o13_energy(outcome: StudyResults, points: Any) -> None:
    ratio = ratios(outcome, "energy_per_token_j", "fig11", FULL, "gpu")
    assert max(ratio.values()) < 1
    fig15 = points.loc[[FULL, "gpu"]].query("model in @MOE and input == output and model != 'opt-66b'", local_dict=None)
    assert (fig15["energy_share_experts_attention"] > 0.5).all()
    lengths = {"mixtral-8x7b": (256, 4096), "glam-143b": (512, 2048), "grok-1": (256, 4096)}
    for model, (short, long) in lengths.items():
        assert all(ratio[model, long, long, b] < ratio[model, short, short, b] for b in (32, 64, 128))

    def lost(model: str) -> float:
        """What the saving loses from batch 32 to 128, on average over lengths."""
        each = [n for m, n, _, b in ratio if m == model and b == 32]
        return float(np.mean([ratio[model, n, n, 128] - ratio[model, n, n, 32] for n in each]))

    assert lost("mixtral-8x7b") > 0
    assert lost("grok-1") > 0
    assert lost("glam-143b") < min(lost("mixtral-8x7b"), lost("grok-1"))


@slow
def test_o14_stages_apart(outcome: StudyResults) -> None:
    assert max(ratios(outcome, "tbt_p99_s", "fig16", "split", FULL).values()) < 1
    assert max(ratios(outcome, "tokens_per_s", "fig16", "split", FULL).values()) < 1
    assert max(ratios(outcome, "ttft_p99_s", "fig16", "split", FULL).values()) > 2


def test_some_loops_keep_their_order(simulated: Callable[..., StudyResults]) -> None:
    lengths = "runs.fig16.zip=[{workload.input: [256], workload.output: [256]}]"
    wanted = [("tokens_per_s", {"run": "fig16", "system": system}) for system in ("gpu", "split", FULL)]
    results = simulated("duplex", ["workload.rounds=1", lengths], wanted)
    gpu, split, full = (results.measure(*each) or 0.0 for each in wanted)
    assert 0 < gpu < split < full


def test_o15_uneven_experts_gain_more_from_sharing() -> None:
    both, alone = (
        Stages(deployment(load_system("duplex-node"), load_model("mixtral-8x7b"), dispatch="static_by_layer", **how))
        for how in ({"together": True, "split": "greedy", "experts": "tensor"}, {"experts": "tensor"})
    )
    even, uneven = np.full((1, 1, 8), 32), np.array([[[128, 64, 32, 16, 8, 4, 2, 2]]])
    gains = [float(alone.experts(counts, False)[0] / both.experts(counts, False)[0]) for counts in (even, uneven)]
    assert gains[1] > gains[0]


BOUNDS = {  # relative, of each published statistic; of latencies absolute, as ratios new over old
    ("speedup", FULL, "mean"): 0.10,
    ("speedup", FULL, "max"): 0.15,
    ("speedup", "duplex", "max"): 0.15,
    ("speedup", "duplex-pe", "mean"): 0.08,
}


@slow
def test_published_figures_within_the_bounds(
    outcome: StudyResults, published: Callable[[str], list[Published]]
) -> None:
    checked = 0
    for row in published("duplex"):
        found, of = outcome.measure(row.metric, row.condition) if row.role != "context" else None, row.condition
        if found is None:
            continue
        if row.metric == "speedup":
            bound = BOUNDS.get((row.metric, of["system"], of["statistic"]), 0.15)
            assert found == pytest.approx(row.published, rel=bound), row
        elif row.metric in ("tbt_p50", "e2e_p50") and row.published < 1:
            assert found == pytest.approx(row.published, abs=0.10), row
        elif row.metric in ("tbt_p99", "ttft_p50"):
            assert found == pytest.approx(row.published, abs=0.15), row
        elif row.metric == "saturation":
            assert found == pytest.approx(row.published, rel=0.11), row  # 12.5 for 14: the README's finding
        elif row.metric == "energy" and of.get("model") != "glam-143b":
            assert 1 - found == pytest.approx(1 - row.published, rel=0.15), row
        elif row.metric == "admitted":
            assert found == pytest.approx(row.published, abs=row.tolerance), row
        else:
            continue
        checked += 1
    assert checked >= 20


@pytest.mark.xfail(
    strict=True, reason="times as achieved give the xPU a quarter of the experts: experiments/duplex/README.md"
)
@slow
def test_the_largest_saving_of_glam(outcome: StudyResults) -> None:
    condition = {"system": FULL, "over": "gpu", "of": "fig11", "model": "glam-143b", "statistic": "min"}
    assert 1 - (outcome.measure("energy", condition) or 1.0) == pytest.approx(0.4203, rel=0.15)
