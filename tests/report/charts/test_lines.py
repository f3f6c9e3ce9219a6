"""The figure of a skew experiment: its panels, its lines, and what was recorded."""

from __future__ import annotations

from pathlib import Path

import pytest
from simulator.report.skew import SkewFigures

from simulator.baselines.reproduction import Reproduction, compare_with_published
from simulator.report import style
from simulator.report.figures import Drawn

EXPERIMENT = """\
schema: 1
kind: skew
title: small
tokens: [4, 64]
draws: 5
routers:
  even: {kind: uniform, experts: 6, top_k: 2}
  hot: {kind: zipf, experts: 6, top_k: 2, exponent: 2}
  placed: {kind: uniform, experts: 6, top_k: 2, devices: 3}
"""
PUBLISHED = """\
figure,metric,condition,role,published,unit,tolerance,source
Decode,busiest_over_mean,router=hot tokens=4,prediction,2.5,x,0.1,recorded
Decode,idle,router=even tokens=64,prediction,50,%,1,recorded
Devices,busiest_device_over_mean,router=placed tokens=4,context,1.5,x,0.1,drawn
"""


def reproduced(folder: Path, experiment: str) -> Reproduction:
    (folder / "experiment.yaml").write_text(experiment)
    (folder / "published.csv").write_text(PUBLISHED)
    return compare_with_published(folder / "experiment.yaml")


@pytest.fixture(scope="module")
def reproduction(tmp_path_factory: pytest.TempPathFactory) -> Reproduction:
    return reproduced(tmp_path_factory.mktemp("skew"), EXPERIMENT)


def drawn(reproduction: Reproduction) -> Drawn:
    with style.publication():
        (figure,) = SkewFigures.draw(reproduction)
    return figure


def test_a_line_is_what_was_drawn_of_a_router(reproduction: Reproduction) -> None:
    panels = drawn(reproduction).figure.axes
    assert [axis.get_title(loc="left")[:3] for axis in panels] == ["(a)", "(b)"]  # no engines share the experts
    lines = [line.get_xydata().tolist() for line in panels[0].get_lines() if len(line.get_xydata()) == 2]
    expected = [
        [[n, reproduction.base.outcome.measure("busiest_over_mean", {"router": router, "tokens": n})] for n in (4, 64)]
        for router in ("even", "hot")
    ]
    assert lines == expected


def test_what_was_recorded_stands_at_its_tokens(reproduction: Reproduction) -> None:
    panels = drawn(reproduction).figure.axes
    shown = [[line.get_xydata().tolist() for line in axis.get_lines() if line.get_marker() == "o"] for axis in panels]
    assert shown == [[[[4, 2.5]]], [[[64, 50]]]]
    assert "Decode" in drawn(reproduction).caption
    assert "Devices" not in drawn(reproduction).caption


def test_engines_that_share_experts_have_a_panel(tmp_path: Path) -> None:
    sharing = "sharing: {hardware: duplex-node, model: mixtral-8x7b, high: xpu, low: pim}\n"
    figure = drawn(reproduced(tmp_path, EXPERIMENT + sharing))
    assert len(figure.figure.axes) == 3
    assert "(c)" in figure.caption
