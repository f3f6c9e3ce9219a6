from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from simulator.baselines.coe import CoeOutcome
from simulator.baselines.experiment import Simulation
from simulator.baselines.reproduction import Compared, Reproduction
from simulator.report import style
from simulator.report.coe import CoeFigures
from simulator.report.figures import Drawn

TIMES = ("latency_s", "router_s", "switch_s", "expert_s", "misses")


def drawn(reproduction: Reproduction) -> dict[str, Drawn]:
    with style.publication():
        return {each.name: each for each in CoeFigures.draw(reproduction)}


@pytest.fixture(scope="module")
def figures(reproduction: Reproduction) -> dict[str, Drawn]:
    return drawn(reproduction)


def said(figure: Drawn, folder: Path) -> list[str]:
    """The texts of a figure, which matplotlib notes beside their outlines."""
    style.save(figure.figure, folder / "a.svg")
    return re.findall(r"<!-- (.*?) -->", (folder / "a.svg").read_text())


def test_the_figure_that_stands_for_the_experiment_comes_first(figures: dict[str, Drawn]) -> None:
    assert list(figures) == ["latency", "split", "speedups", "footprint", "ratios"]


def test_captions_name_the_published_figures(figures: dict[str, Drawn]) -> None:
    assert "Fig. 12a, Fig. 12b" in figures["latency"].caption
    assert "Fig. 1a" in figures["split"].caption
    assert "Table V" in figures["speedups"].caption
    assert "Fig. 13, Section VI" in figures["footprint"].caption


def test_published_values_are_drawn_where_the_rows_have_them(figures: dict[str, Drawn]) -> None:
    lines = figures["latency"].figure.axes[0].get_lines()
    shown = {(x, y) for line in lines if line.get_markerfacecolor() == "white" for x, y in line.get_xydata().tolist()}
    assert shown == {(10, 713.6), (40, 713.6), (100, 713.6), (100, 4733), (150, 4733)}
    grey = [line for line in lines if line.get_color() == style.FAINT and len(line.get_xydata())]
    assert [line.get_xydata().tolist() for line in grey] == [[[10, 713.6]]]


def test_a_machine_has_one_colour_in_all_figures(figures: dict[str, Drawn], tmp_path: Path) -> None:
    for name in ("latency", "footprint"):
        for axes in figures[name].figure.axes:
            colours = {text.get_text(): text.get_color() for text in axes.texts}
            assert colours == {"SN40L node": style.CYCLE[0], "DGX A100": style.CYCLE[1]}


def test_a_line_ends_where_the_experts_outgrow_the_machine(figures: dict[str, Drawn]) -> None:
    crosses = [line for line in figures["latency"].figure.axes[0].get_lines() if line.get_marker() == "x"]
    assert [line.get_xdata().tolist() for line in crosses] == [[150]]


def test_speedups_are_printed_beside_the_plot(figures: dict[str, Drawn], tmp_path: Path) -> None:
    texts = said(figures["speedups"], tmp_path)
    assert "6.6 | 6.63" in texts
    assert "31 | 31.1" in texts
    assert "eight links" in texts


def test_bars_add_up_to_the_latency(reproduction: Reproduction, figures: dict[str, Drawn]) -> None:
    simulated = reproduction.base.outcome.measure(
        "latency", {"system": "dgx-a100", "batch": 8, "tokens": 20, "experts": 100}
    )
    assert simulated is not None
    totals = [text.get_text() for text in figures["split"].figure.axes[0].texts]
    assert totals == [f"{simulated * 1e3:,.0f}", "5,490"]


def test_figures_of_what_is_not_published_are_left_out(reproduction: Reproduction) -> None:
    steps = [row for row in reproduction.rows if row.published.metric == "nodes_from"]
    assert list(drawn(replace(reproduction, rows=steps))) == ["footprint", "ratios"]


def test_what_the_simulation_refuses_is_said_so(reproduction: Reproduction, tmp_path: Path) -> None:
    given = reproduction.base.outcome
    assert isinstance(given, CoeOutcome)
    points = [point | dict.fromkeys(TIMES, float("nan")) | {"refused": "too small"} for point in given.points]
    base = Simulation(reproduction.experiment, replace(given, points=points), reproduction.provenance)
    rows = [Compared(row.published, None) for row in reproduction.rows]
    refused = drawn(replace(reproduction, rows=rows, base=base))
    assert "6.6 | refused" in said(refused["speedups"], tmp_path)
    assert "refused" in said(refused["split"], tmp_path)
    assert list(refused) == ["latency", "split", "speedups", "footprint"]
