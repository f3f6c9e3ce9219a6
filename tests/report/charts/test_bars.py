"""Bars of a study: which there are, how high they are, and what was published of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure

from simulator.errors import ConfigError
from simulator.report import style
from simulator.report.figures import Drawn
from simulator.report.shown import drawn
from simulator.validation.experiment import check_experiment
from simulator.validation.reproduction import Reproduction, compare_with_published

EXPERIMENT = """\
schema: 1
title: small
base: {workload: {kind: routing}}
cases:
  router:
    even: {workload: {router: {kind: uniform, experts: 6, top_k: 2}}, label: Even}
    hot: {workload: {router: {kind: zipf, experts: 6, top_k: 2, exponent: 2}}, label: Hot}
    warm: {workload: {router: {kind: zipf, experts: 6, top_k: 2, exponent: 1}}}
axes: {workload.tokens: [16, 64], workload.draws: [1, 2]}
metrics:
  load: {of: busiest_over_mean, over: {router: even}, reads: {over: over.router, statistic: take}}
  skew: {of: gini, over: {router: even}}
charts:
  loads: {kind: bars, of: load, x: [tokens, draws], panels: router, series: router, where: {router: [hot, warm]},
    published: {figures: ['1']}}
  both: {kind: bars, of: [load, skew], x: tokens, series: router, where: {draws: 1, router: [hot, warm]},
    published: {figures: ['1']}}
  logs: {kind: bars, of: [load, busiest_over_mean], x: tokens, series: router, where: {draws: 1},
    log: [load, busiest_over_mean]}
"""
PUBLISHED = """\
figure,metric,condition,role,published,unit,tolerance,source
1,load,router=hot statistic=mean,prediction,1.75,x,0.1,a mean
1,load,router=hot tokens=64 draws=1,prediction,1.5,x,0.1,of one bar
1,load,router=warm over=hot tokens=16 draws=1,calibration,0.5,x,0.1,over another case
1,load,router=warm over=hot statistic=max,prediction,0.9,x,0.1,of several over another case
2,load,router=warm tokens=16 draws=1,prediction,1.1,x,0.1,of another figure
"""


@pytest.fixture(scope="module")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Writes the experiment with some text in the place of another."""

    def write(old: str = "", new: str = "") -> Path:
        folder = tmp_path_factory.mktemp("bars")
        assert old in EXPERIMENT
        (folder / "experiment.yaml").write_text(EXPERIMENT.replace(old, new) if old else EXPERIMENT)
        (folder / "published.csv").write_text(PUBLISHED)
        return folder / "experiment.yaml"

    return write


@pytest.fixture(scope="module")
def reproduction(experiment: Callable[..., Path]) -> Reproduction:
    return compare_with_published(experiment())


@pytest.fixture(scope="module")
def charts(reproduction: Reproduction) -> dict[str, Drawn]:
    with style.publication():
        return {each.name: each for each in drawn(reproduction)}


def heights(axes: Any) -> list[float]:
    return [float(bar.get_height()) for bar in axes.patches]


def rings(figure: Figure) -> list[list[float]]:
    """The published values of single bars in each panel."""
    return [
        [float(line.get_ydata()[0]) for line in axes.get_lines() if line.get_linestyle() == "None"]
        for axes in figure.axes
    ]


def lines(figure: Figure) -> list[set[float]]:
    """The published values of several bars in each panel."""
    return [{float(part[0][1]) for each in axes.collections for part in each.get_segments()} for axes in figure.axes]


def test_each_case_has_a_bar_as_high_as_its_metric(reproduction: Reproduction, charts: dict[str, Drawn]) -> None:
    def load(metric: str, router: str, tokens: int, draws: int) -> float:
        case = {"router": router, "tokens": tokens, "draws": draws}
        return reproduction.base.measure(metric, case) or 0.0

    panels = charts["loads"].figure.axes
    assert [axes.get_title(loc="left") for axes in panels] == ["(a) Hot", "(b) warm"]
    for axes, router in zip(panels, ("hot", "warm"), strict=True):
        assert heights(axes) == [load("load", router, tokens, n) for tokens in (16, 64) for n in (1, 2)]
        assert [text.get_text() for text in axes.get_xticklabels()] == ["1", "2", "1", "2"]
        assert {"16", "64"} <= {text.get_text() for text in axes.texts}
    for axes, metric in zip(charts["both"].figure.axes, ("load", "skew"), strict=True):
        assert heights(axes) == [load(metric, router, tokens, 1) for router in ("hot", "warm") for tokens in (16, 64)]


def test_bars_of_ratios_begin_at_one_where_the_axis_is_logarithmic(charts: dict[str, Drawn]) -> None:
    ratio, plain = charts["logs"].figure.axes
    assert {bar.get_y() for bar in ratio.patches} == {1.0}
    assert all(0 < bar.get_y() < bar.get_y() + bar.get_height() for bar in plain.patches)


def test_a_mean_is_a_line_over_the_bars_that_it_is_of(charts: dict[str, Drawn]) -> None:
    assert lines(charts["loads"].figure) == [{1.75}, set()]


def test_one_value_is_a_ring_and_one_over_another_case_stands_on_the_bar_of_that(
    reproduction: Reproduction, charts: dict[str, Drawn]
) -> None:
    hot = reproduction.base.measure("load", {"router": "hot", "tokens": 16, "draws": 1}) or 0.0
    assert rings(charts["loads"].figure) == [[1.5], [0.5 * hot]]
    assert rings(charts["both"].figure) == [[1.5, 0.5 * hot], []]


def test_what_bars_are_over_and_what_was_published_is_said(charts: dict[str, Drawn]) -> None:
    assert charts["loads"].caption.startswith("Load over Even: bars simulated. Published (Fig. 1)")
    assert "Published" not in charts["logs"].caption
    named = [text.get_text() for text in charts["loads"].figure.legends[0].get_texts()]
    assert named == ["Hot", "warm", "published mean", "published", "published, fitted to"]


def test_two_cases_of_one_bar_are_refused(experiment: Callable[..., Path]) -> None:
    reproduction = compare_with_published(
        experiment("x: tokens, series: router, where: {draws: 1, ", "x: tokens, series: router, where: {")
    )
    with (
        style.publication(),
        pytest.raises(ConfigError, match="several of tokens 16, router Hot, expected one, by `x`"),
    ):
        list(drawn(reproduction))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("of: [load, skew]", "of: [load, skw]", r"charts\.both\.of\.1: no such column: .*did you mean 'skew'"),
        ("x: [tokens, draws]", "x: [token, draws]", r"charts\.loads\.x\.0: no such column: .*'tokens'"),
        ("x: [tokens, draws]", "x: []", r"charts\.loads\.x"),
        ("of: [load, skew], ", "of: [load, skew], panels: router, ", r"charts\.both\.panels: .*expected a panel a"),
        ("['1']}}\n  both", "['3']}}\n  both", r"charts\.loads\.published\.figures\.0: no such figure"),
    ],
)  # fmt: skip
def test_what_cannot_be_drawn_is_refused_at_its_line(
    experiment: Callable[..., Path], old: str, new: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=r"experiment\.yaml:\d+: " + message):
        check_experiment(experiment(old, new))
