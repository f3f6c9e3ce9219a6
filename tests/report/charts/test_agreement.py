"""Dots of one metric over another: a dot a case with both, the median error told, pairs alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from simulator.errors import ConfigError
from simulator.report import style
from simulator.report.shown import drawn
from simulator.study.load import load_study
from simulator.validation.reproduction import compare_with_published

STUDY = """\
schema: 1
base: {hardware: dgx-a100, model: llama-2-7b, mapping: {devices: 1}}
axes: {hardware: [dgx-a100, dgx-h100], workload.batch: [1, 4]}
derived: {later_s: 1.25 * ttft_s}
charts: {both: {kind: agreement, of: [ttft_s, later_s], against: [ttft_s, ttft_s], series: hardware}}
"""


def test_dots_and_their_median_error(tmp_path: Path) -> None:
    file = tmp_path / "experiment.yaml"
    file.write_text(STUDY)
    with style.publication():
        (chart,) = drawn(compare_with_published(file))
    assert "(a) DGX A100 0.0 %" in chart.caption and "(b) DGX A100 25.0 %" in chart.caption
    dots = [[line for line in axes.lines if line.get_marker() in ("o", "s")] for axes in chart.figure.axes]
    assert [[len(line.get_xdata()) for line in panel] for panel in dots] == [[2, 2], [2, 2]]
    same = dots[0][0]
    assert list(same.get_xdata()) == list(same.get_ydata())


def test_metrics_without_partners_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "experiment.yaml"
    file.write_text(STUDY.replace("against: [ttft_s, ttft_s]", "against: [ttft_s]"))
    with pytest.raises(ConfigError, match="2, as `of` has"):
        load_study(file)
