"""The figures of designs: what each draws of a frame, and what it says where there is nothing to draw."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import LineCollection, PathCollection, QuadMesh
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from simulator.errors import ConfigError
from simulator.report import style
from simulator.report.charts.convergence import convergence
from simulator.report.charts.crossing import crossing
from simulator.report.charts.front import FRONT, MOST, pareto
from simulator.report.charts.heat import heat
from simulator.report.plots import points, short
from simulator.report.plots.elasticity import elasticity
from simulator.report.plots.parallel import parallel
from simulator.report.plots.rooflines import rooflines
from simulator.report.plots.tornado import tornado

HBM = "hardware.devices.gpu.tiers.hbm.bandwidth"
PEAK = "hardware.devices.gpu.engines.gpu.peak.bf16"


def sample() -> pd.DataFrame:
    """Designs of two models: TBT falls with bandwidth, area grows with it; batch 4 does not fit the larger model."""
    jitter = np.random.default_rng(0)
    rows = []
    for model, hbm, batch, fusion in product(
        ("llama-3.1-8b", "mixtral-8x7b"), (1e12, 2e12, 4e12, 1.6e13), (1, 2, 4), ("unfused", "conventional")
    ):
        tbt = (16e9 if "llama" in model else 94e9) / hbm * (1.2 if fusion == "unfused" else 1.0)
        tbt *= 1 + 0.01 * jitter.random()
        full = batch == 4 and model == "mixtral-8x7b"
        rows.append(
            {
                "model": model, HBM: hbm, "workload.batch": batch, "mapping.fusion": fusion,
                "tbt_s": tbt, "tokens_per_s": batch / tbt, "energy_per_token_j": 1 / batch + 300 * tbt,
                "area_m2": 4e-4 + hbm * 2e-16, "bound_by": "gpu.hbm->gpu.gpu" if batch < 4 else "gpu.gpu",
                "error": "weights and KV caches do not fit" if full else "", "feasible": not full,
            }
        )  # fmt: skip
    frame = pd.DataFrame(rows)
    frame.loc[[3, 20], ["tbt_s", "tokens_per_s"]] = np.nan
    return frame


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    return sample()


def feasible(frame: pd.DataFrame) -> pd.DataFrame:
    return frame[frame["feasible"] & frame["tbt_s"].notna()]


def places(figure: Figure, front: bool) -> list[list[float]]:
    """Of the markers of the front, or of the other points, in order."""
    drawn = [each for each in figure.axes[0].collections if isinstance(each, PathCollection)]
    return sorted(
        place
        for each in drawn
        if (each.get_zorder() == FRONT) == front
        for place in np.asarray(each.get_offsets()).tolist()
    )


def legend(figure: Figure) -> list[str]:
    (there,) = figure.legends
    return [text.get_text() for text in there.get_texts()]


# --- names and units


@pytest.mark.parametrize(
    ("column", "name"),
    [
        (HBM, "HBM bandwidth"),
        (PEAK, "GPU BF16 peak"),
        ("hardware.devices.pim.engines.pim.reads.hbm.bandwidth", "HBM-to-PIM bandwidth"),
        ("hardware.devices.gpu.count", "GPU count"),
        ("hardware.links.gpu.hbm<->pim.hbm.bandwidth", "GPU.HBM-PIM.HBM bandwidth"),
        ("hardware.devices.soc.links.flash->dram.latency", "flash-DRAM latency"),
        ("hardware.static_power", "static power"),
        ("model", "model"),
        ("workload.batch", "batch"),
        ("mapping.fusion", "fusion"),
        ("tokens_per_s", "throughput"),
        ("tbt_s", "TBT"),
        ("price_usd", "price"),
        ("sram_mib", "SRAM"),
    ],
)
def test_columns_have_short_names(column: str, name: str) -> None:
    assert short.short(column) == name


def test_names_that_would_be_the_same_say_their_device() -> None:
    other = HBM.replace("gpu", "pim")
    assert short.shorts([HBM, other, "model"]) == {
        HBM: "GPU HBM bandwidth",
        other: "PIM HBM bandwidth",
        "model": "model",
    }
    assert short.shorts(["a.b", "a_b"]) == {"a.b": "a.b", "a_b": "a_b"}


@pytest.mark.parametrize(
    ("column", "values", "label", "worth"),
    [
        (HBM, [5e11, 8e12], "HBM bandwidth (GB/s)", 1e9),
        (HBM, [1e12, 8e12], "HBM bandwidth (TB/s)", 1e12),
        (HBM, [1e9, 8e13], "HBM bandwidth (TB/s)", 1e12),
        (PEAK, [1e14], "GPU BF16 peak (TFLOP/s)", 1e12),
        ("area_m2", [8e-4], "die area (mm\u00b2)", 1e-6),
        ("tbt_s", [0.0, np.nan, 0.02], "TBT (ms)", 1e-3),
        ("launch_s", [3e-6], "launch (\u00b5s)", 1e-6),
        ("tokens_per_s", [1e5], "throughput (tokens/s)", 1),
        ("tokens_per_joule", [3], "tokens (tokens/joule)", 1),
        ("tokens_per_s_per_usd", [3], "throughput (tokens/s/USD)", 1),
        ("read_bytes_per_s", [3e9], "read (GB/s)", 1e9),
        ("op_per_byte", [3], "operations per byte (FLOP/B)", 1),
        ("link_gb_per_s", [3], "link (GB/s)", 1),
        ("area_mm2", [800], "area (mm\u00b2)", 1),
        ("workload.batch", [1, 64], "batch", 1),
        ("tbt_s", [], "TBT (s)", 1),
    ],
)
def test_values_are_scaled_to_a_unit_that_reads_well(
    column: str, values: list[float], label: str, worth: float
) -> None:
    scale = short.scale(column, values)
    assert (scale.label, scale.worth) == (label, pytest.approx(worth))


def test_a_unit_that_is_given_counts() -> None:
    assert short.scale("reach", [2e9], {"reach": "B"}).label == "reach (GB)"


@pytest.mark.parametrize(
    ("column", "one", "said"),
    [
        (HBM, 2.039e12, "2.04 TB/s"),
        ("workload.input", 8192, "8,192"),
        ("model", "llama-3.1-8b", "Llama-3.1-8B"),
        ("hardware", "my/dgx-a100.yaml", "DGX A100"),
        ("bound_by", "gpu.hbm->gpu.gpu", "HBM to GPU"),
        ("bound_by", "gpu.flash (inflight)", "flash inflight"),
        ("mapping.together", True, "yes"),
        ("tbt_s", np.nan, "none"),
        ("mapping.fusion", None, "none"),
    ],
)
def test_values_are_said_as_people_do(column: str, one: Any, said: str) -> None:
    assert short.value(column, one) == said


@pytest.mark.parametrize(
    ("one", "said"),
    [(1234.5, "1,230"), (0.01234, "0.0123"), (2.5e7, "2.5e7"), (4e-5, "4e-5"), (0, "0"), (-1.5, "-1.5")],
)
def test_numbers_have_three_digits(one: float, said: str) -> None:
    assert short.number(one) == said


def test_more_is_better_of_rates_unless_it_is_said() -> None:
    assert [points.sense(name, {"reach": "max"}) for name in ("tokens_per_s", "energy_per_step_j", "reach")] == [
        "max",
        "min",
        "max",
    ]


# --- Pareto


def test_the_front_is_what_no_point_beats(frame: pd.DataFrame) -> None:
    figure = pareto(frame, "area_m2", "tokens_per_s", label=[HBM, "workload.batch"])
    axes = figure.axes[0]
    there = feasible(frame)
    at = there[["area_m2", "tokens_per_s"]].to_numpy()
    best = [row for row in at if not any((o[0] <= row[0]) & (o[1] >= row[1]) & (o != row).any() for o in at)]
    marks = places(figure, front=True)
    assert np.array(marks) == pytest.approx(np.array(sorted((1e6 * x, y) for x, y in best)))
    (steps,) = (line for line in axes.get_lines() if line.get_drawstyle() != "default")
    assert steps.get_drawstyle() == "steps-post"  # less area is better: a point holds to its right
    assert steps.get_xydata() == pytest.approx(np.array(marks))
    assert len(places(figure, front=False)) == len(frame) - frame["tbt_s"].isna().sum() - len(best)
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("die area (mm\u00b2)", "throughput (tokens/s)")
    assert (axes.get_xscale(), axes.get_yscale()) == ("linear", "log")
    assert legend(figure) == [f"feasible ({len(there)})", f"front ({len(best)})", "infeasible (8)"]


def test_labels_of_the_front_do_not_overlap(frame: pd.DataFrame) -> None:
    figure = pareto(frame, "area_m2", "tokens_per_s", label=[HBM, "workload.batch"])
    texts = figure.axes[0].texts
    said = {text.get_text() for text in texts}
    assert said <= {f"{hbm} TB/s, {batch}" for hbm in (1, 2, 4, 16) for batch in (1, 2, 4)}
    assert len(said) >= 3
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in texts]
    assert not any(one.overlaps(other) for i, one in enumerate(boxes) for other in boxes[:i])
    assert figure.legends[0].get_title().get_text() == "labels: HBM bandwidth, batch"


def test_more_is_better_where_senses_say_so(frame: pd.DataFrame) -> None:
    figure = pareto(frame, "tokens_per_s", "area_m2", {"area_m2": "max"})
    (steps,) = (line for line in figure.axes[0].get_lines() if line.get_drawstyle() != "default")
    assert steps.get_drawstyle() == "steps-pre"
    best = feasible(frame).nlargest(1, "tokens_per_s")
    assert steps.get_xydata().tolist() == [[best["tokens_per_s"].item(), pytest.approx(1e6 * best["area_m2"].item())]]


def test_a_front_of_more_objectives_is_marked_whole(frame: pd.DataFrame) -> None:
    mask = np.arange(len(frame)) % 6 == 1
    for given in (mask, pd.Series(mask), "best"):
        figure = pareto(frame.assign(best=mask), "tbt_s", "energy_per_token_j", front=given)
        assert len(places(figure, front=True)) == (mask & frame["feasible"] & frame["tbt_s"].notna()).sum()
    assert not places(pareto(frame, "tbt_s", "tokens_per_s", front=~mask & mask, label="model"), front=True)
    with pytest.raises(ConfigError, match="found 3 values, expected one for each of 48 rows"):
        pareto(frame, "tbt_s", "tokens_per_s", front=[True] * 3)


def test_colours_are_categories_or_a_map(frame: pd.DataFrame) -> None:
    categories = pareto(frame, "tbt_s", "energy_per_token_j", colour="bound_by")
    assert legend(categories)[:2] == ["HBM to GPU", "GPU"]
    assert len(categories.axes) == 1
    numbers = pareto(frame, "tbt_s", "energy_per_token_j", colour=HBM)
    assert numbers.axes[1].get_ylabel() == "HBM bandwidth (TB/s)"
    many = pareto(frame.assign(name=[f"n{i}" for i in range(len(frame))]), "tbt_s", "area_m2", colour="name")
    assert legend(many)[:7] == [*(f"n{i}" for i in (0, 1, 2, 4, 5, 6)), "other"]


def test_many_points_are_thinned_and_keep_the_front() -> None:
    draws = np.random.default_rng(0)
    many = pd.DataFrame({"tbt_s": draws.lognormal(size=60_000), "area_m2": draws.lognormal(size=60_000)})
    figure = pareto(many, "tbt_s", "area_m2")
    assert 3_000 < len(places(figure, front=False)) <= MOST
    assert [each.get_rasterized() for each in figure.axes[0].collections] == [True, False]
    rows = np.ones(len(many), dtype=bool)
    assert len(places(figure, front=True)) == points.front(many, None, rows, {"tbt_s": "min", "area_m2": "min"}).sum()


# --- heat map


def test_a_cell_is_the_best_over_the_other_axes(frame: pd.DataFrame) -> None:
    figure = heat(frame, HBM, "workload.batch", "tokens_per_s")
    axes, bar = figure.axes
    (mesh,) = (each for each in axes.collections if isinstance(each, QuadMesh))
    best = feasible(frame).pivot_table(index="workload.batch", columns=HBM, values="tokens_per_s", aggfunc="max")
    assert np.asarray(mesh.get_array()) == pytest.approx(best.to_numpy())
    assert bar.get_xlabel().replace("\n", " ") == "throughput (tokens/s), highest over model and fusion"
    assert [text.get_text() for text in axes.get_xticklabels()] == ["1", "2", "4", "16"]
    assert [text.get_text() for text in axes.texts] == [short.number(one) for one in best.to_numpy().ravel()]
    (edge,) = (patch for patch in axes.patches if patch.get_edgecolor()[:3] != (0, 0, 0))
    assert isinstance(edge, Rectangle)
    assert edge.get_xy() == (2.5, 1.5)  # the fastest at the largest batch


def test_infeasible_cells_are_hatched_and_missing_ones_blank(frame: pd.DataFrame) -> None:
    some = frame[(frame["model"] == "mixtral-8x7b") & (frame["mapping.fusion"] == "unfused")]
    some = some[~((some[HBM] == 1e12) & (some["workload.batch"] == 4))]
    figure = heat(some, HBM, "workload.batch", "tbt_s")
    hatched = [patch for patch in figure.axes[0].patches if patch.get_hatch()]
    assert [(patch.get_xy(), patch.get_width()) for patch in hatched if isinstance(patch, Rectangle)] == [
        ((0.5, 1.5), 3)
    ]
    assert legend(figure) == ["lowest", "infeasible"]
    assert figure.axes[1].get_xlabel() == "TBT (ms)"


def test_texts_are_axes_of_a_heat_map(frame: pd.DataFrame) -> None:
    axes = heat(frame, "model", "mapping.fusion", "tbt_s", best="max").axes[0]
    assert [text.get_text() for text in axes.get_xticklabels()] == ["Llama-3.1-8B", "Mixtral-8x7B"]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["unfused", "conventional"]


def test_small_cells_have_no_text() -> None:
    rows = [{HBM: 1e12 + 1e9 * i, "workload.batch": j, "tbt_s": i + j + 1} for i in range(100) for j in range(60)]
    figure = heat(pd.DataFrame(rows), HBM, "workload.batch", "tbt_s")
    assert not figure.axes[0].texts
    assert len(figure.axes[0].get_xticks()) < 12


# --- parallel coordinates


def test_each_point_is_a_line_over_the_axes_that_vary(frame: pd.DataFrame) -> None:
    figure = parallel(frame, senses={"tokens_per_s": "max", "area_m2": "min"})
    axes = figure.axes[0]
    labels = [text.get_text().split("\n") for text in axes.get_xticklabels()]
    assert [label[0] for label in labels] == ["model", "HBM bandwidth", "batch", "fusion", "throughput", "die area"]
    assert [label[1] for label in labels] == ["", "(TB/s)", "", "", "(tokens/s)", "(mm\u00b2)"]
    assert labels[4][2] == "max."
    front = [line for line in axes.get_lines() if len(line.get_ydata()) == 6]
    (others,) = (each for each in axes.collections if isinstance(each, LineCollection))
    rows = points.with_values(frame, ["tokens_per_s", "area_m2"])
    best = points.front(frame, None, rows, {"tokens_per_s": "max", "area_m2": "min"})
    assert len(front) == best.sum()
    assert len(others.get_segments()) == (rows & ~best).sum()
    heights = np.array([line.get_ydata() for line in front])
    assert set(heights[:, 0]) == {0}  # all of the smaller model
    assert set(heights[:, 2]) == {1}  # and of the largest batch
    assert sorted(heights[:, 1]) == pytest.approx([0, 0.25, 0.5, 1])  # by their logarithms
    assert {"Llama-3.1-8B", "unfused", "16"} <= {text.get_text() for text in axes.texts}


def test_parallel_needs_two_axes_and_a_front(frame: pd.DataFrame) -> None:
    with pytest.raises(ConfigError, match="expected two or more that vary"):
        parallel(frame.iloc[:1], senses={"tbt_s": "min"})
    with pytest.raises(ConfigError, match="neither senses nor a front"):
        parallel(frame, ["model", "tbt_s"])
    figure = parallel(frame, ["model", "mapping.fusion"], front=np.arange(len(frame)) == 0)
    assert len(figure.axes) == 1


# --- tornado, elasticities, crossings

SWINGS = pd.DataFrame(
    [
        ["workload.batch", 1, 64, 0.0165, 0.019],
        [HBM, 1e12, 4e12, 0.031, 0.009],
        ["mapping.fusion", "unfused", "streaming", 0.022, 0.014],
        ["workload.input", 128, 8192, 0.0165, np.nan],
        [PEAK, 1e14, 1e15, 0.018, 0.0175],
        ["mapping.dispatch", None, "all", np.nan, np.nan],
    ],
    columns=["path", "low", "high", "metric_low", "metric_high"],
)


def test_a_tornado_has_its_widest_bar_on_top() -> None:
    figure = tornado(SWINGS, 0.017, "tbt_s")
    axes = figure.axes[0]
    names = [text.get_text() for text in axes.get_yticklabels()]
    assert names == ["HBM bandwidth", "fusion", "batch", "GPU BF16 peak", "input tokens", "dispatch"]
    bars = [(bar.get_x() + bar.get_width(), bar.get_y() + bar.get_height() / 2) for bar in axes.patches]
    assert bars[:2] == [(pytest.approx(31), pytest.approx(0)), (pytest.approx(9), pytest.approx(0))]
    assert len(bars) == 9  # three ends have no metric
    assert [line.get_xdata()[0] for line in axes.get_lines()] == [pytest.approx(17)]
    texts = [text.get_text() for text in axes.texts]
    assert {"1 TB/s", "4 TB/s", "unfused", "8,192 fails", "none fails", "all fails"} <= set(texts)
    assert axes.get_title(loc="left") == "base: 17 ms"
    assert len(tornado(SWINGS, 0.017, "tbt_s", most=2).axes[0].get_yticklabels()) == 2


def test_one_sided_elasticities_are_apart_at_a_tie() -> None:
    values = {"gpu.gpu": (-0.2, -0.1), "gpu.hbm->gpu.gpu": -0.7, "latency": (0.05, 0.05), "gpu.sram": (0, 0)}
    frame = pd.DataFrame(
        [
            ("gpu.gpu", -0.2, -0.1), ("gpu.hbm->gpu.gpu", -0.7, -0.7), ("latency", 0.05, 0.05),
            ("gpu.sram", np.nan, 0),
        ],
        columns=["resource", "below", "above"],
    )  # fmt: skip
    for given in (values, frame):
        figure = elasticity(given, "tbt_s")
        axes = figure.axes[0]
        assert [bar.get_width() for bar in axes.patches] == [-0.7, -0.2, -0.1, 0.05]
        assert [text.get_text() for text in axes.get_yticklabels()] == ["HBM to GPU", "GPU", "latency"]
        assert "\u22120.20, \u22120.10" in [text.get_text() for text in axes.texts]
        assert axes.get_xlabel() == "% of TBT for 1 % of the resource"
        assert legend(figure) == ["1 % less", "1 % more, or both alike"]
        assert figure.legends[0].get_title().get_text() == "1 more without effect"
    assert not elasticity({"gpu.gpu": -1}).legends
    with pytest.raises(ConfigError, match="all 0 or unknown"):
        elasticity({"gpu.gpu": 0})


def test_a_crossing_is_where_the_lines_meet() -> None:
    x = np.geomspace(1e11, 1e13, 15)
    figure = crossing(x, 1e10 / x, 1e-2 * (x / 1e12) ** 0.5, ("A", "B"), HBM, "tbt_s")
    axes = figure.axes[0]
    (ring,) = (line for line in axes.get_lines() if line.get_marker() == "o")
    assert ring.get_xydata()[0] == pytest.approx([1, 10])  # straight lines on these axes: exact
    assert [text.get_text() for text in axes.texts] == ["1 TB/s"]
    bands = [(patch.get_x(), patch.get_width()) for patch in axes.patches if isinstance(patch, Rectangle)]
    assert bands == [pytest.approx((0.1, 0.9)), pytest.approx((1, 9))]
    first, second = (patch.get_facecolor()[:3] for patch in axes.patches)
    assert first == pytest.approx(style.tint(style.VERMILION, 0.45))
    assert second == pytest.approx(style.tint(style.BLUE, 0.45))
    assert legend(figure) == ["A", "B"]


@pytest.mark.parametrize(
    ("a", "b", "places"),
    [
        ([1, 2, 3], [2, 3, 4], []),
        ([0, 2, 4], [1, 1, 5], [0.5, 1.5]),
        ([0, 1, 2], [2, 1, 0], [1]),
        ([0, 1, 0], [2, 1, 2], []),  # touches
        ([1, np.nan, 3], [2, 2, 2], []),
        ([1, 2, 3], [1, 2, 3], []),
    ],
)
def test_lines_cross_where_their_order_changes(a: list[float], b: list[float], places: list[float]) -> None:
    axes = crossing([0, 1, 2], a, b).axes[0]
    dotted = [line.get_xdata()[0] for line in axes.get_lines() if line.get_linestyle() == ":"]
    assert dotted == pytest.approx(places)


def test_a_crossing_that_is_known_better_is_drawn_there() -> None:
    axes = crossing([1, 2, 3], [1, 2, 3], [3, 2.1, 1], at=[2.04]).axes[0]
    assert [text.get_text() for text in axes.texts] == ["2.04"]
    with pytest.raises(ConfigError, match="found 3, 3, 2 values"):
        crossing([1, 2, 3], [1, 2, 3], [1, 2])
    with pytest.raises(ConfigError, match="no place where both have a value"):
        crossing([1.0], [np.nan], [1.0])


# --- searches, rooflines


def test_a_search_is_its_median_and_a_band() -> None:
    rows = [
        ("tpe", 0, 10, 0.5), ("tpe", 0, 20, 1.0), ("tpe", 1, 10, 0.3), ("tpe", 1, 20, 0.99), ("tpe", 2, 10, 0.4),
        ("tpe", 2, 15, 0.6), ("tpe", 2, 20, 0.94), ("random", 0, 10, 0.2), ("random", 0, 20, np.nan),
        ("random", 0, 20, 0.5),
    ]  # fmt: skip
    figure = convergence(pd.DataFrame(rows, columns=["method", "seed", "evaluations", "hypervolume"]), best=1.0)
    axes = figure.axes[0]
    random, tpe = (line for line in axes.get_lines() if line.get_drawstyle() == "steps-post")
    assert (random.get_color(), random.get_xydata().tolist()) == (style.GREY, [[10, 0.2], [20, 0.5]])
    assert tpe.get_xydata() == pytest.approx(np.array([[10, 0.4], [15, 0.5], [20, 0.99]]))
    (dot,) = (line for line in axes.get_lines() if line.get_marker() == "o")
    assert dot.get_xydata().tolist() == [[20, 0.99]]
    assert legend(figure) == ["random", "tpe: 20"]
    assert [text.get_text() for text in axes.texts] == ["95 %"]
    assert any(list(line.get_ydata()) == [0.95, 0.95] for line in axes.get_lines())


def test_a_search_of_one_row_and_of_none() -> None:
    columns = ["method", "evaluations", "hypervolume"]
    assert (
        convergence(pd.DataFrame([("tpe", 10, 2.0)], columns=columns)).axes[0].get_ylabel() == "hypervolume (best = 1)"
    )
    for value in (np.nan, 0.0):
        with pytest.raises(ConfigError, match="no search to draw"):
            convergence(pd.DataFrame([("tpe", 10, value)], columns=columns))


def test_each_design_has_a_roof_and_its_points() -> None:
    figure = rooflines(
        [("A", 1e15, 2e12, [(1.5, 2.5e12, "attention"), (0.0, 0.0, "copy"), (900, 8e14)]), ("B", 5e14, 4e12, [])]
    )
    axes = figure.axes[0]
    roofs = [line.get_xydata() for line in axes.get_lines() if len(line.get_xydata()) > 1]
    for roof, (peak, bandwidth) in zip(roofs, ((1000, 2), (500, 4)), strict=True):
        assert roof[:, 1] == pytest.approx(np.minimum(peak, bandwidth * roof[:, 0]))
    marks = [line.get_xydata()[0] for line in axes.get_lines() if len(line.get_xydata()) == 1]
    assert marks == [pytest.approx([1.5, 2.5]), pytest.approx([900, 800])]
    assert [text.get_text() for text in axes.texts] == ["attention"]
    assert legend(figure) == ["A: 1 PFLOP/s, 2 TB/s", "B: 500 TFLOP/s, 4 TB/s"]
    for wrong in ([], [("A", 0.0, 1.0, [])]):
        with pytest.raises(ConfigError):
            rooflines(wrong)


# --- all of them

OVER: dict[str, Callable[[pd.DataFrame], Figure]] = {
    "pareto": lambda frame: pareto(frame, "tbt_s", "area_m2", label="model", colour="bound_by"),
    "heat": lambda frame: heat(frame, HBM, "workload.batch", "tbt_s"),
    "parallel": lambda frame: parallel(frame, [HBM, "model", "tbt_s"], {"tbt_s": "min"}),
}


@pytest.mark.parametrize("name", OVER)
def test_one_point_is_drawn(frame: pd.DataFrame, name: str, tmp_path: Path) -> None:
    style.save(OVER[name](frame.iloc[:1]), tmp_path / "one.svg")
    assert (tmp_path / "one.svg").stat().st_size > 1_000


@pytest.mark.parametrize("name", OVER)
def test_no_feasible_point_is_said_and_why(frame: pd.DataFrame, name: str) -> None:
    infeasible = frame[~frame["feasible"]]
    with pytest.raises(ConfigError, match="0 of 8 points, 8 for: weights and KV caches do not fit"):
        OVER[name](infeasible)
    with pytest.raises(ConfigError, match="no feasible point to draw: found none of 48 points with"):
        OVER[name](frame.assign(tbt_s=np.nan))
    with pytest.raises(ConfigError, match="no feasible point"):
        OVER[name](frame.iloc[:0])


@pytest.mark.parametrize("name", OVER)
def test_an_unknown_column_is_named_with_the_nearest(frame: pd.DataFrame, name: str) -> None:
    with pytest.raises(ConfigError, match=r"found 'tbt_s', .*did you mean 'tbt_ms'"):
        OVER[name](frame.rename(columns={"tbt_s": "tbt_ms"}))


def test_a_frame_without_feasibility_is_all_feasible() -> None:
    figure = pareto(pd.DataFrame({"a": [1.0, 2.0, None], "b": [2.0, 1.0, 0.0]}), "a", "b")
    assert legend(figure) == ["feasible (2)", "front (2)"]


def test_no_result_is_infeasible() -> None:
    frame = pd.DataFrame({"a": [1, 2, 3], "feasible": [True, None, np.nan], "error": [None, "", np.nan]})
    assert points.feasible(frame).tolist() == [True, False, False]


def test_the_same_frame_gives_the_same_bytes(tmp_path: Path) -> None:
    draws = np.random.default_rng(0)
    many = pd.DataFrame({"tbt_s": draws.lognormal(size=2_500), "area_m2": draws.lognormal(size=2_500)})
    for folder in ("one", "two"):
        style.save(pareto(many, "tbt_s", "area_m2", label="tbt_s"), tmp_path / folder / "many.svg")
        style.save(OVER["heat"](sample()), tmp_path / folder / "heat.svg")
    for file in (tmp_path / "one").iterdir():
        assert file.read_bytes() == (tmp_path / "two" / file.name).read_bytes()
