"""Lines of a study: its panels, what each line is, and what was published."""

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
base: {workload: {kind: routing, draws: 5}}
cases:
  router:
    even: {workload: {router: {kind: uniform, experts: 6, top_k: 2}}, label: Even}
    hot: {workload: {router: {kind: zipf, experts: 6, top_k: 2, exponent: 2}}}
    again: {workload: {router: {kind: uniform, experts: 6, top_k: 2}}}
axes: {workload.tokens: [4, 64]}
metrics: {worst: {of: gini, over: max, by: [tokens]}}
charts:
  lines: {kind: lines, x: tokens, of: [busiest_over_mean, idle, worst], log: [busiest_over_mean], series: router,
    where: {router: [even, hot]}, published: {figures: [Decode]}}
  both: {kind: lines, x: tokens, of: idle, series: router}
"""
PUBLISHED = """\
figure,metric,condition,role,published,unit,tolerance,source
Decode,busiest_over_mean,router=hot tokens=4,prediction,2.5,x,0.1,recorded
Decode,idle,router=even tokens=64,calibration,50,%,1,recorded
Decode,idle,router=again tokens=64,prediction,40,%,1,not among the cases that are drawn
Prefill,idle,router=even tokens=4,prediction,30,%,1,of another figure
"""


@pytest.fixture(scope="module")
def reproduction(tmp_path_factory: pytest.TempPathFactory) -> Reproduction:
    folder = tmp_path_factory.mktemp("lines")
    (folder / "experiment.yaml").write_text(EXPERIMENT)
    (folder / "published.csv").write_text(PUBLISHED)
    return compare_with_published(folder / "experiment.yaml")


@pytest.fixture(scope="module")
def figures(reproduction: Reproduction) -> dict[str, Figure]:
    with style.publication():
        return {each.name: each.figure for each in drawn(reproduction)}


def test_each_metric_has_a_panel_and_each_case_a_line(reproduction: Reproduction, figures: dict[str, Figure]) -> None:
    panels = figures["lines"].axes
    assert [axis.get_title(loc="left") for axis in panels] == ["(a)", "(b)", "(c)"]
    assert [axis.get_yscale() for axis in panels] == ["log", "linear", "linear"]
    for axis, metric in zip(panels, ("busiest_over_mean", "idle", "worst"), strict=True):
        lines = [line.get_xydata().tolist() for line in axis.get_lines() if line.get_linestyle() != "None"]
        measured = [
            [[n, reproduction.base.measure(metric, {"router": router, "tokens": n})] for n in (4, 64)]
            for router in ("even", "hot")
        ]
        assert lines == measured


def test_what_was_published_stands_at_its_case_in_the_look_of_its_role(figures: dict[str, Figure]) -> None:
    shown = [
        [(line.get_xydata().tolist(), line.get_marker()) for line in axis.get_lines() if line.get_linestyle() == "None"]
        for axis in figures["lines"].axes
    ]
    assert shown == [[([[4.0, 2.5]], "o")], [([[64.0, 0.5]], "s")], []]


def test_cases_are_called_by_their_labels(figures: dict[str, Figure]) -> None:
    named = [text.get_text() for text in figures["lines"].legends[0].get_texts()]
    assert named == ["Even", "hot", "published", "published, fitted to"]


def test_no_line_hides_another(figures: dict[str, Figure]) -> None:
    lines = figures["both"].axes[0].get_lines()
    looks = [(tuple(line.get_ydata()), line.get_linestyle()) for line in lines]
    assert len({data for data, _ in looks}) == 2 and len(set(looks)) == 3


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("of: idle", "of: idel", r"charts\.both\.of: no such column: .*did you mean 'idle'"),
        ("of: idle", "of: [idle, gin]", r"charts\.both\.of\.1: no such column: .*did you mean 'gini'"),
        ("of: idle", "of: []", r"charts\.both\.of"),
        ("log: [busiest_over_mean]", "log: [busiest]", r"charts\.lines\.log\.0: no such column"),
        ("series: router,\n", "panels: router,\n", r"charts\.lines\.panels: .*expected a panel a metric"),
        ("series: router,\n", "serie: router,\n", r"charts\.lines\.serie: unknown key: .*did you mean 'series'"),
    ],
)
def test_what_cannot_be_drawn_is_refused_at_its_line(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in EXPERIMENT
    file = tmp_path / "experiment.yaml"
    file.write_text(EXPERIMENT.replace(old, new))
    with pytest.raises(ConfigError, match=r"experiment\.yaml:\d+: " + message):
        load_study(file)
