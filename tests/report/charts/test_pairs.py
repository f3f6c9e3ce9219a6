from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from simulator.report import style
from simulator.report.figures import Drawn
from simulator.report.shown import drawn as charts_of
from simulator.validation.reproduction import Compared, Reproduction, compare_with_published

STUDY = """\
schema: 1
title: one machine
paper: arXiv 0000.00000
base: {hardware: dgx-a100}
cases:
  model:
    seven: {model: llama-2-7b, label: Llama-2-7B}
    seventy: {model: llama-2-70b, label: Llama-2-70B}
derived: {later_per_s: (output - 1) / (e2e_s - ttft_s)}
metrics: {latency: {of: e2e_s}, ttft: {of: ttft_s}}
runs:
  lengths:
    cases: {model: [seven]}
    zip: [{workload.input: [64, 128], workload.output: [64, 128]}]
  one: {workload: {input: 100}, cases: {model: [seventy]}, axes: {workload.output: [10]}}
charts:
  lengths:
    kind: lines
    run: lengths
    x: output
    of: tokens_per_s
    panels: model
    published: {figures: ["1"], metric: latency, as: output / latency}
  rates: {kind: pairs, of: later_per_s, series: model, implied: {where: {model: seventy}, what: tokens a step}}
  ratios: {kind: ratios, series: model}
"""
PUBLISHED = """\
figure,metric,condition,role,published,unit,tolerance,source
1,latency,model=seven output=64,calibration,200,ms,1,measured
1,latency,model=seven output=128,prediction,0.5,s,0.1,measured
Table 2,later_per_s,model=seventy,context,200,tokens/s,1,with a draft
Table 2,ttft,model=seventy,context,1,s,1,measured
"""


@pytest.fixture(scope="module")
def reproduction(tmp_path_factory: pytest.TempPathFactory) -> Reproduction:
    folder = tmp_path_factory.mktemp("decode")
    (folder / "experiment.yaml").write_text(STUDY)
    (folder / "published.csv").write_text(PUBLISHED)
    return compare_with_published(folder / "experiment.yaml")


def drawn(reproduction: Reproduction) -> dict[str, Drawn]:
    with style.publication():
        return {each.name: each for each in charts_of(reproduction)}


@pytest.fixture(scope="module")
def figures(reproduction: Reproduction) -> dict[str, Drawn]:
    return drawn(reproduction)


def said(figure: Drawn, folder: Path) -> list[str]:
    """The texts of a figure, which matplotlib notes beside their outlines."""
    style.save(figure.figure, folder / "a.svg")
    return re.findall(r"<!-- (.*?) -->", (folder / "a.svg").read_text())


def test_rates_over_lengths_come_first(figures: dict[str, Drawn]) -> None:
    assert list(figures) == ["lengths", "rates", "ratios"]
    assert "Fig. 1" in figures["lengths"].caption
    assert "Table 2" in figures["rates"].caption


def test_latencies_are_drawn_as_rates_in_the_look_of_their_role(figures: dict[str, Drawn]) -> None:
    lines = figures["lengths"].figure.axes[0].get_lines()
    shown = {line.get_marker(): line.get_xydata().tolist() for line in lines if len(line.get_xydata()) == 1}
    assert shown == {"s": [[64, 320]], "o": [[128, 256]]}


def test_the_line_is_what_was_simulated(reproduction: Reproduction, figures: dict[str, Drawn]) -> None:
    line = figures["lengths"].figure.axes[0].get_lines()[0]
    results = reproduction.base
    rates = [results.measure("tokens_per_s", {"model": "seven", "output": n}) for n in (64, 128)]
    assert line.get_xydata().tolist() == [[64, rates[0]], [128, rates[1]]]


def test_a_draft_model_must_have_given_the_ratio_of_the_rates(
    reproduction: Reproduction, figures: dict[str, Drawn], tmp_path: Path
) -> None:
    plain = reproduction.base.measure("later_per_s", {"model": "seventy"}) or 0.0
    assert f"200 | {plain:.0f}: {200 / plain:.1f} tokens a step" in said(figures["rates"], tmp_path)


def test_models_are_named_as_people_do(figures: dict[str, Drawn], tmp_path: Path) -> None:
    assert "(a) Llama-2-7B" in said(figures["lengths"], tmp_path)
    assert "Llama-2-70B (Table 2)" in said(figures["rates"], tmp_path)
    assert "Llama-2-7B" in said(figures["ratios"], tmp_path)


def test_what_the_simulation_refuses_is_said_so(reproduction: Reproduction, tmp_path: Path) -> None:
    rows = [Compared(row.published, None) for row in reproduction.rows]
    assert "200 | refused" in said(drawn(replace(reproduction, rows=rows))["rates"], tmp_path)


def test_charts_of_nothing_but_published_values_are_left_out_without_any(reproduction: Reproduction) -> None:
    first = [row for row in reproduction.rows if row.published.metric == "ttft"]
    assert list(drawn(replace(reproduction, rows=first))) == ["lengths"]
