"""Stacks of shares: each as high as its share, and all of it together."""

from __future__ import annotations

from pathlib import Path

import pytest
from matplotlib.figure import Figure

from simulator.errors import ConfigError
from simulator.report import style
from simulator.report.shown import drawn
from simulator.study.load import load_study
from simulator.validation.reproduction import Reproduction, compare_with_published

EXPERIMENT = """\
schema: 1
title: small
base: {workload: {kind: routing}}
cases:
  router:
    even: {workload: {router: {kind: uniform, experts: 6, top_k: 2}}, label: Even}
    hot: {workload: {router: {kind: zipf, experts: 6, top_k: 2, exponent: 3}}, label: Hot}
axes: {workload.tokens: [2, 16], workload.draws: [4]}
charts:
  one: {kind: shares, stacks: {all: [gini]}, parts: [uneven], rest: even, x: [tokens, draws], panels: router}
  two: {kind: shares, stacks: {of tokens: [gini, idle], again: [idle, gini]}, parts: [first, second],
    x: tokens, where: {router: hot, tokens: 2}}
"""


@pytest.fixture(scope="module")
def reproduction(tmp_path_factory: pytest.TempPathFactory) -> Reproduction:
    file = tmp_path_factory.mktemp("shares") / "experiment.yaml"
    file.write_text(EXPERIMENT)
    return compare_with_published(file)


@pytest.fixture(scope="module")
def figures(reproduction: Reproduction) -> dict[str, Figure]:
    with style.publication():
        return {each.name: each.figure for each in drawn(reproduction)}


def test_a_share_and_the_rest_are_a_whole(reproduction: Reproduction, figures: dict[str, Figure]) -> None:
    panels = figures["one"].axes
    assert [axes.get_title(loc="left") for axes in panels] == ["(a) Even", "(b) Hot"]
    for axes, router in zip(panels, ("even", "hot"), strict=True):
        for place, tokens in enumerate((2, 16)):
            share, rest = axes.patches[2 * place : 2 * place + 2]
            uneven = reproduction.base.measure("gini", {"router": router, "tokens": tokens})
            assert uneven is not None and share.get_height() == pytest.approx(100 * uneven)
            assert (rest.get_y(), share.get_height() + rest.get_height()) == pytest.approx((share.get_height(), 100))


def test_stacks_stand_beside_one_another_and_look_different(figures: dict[str, Figure]) -> None:
    bars = figures["two"].axes[0].patches
    assert [bar.get_hatch() for bar in bars] == [None, None, "/////", "/////"]
    assert bars[0].get_x() < bars[2].get_x()
    assert bars[0].get_height() == bars[3].get_height() and bars[1].get_height() == bars[2].get_height()
    named = [text.get_text() for text in figures["two"].legends[0].get_texts()]
    assert named == ["first", "second", "of tokens", "again"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[gini, idle]", "[gini]", r"charts\.two\.stacks\.of tokens: found 1 shares, expected 2"),
        ("all: [gini]", "all: [gin]", r"charts\.one\.stacks\.all\.0: no such column: .*did you mean 'gini'"),
        ("panels: router", "panels: route", r"charts\.one\.panels: no such column: .*did you mean 'router'"),
    ],
)  # fmt: skip
def test_what_cannot_be_drawn_is_refused_at_its_line(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in EXPERIMENT
    file = tmp_path / "experiment.yaml"
    file.write_text(EXPERIMENT.replace(old, new))
    with pytest.raises(ConfigError, match=r"experiment\.yaml:\d+: " + message):
        load_study(file)
