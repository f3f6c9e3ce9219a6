"""Published values beside simulated ones, line by line: its panels, its marks, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from matplotlib.figure import Figure

from simulator.errors import ConfigError
from simulator.report import style
from simulator.report.figures import Drawn
from simulator.report.shown import drawn
from simulator.study.load import load_study
from simulator.validation.reproduction import Reproduction, compare_with_published

EXPERIMENT = """\
schema: 1
title: small
base: {workload: {kind: routing, draws: 5}}
cases:
  router:
    even: {workload: {router: {kind: uniform, experts: 6, top_k: 2}}, label: Even}
    hot: {workload: {router: {kind: zipf, experts: 6, top_k: 2, exponent: 2}}}
axes: {workload.tokens: [4, 64]}
charts:
  dots:
    kind: dots
    series: router
    panels:
      - {of: busiest_over_mean, where: {tokens: 4}, title: few tokens}
      - {of: busiest_over_mean, where: {tokens: 64}}
"""
PUBLISHED = """\
figure,metric,condition,role,published,unit,tolerance,source
8,busiest_over_mean,router=even tokens=4,prediction,2.5,x,0.1,recorded
8,busiest_over_mean,router=hot tokens=4,calibration,3,x,0.1,recorded
9,busiest_over_mean,router=hot tokens=64,prediction,4,x,0.1,recorded
9,idle,router=hot tokens=64,prediction,40,%,0.1,of no panel
"""


@pytest.fixture(scope="module")
def reproduction(tmp_path_factory: pytest.TempPathFactory) -> Reproduction:
    folder = tmp_path_factory.mktemp("dots")
    (folder / "experiment.yaml").write_text(EXPERIMENT)
    (folder / "published.csv").write_text(PUBLISHED)
    return compare_with_published(folder / "experiment.yaml")


@pytest.fixture(scope="module")
def chart(reproduction: Reproduction) -> Drawn:
    with style.publication():
        (one,) = drawn(reproduction)
    return one


def marks(figure: Figure, colour: str) -> list[list[tuple[float, float, str]]]:
    """Of each panel: value, line and marker of the marks of a colour."""
    return [
        [
            (*line.get_xydata()[0].tolist(), str(line.get_marker()))
            for line in axis.get_lines()
            if line.get_linestyle() == "None" and line.get_color() == colour
        ]
        for axis in figure.axes
    ]


def test_each_value_stands_in_the_line_of_its_case(reproduction: Reproduction, chart: Drawn) -> None:
    few, many = chart.figure.axes
    assert [axis.get_title(loc="left") for axis in (few, many)] == ["(a) few tokens", "(b) busiest over mean"]
    assert [label.get_text() for label in few.get_yticklabels()] == ["Even", "hot"]
    assert marks(chart.figure, style.VERMILION) == [[(2.5, 0, "o"), (3, 1, "s")], [(4, 1, "o")]]
    simulated = [row.simulated for row in reproduction.rows]
    assert marks(chart.figure, style.BLUE) == [
        [(simulated[0], 0, "o"), (simulated[1], 1, "o")],
        [(simulated[2], 1, "o")],
    ]


def test_the_text_tells_how_far_off_predictions_are(reproduction: Reproduction, chart: Drawn) -> None:
    off = reproduction.rows[0].ratio or 0.0
    assert f"few tokens {off:.2f} in the median, {off:.2f} at worst" in chart.caption
    assert "Fig. 8" in chart.caption and "Fig. 9" in chart.caption


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("series: router", "series: routers", r"charts\.dots\.series: no such column: .*did you mean 'router'"),
        ("{tokens: 64}", "{token: 64}", r"charts\.dots\.panels\.1\.where\.token: .*did you mean 'tokens'"),
        ("{tokens: 64}", "{tokens: 65}", r"charts\.dots\.panels\.1\.where\.tokens: no case has it: found 65"),
        ("of: busiest_over_mean, where: {tokens: 4}", "of: busy", r"charts\.dots\.panels\.0\.of: no such column"),
        ("title: few tokens", "titel: few", r"charts\.dots\.panels\.0\.titel: unknown key"),
    ],
)
def test_what_cannot_be_drawn_is_refused_at_its_line(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in EXPERIMENT
    file = tmp_path / "experiment.yaml"
    file.write_text(EXPERIMENT.replace(old, new))
    with pytest.raises(ConfigError, match=r"experiment\.yaml:\d+: " + message):
        load_study(file)


def test_there_is_nothing_to_draw_of_nothing_published(tmp_path: Path) -> None:
    (tmp_path / "experiment.yaml").write_text(EXPERIMENT)
    assert list(drawn(compare_with_published(tmp_path / "experiment.yaml"))) == []
