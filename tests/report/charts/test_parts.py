"""Bars of what adds up, and what was published of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from simulator.report import style
from simulator.report.figures import Drawn
from simulator.report.shown import drawn
from simulator.validation.reproduction import Reproduction


@pytest.fixture(scope="module")
def split(reproduction: Reproduction) -> Drawn:
    with style.publication():
        return next(each for each in drawn(reproduction) if each.name == "split")


def test_bars_add_up_to_the_whole(reproduction: Reproduction, split: Drawn) -> None:
    point = {"system": "dgx-a100", "batch": 8, "tokens": 20, "experts": 100}
    whole = reproduction.base.measure("latency", point)
    assert whole is not None
    axes = next(axes for axes in split.figure.axes if axes.get_title(loc="left") == "(b) batch 8")
    assert [text.get_text() for text in axes.texts][1:] == [f"{whole * 1e3:,.0f}", "5,490"]
    bars = [bar for bar in axes.patches if not bar.get_hatch() and bar.get_x() > 0.4]
    assert sum(bar.get_height() for bar in bars) == pytest.approx(whole * 1e3)


def test_the_caption_names_the_published_figures(split: Drawn) -> None:
    assert "published (hatched, Fig. 1a)" in split.caption


def test_what_does_not_fit_has_no_bar(reproduction: Reproduction) -> None:
    given = reproduction.base
    service = given.points["service"].assign(switch_s=float("nan"), router_s=float("nan"), expert_s=float("nan"))
    base = replace(given, points={**given.points, "service": service})
    with style.publication():
        figure = next(each for each in drawn(replace(reproduction, base=base)) if each.name == "split")
    assert "refused" in [text.get_text() for text in figure.figure.axes[0].texts]
