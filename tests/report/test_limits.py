"""Places on the axis of a chart that were looked up, published and simulated."""

from __future__ import annotations

import pytest
from matplotlib.figure import Figure

from simulator.report import style
from simulator.report.shown import drawn
from simulator.validation.reproduction import compare_with_published

EXPERIMENT = """\
schema: 1
title: small
base: {workload: {kind: routing, draws: 5}}
cases:
  router:
    even: {workload: {router: {kind: uniform, experts: 6, top_k: 2}}}
    hot: {workload: {router: {kind: zipf, experts: 6, top_k: 2, exponent: 2}}}
axes: {workload.tokens: [4, 16, 64]}
metrics: {most: {of: tokens, take: max}}
charts:
  ends: {kind: lines, x: tokens, of: [gini, idle], series: router, where: {router: even},
    published: {figures: ["1"], metric: most}}
"""
PUBLISHED = """\
figure,metric,condition,role,published,unit,tolerance,source
1,most,router=even,prediction,32,tokens,1,read off
1,most,router=hot,prediction,16,tokens,1,of a case that is not drawn
2,most,router=even,prediction,8,tokens,1,of another figure
"""


@pytest.fixture(scope="module")
def figure(tmp_path_factory: pytest.TempPathFactory) -> Figure:
    folder = tmp_path_factory.mktemp("limits")
    (folder / "experiment.yaml").write_text(EXPERIMENT)
    (folder / "published.csv").write_text(PUBLISHED)
    with style.publication():
        (chart,) = drawn(compare_with_published(folder / "experiment.yaml"))
    return chart.figure


def test_a_line_is_at_the_published_place_and_a_pointer_at_the_simulated_one(figure: Figure) -> None:
    for axes in figure.axes:
        dotted = [line.get_xdata() for line in axes.get_lines() if line.get_linestyle() == ":"]
        pointers = [list(line.get_xdata()) for line in axes.get_lines() if line.get_marker() == "v"]
        assert [set(each) for each in dotted] == [{32.0}]
        assert pointers == [[64.0]]


def test_both_are_said(figure: Figure) -> None:
    named = [text.get_text() for text in figure.legends[0].get_texts()]
    assert named == ["even", "limit, published", "limit, simulated"]
