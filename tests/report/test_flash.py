"""The figures of a flash experiment: what is drawn of which tables, and what is published."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from simulator.baselines.experiment import Simulation
from simulator.baselines.flash import FlashOutcome
from simulator.baselines.reproduction import Compared, Reproduction, compare_with_published
from simulator.report import style
from simulator.report.figures import Drawn
from simulator.report.flash import FlashFigures, looks

EXPERIMENT = """\
schema: 1
kind: flash
title: small
paper: arXiv 0000.00000
prompt: 8
tokens: 4
warm_up: 4
models:
  opt-6.7b:
    model: opt-6.7b
    activity: {kind: law, window: 5, share: 24 %, increment: 2.4 %}
    window: 3
  busy:
    model: opt-6.7b
    activity: {kind: law, window: 5, share: 48 %, increment: 4.8 %}
    window: 3
systems:
  metal: {hardware: m1-max, engine: gpu, flash: soc.flash, dram: soc.dram, manager: soc.gpu, dtype: fp16}
methods:
  naive: {kind: dense}
  all: {kind: sparse, policy: window}
  overlapped: {kind: sparse, policy: window, overlap: prefetch}
  lru: {kind: sparse, policy: lru}
  belady: {kind: sparse, policy: belady}
runs:
  one: {systems: [metal], models: [opt-6.7b], methods: [naive, all, overlapped]}
  two: {systems: [metal], models: [busy], methods: [all]}
chunks: {systems: [metal], sizes: [4 KiB, 64 KiB], threads: [1, 32]}
usage: {models: [opt-6.7b], windows: [1, 5], tokens: 40}
sweeps:
  window: {system: metal, model: opt-6.7b, methods: [all], windows: [1, 3]}
  budget: {system: metal, model: opt-6.7b, methods: [lru, belady], budgets: [10 %, 60 %, 80 %]}
energy:
  any:
    flash: {low: 25 pJ/bit, high: 50 pJ/bit}
    ddr: {low: 4 pJ/bit, high: 7 pJ/bit}
"""
PUBLISHED = """\
figure,metric,condition,role,published,unit,tolerance,source
Table 2,io,system=metal model=opt-6.7b method=naive,prediction,2,s,0.1,measured
Table 3,compute,system=metal model=opt-6.7b method=naive,calibration,200,ms,1,measured
Table 2,io,system=metal model=opt-6.7b method=all,prediction,87,ms,1,measured
Table 3,io,system=metal model=opt-6.7b method=all,disputed,26,ms,1,measured
Table 3,memory,system=metal model=opt-6.7b method=all,prediction,35,ms,1,measured
Table 3,compute,system=metal model=opt-6.7b method=all,prediction,438,ms,1,measured
2b,bandwidth,system=metal chunk=4096 threads=1,context,3,GB/s,0.1,read off
2b,bandwidth,system=metal chunk=65536 threads=32,calibration,5.6,GB/s,0.1,read off
4a,share,model=opt-6.7b window=5,calibration,24,%,0.5,read off
4a,increment,model=opt-6.7b window=5,calibration,2.4,%,0.5,read off
Table 9,tokens_per_s,system=metal model=opt-6.7b method=all,context,2.3,tokens/s,0.1,share not stated
Table 9,tokens_per_s,system=metal model=busy method=all,context,2.3,tokens/s,0.1,share not stated
Table 9,io_share,system=metal model=busy method=all,context,76.7,%,0.1,share not stated
"""


@pytest.fixture(scope="module")
def reproduction(tmp_path_factory: pytest.TempPathFactory) -> Reproduction:
    folder = tmp_path_factory.mktemp("flash")
    (folder / "experiment.yaml").write_text(EXPERIMENT)
    (folder / "published.csv").write_text(PUBLISHED)
    return compare_with_published(folder / "experiment.yaml")


def drawn(reproduction: Reproduction) -> dict[str, Drawn]:
    with style.publication():
        return {each.name: each for each in FlashFigures.draw(reproduction)}


@pytest.fixture(scope="module")
def figures(reproduction: Reproduction) -> dict[str, Drawn]:
    return drawn(reproduction)


def said(figure: Drawn, folder: Path) -> list[str]:
    """The texts of a figure, which matplotlib notes beside their outlines."""
    style.save(figure.figure, folder / "a.svg")
    return re.findall(r"<!-- (.*?) -->", (folder / "a.svg").read_text())


def only(reproduction: Reproduction, **tables: list[dict[str, object]]) -> Reproduction:
    """With no tables but these, and nothing published."""
    outcome = reproduction.base.outcome
    assert isinstance(outcome, FlashOutcome)
    every = {"points": [], "energy": [], "throughput": [], "usage": [], "sweeps": []} | tables
    base = Simulation(reproduction.experiment, replace(outcome, **every), reproduction.provenance)
    return replace(reproduction, rows=[], base=base)


def test_all_figures_are_drawn_and_published_rates_come_first(figures: dict[str, Drawn]) -> None:
    assert list(figures) == ["rates", "latency", "throughput", "usage", "budget", "window", "energy"]


def test_captions_name_the_published_figures(figures: dict[str, Drawn]) -> None:
    assert "Table 2, Table 3" in figures["latency"].caption
    assert "Fig. 2b" in figures["throughput"].caption
    assert "Fig. 4a" in figures["usage"].caption
    assert "Table 9" in figures["rates"].caption
    for name in ("budget", "window", "energy"):
        assert figures[name].caption.endswith("All simulated.")


def test_a_table_that_is_not_there_draws_nothing(reproduction: Reproduction) -> None:
    outcome = reproduction.base.outcome
    assert isinstance(outcome, FlashOutcome)
    assert drawn(only(reproduction)) == {}
    alone = {"points": "latency", "throughput": "throughput", "usage": "usage", "energy": "energy"}
    for table, name in alone.items():
        assert list(drawn(only(reproduction, **{table: getattr(outcome, table)}))) == [name]
    for sweep in ("window", "budget"):
        assert list(drawn(only(reproduction, sweeps=[r for r in outcome.sweeps if r["sweep"] == sweep]))) == [sweep]


def test_a_bar_is_the_parts_of_a_token(reproduction: Reproduction, figures: dict[str, Drawn]) -> None:
    for axis, method in zip(figures["latency"].figure.axes, ("naive", "all"), strict=True):
        condition = {"system": "metal", "model": "opt-6.7b", "method": method}
        parts = [reproduction.base.outcome.measure(part, condition) or 0.0 for part in looks.PARTS]
        bars = axis.patches[:3]
        assert [bar.get_width() for bar in bars] == pytest.approx([1e3 * part for part in parts])
        assert [bar.get_x() for bar in bars] == pytest.approx([0, 1e3 * parts[0], 1e3 * (parts[0] + parts[1])])


def test_published_parts_lie_below_it_in_the_look_of_their_role(figures: dict[str, Drawn]) -> None:
    dense, sparse = figures["latency"].figure.axes
    # Table 2 and 3 have different parts of the first method, and go together.
    assert [(bar.get_width(), bool(bar.get_hatch())) for bar in dense.patches[3:]] == [(2000, True), (200, False)]
    # Of the second both have the reads: a bar each, and the disputed value is hollow.
    below = [(bar.get_x(), bar.get_width(), bar.get_facecolor() == (1, 1, 1, 1)) for bar in sparse.patches[3:7]]
    assert below == [(0, 26, True), (26, 35, False), (61, 438, False), (0, 87, False)]


def test_totals_stand_beside_the_bars(reproduction: Reproduction, figures: dict[str, Drawn], tmp_path: Path) -> None:
    texts = said(figures["latency"], tmp_path)
    for method, published in (("naive", "2,200 | "), ("all", ""), ("overlapped", "")):  # of `all`, a part is disputed
        condition = {"system": "metal", "model": "opt-6.7b", "method": method}
        assert f"{published}{1e3 * (reproduction.base.outcome.measure('total', condition) or 0):,.0f}" in texts
    assert {"OPT-6.7B, Metal", "OPT-6.7B (busy), Metal", "+ bundling (all)"} <= set(texts)


def test_reads_beside_compute_show_the_total_as_a_line(reproduction: Reproduction, figures: dict[str, Drawn]) -> None:
    condition = {"system": "metal", "model": "opt-6.7b", "method": "overlapped"}
    total = 1e3 * (reproduction.base.outcome.measure("total", condition) or 0)
    dense, sparse = figures["latency"].figure.axes
    assert [list(line.get_xdata()) for line in sparse.get_lines()] == [[pytest.approx(total)] * 2]
    assert not dense.get_lines()


def test_bandwidth_has_a_line_a_number_of_threads_and_its_published_values(figures: dict[str, Drawn]) -> None:
    (axis,) = figures["throughput"].figure.axes
    lines = [line for line in axis.get_lines() if line.get_marker() == "None"]
    assert [list(line.get_xdata()) for line in lines] == [[4, 64], [4, 64]]
    marks = [(*line.get_xydata()[0].tolist(), line.get_marker()) for line in axis.get_lines()[2:]]
    assert marks == [(4, 3, "o"), (64, pytest.approx(5.6), "s")]
    assert [text.get_text() for text in axis.texts] == ["1", "32", "1 thread"]  # the one that is off its line says so


def test_shares_are_percentages(figures: dict[str, Drawn]) -> None:
    for axis, value in zip(figures["usage"].figure.axes, (24, 2.4), strict=True):
        law, two, trace, published = axis.get_lines()
        assert published.get_xydata().tolist() == [[5, pytest.approx(value)]]
        assert law.get_ydata()[1] == pytest.approx(value)
        assert two.get_linestyle() == "--"
        assert trace.get_marker() == "o"


def test_a_budget_that_is_refused_is_a_cross_at_the_bottom(figures: dict[str, Drawn]) -> None:
    for axis in figures["budget"].figure.axes:
        crosses = [line.get_xydata().tolist() for line in axis.get_lines() if line.get_marker() == "x"]
        assert crosses == [[[10, 0]], [[10, 0]]]
        served = [line for line in axis.get_lines() if line.get_marker() == "o"]
        assert [list(line.get_xdata()) for line in served] == [[60, 80], [60, 80]]
        assert [line.get_linestyle() for line in served] == ["-", "--"]


def test_the_best_window_is_marked(reproduction: Reproduction, figures: dict[str, Drawn], tmp_path: Path) -> None:
    outcome = reproduction.base.outcome
    assert isinstance(outcome, FlashOutcome)
    totals = {row["window"]: 1e3 * row["total_s"] for row in outcome.sweeps if row["sweep"] == "window"}
    best = min(totals, key=lambda window: totals[window])
    stars = [line for line in figures["window"].figure.axes[0].get_lines() if line.get_marker() == "*"]
    assert [line.get_xydata().tolist() for line in stars] == [[[best, totals[best]]]]
    assert f"{totals[best]:,.0f} ms at {best}" in said(figures["window"], tmp_path)


def test_energy_is_a_range_a_tier_and_reads_beside_compute_are_not_told_twice(
    reproduction: Reproduction, figures: dict[str, Drawn], tmp_path: Path
) -> None:
    outcome = reproduction.base.outcome
    assert isinstance(outcome, FlashOutcome)
    rows = [row for row in outcome.energy if (row["model"], row["method"]) == ("opt-6.7b", "naive")]
    flash, dram = (next(row for row in rows if row["tier"] == tier) for tier in ("soc.flash", "soc.dram"))
    (axis,) = figures["energy"].figure.axes
    ranges = [line.get_xdata().tolist() for line in axis.get_lines()]
    both = [flash[end] + dram[end] for end in ("low_j", "high_j")]
    assert ranges[:3] == [[flash["low_j"], flash["high_j"]], [dram["low_j"], dram["high_j"]], pytest.approx(both)]
    assert len(ranges) == 6
    assert "overlapped" not in said(figures["energy"], tmp_path)


def test_settings_of_one_published_rate_share_a_line(reproduction: Reproduction, figures: dict[str, Drawn]) -> None:
    axis, shares = figures["rates"].figure.axes
    rates = [row for row in reproduction.rows if row.published.metric == "tokens_per_s"]
    bar, *others = axis.get_lines()
    assert list(bar.get_xdata()) == [row.simulated for row in rates]
    dots = [line for line in others if line.get_markerfacecolor() != "white"]
    assert [list(line.get_xdata()) for line in dots] == [[row.simulated] for row in rates]
    assert [list(line.get_xdata()) for line in others if line not in dots] == [[2.3], [2.3]]
    assert [list(line.get_xdata()) for line in shares.get_lines()][-1] == [76.7]


def test_a_point_that_was_refused_is_said_so(reproduction: Reproduction, tmp_path: Path) -> None:
    outcome = reproduction.base.outcome
    assert isinstance(outcome, FlashOutcome)
    points = [row | {"refused": "no room"} | dict.fromkeys(("io_s", "total_s"), float("nan")) for row in outcome.points]
    refused = only(reproduction, points=points)
    assert said(drawn(refused)["latency"], tmp_path).count("refused") == len(points)
    rates = [Compared(row.published, None) for row in reproduction.rows if row.published.metric == "tokens_per_s"]
    axis = drawn(replace(refused, rows=rates))["rates"].figure.axes[0]
    assert [list(line.get_xdata()) for line in axis.get_lines()] == [[], [2.3], [2.3]]


@pytest.mark.parametrize(
    ("name", "printed"),
    [
        ("lru", "LRU"),
        ("hybrid-55", "hybrid, 55 %"),
        ("cache-7-gb", "cache, 7 GB"),
        ("one-read-window", "one read, window"),
        ("naive", "naive"),
    ],
)
def test_methods_are_called_as_people_do(name: str, printed: str) -> None:
    assert looks.method(name) == printed


def test_the_same_reproduction_gives_the_same_bytes(reproduction: Reproduction, tmp_path: Path) -> None:
    for folder in ("one", "two"):
        for name, each in drawn(reproduction).items():
            style.save(each.figure, tmp_path / folder / f"{name}.svg")
    for file in (tmp_path / "one").iterdir():
        assert file.read_bytes() == (tmp_path / "two" / file.name).read_bytes()
