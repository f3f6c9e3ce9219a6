"""Published ratios, simulated ones, and those under variants."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from simulator.report import style
from simulator.report.charts.variants import VariantsChart
from simulator.report.figures import Drawn
from simulator.report.shown import Shown, drawn
from simulator.validation.reproduction import Compared, Reproduction


@pytest.fixture(scope="module")
def speedups(reproduction: Reproduction) -> Drawn:
    with style.publication():
        return next(each for each in drawn(reproduction) if each.name == "speedups")


def test_ratios_are_printed_beside_the_plot_and_a_variant_that_tells_has_a_mark(
    speedups: Drawn, tmp_path: Path
) -> None:
    style.save(speedups.figure, tmp_path / "a.svg")
    text = (tmp_path / "a.svg").read_text()
    for part in ("6.6 | 6.63", "31 | 31.1", "eight links", "over DGX A100", "batch 8, 20 tokens"):
        assert f"<!-- {part}" in text


def test_what_the_simulation_refuses_is_said_so_and_what_is_not_published_is_left_out(
    reproduction: Reproduction,
) -> None:
    chart = Shown(reproduction).results.study.form.charts["speedups"]
    refused = replace(reproduction, rows=[Compared(row.published, None) for row in reproduction.rows])
    with style.publication():
        drawing = VariantsChart.draw(Shown(refused), chart)
        assert drawing is not None
        assert "6.6 | refused" in [text.get_text() for text in drawing[0].axes[0].texts]
        others = [row for row in reproduction.rows if row.published.metric == "latency"]
        assert VariantsChart.draw(Shown(replace(reproduction, rows=others)), chart) is None
