"""The front of a study, searches of it, and its charts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from simulator.errors import ConfigError
from simulator.report import style
from simulator.report.figures import Drawn
from simulator.report.shown import drawn
from simulator.report.verdict import verdict
from simulator.validation.reproduction import Reproduction, compare_with_published

STUDY = """\
schema: 1
title: a small study
base:
  costs: silicon
  hardware: dgx-h100
  model: llama-3-8b
  workload: {phase: decode, input: 1024, output: 128}
  mapping: {dtype: bf16}
axes:
  workload.batch: {values: [1, 4, 16, 64], name: batch}
  hardware.devices.gpu.tiers.hbm.bandwidth: {geomspace: [1 TB/s, 8 TB/s, 6], name: hbm}
  hardware.devices.gpu.engines.gpu.peak.bf16: {geomspace: [100 TFLOP/s, 1000 TFLOP/s, 6], name: peak}
constraints: ["tbt_s <= 0.005"]
objectives: {tokens_per_s: max, area_m2: min}
charts:
  trade: {kind: front, x: area_m2, y: tokens_per_s, colour: batch}
  map: {kind: heat, x: hbm, y: peak, of: tbt_s, where: {batch: 16}}
  turn: {kind: crossing, x: hbm, of: tbt_s, between: batch, first: 1, second: 64, where: {peak: 100000000000000.0}}
  searches: {kind: convergence}
search: {methods: [random, local], share: 20 %, seeds: 2, batch: 8}
"""


@pytest.fixture
def study(tmp_path: Path) -> Path:
    file = tmp_path / "experiment.yaml"
    file.write_text(STUDY, encoding="utf-8")
    return file


def of(study: Path, *overrides: str) -> Reproduction:
    return compare_with_published(study, overrides)


def charts(reproduction: Reproduction) -> Iterator[Drawn]:
    with style.publication():
        yield from drawn(reproduction)


def test_the_front_is_what_no_feasible_point_beats(study: Path) -> None:
    points = of(study).frames()["points"]
    assert len(points) == 144
    good = points[points["feasible"]]
    assert 0 < len(good) < 144
    costs = np.stack([-good["tokens_per_s"], good["area_m2"]], axis=1)
    no_worse = (costs[:, None] <= costs[None]).all(axis=2)
    better = (costs[:, None] < costs[None]).any(axis=2)
    assert good["front"].tolist() == (~(no_worse & better).any(axis=0)).tolist()
    assert not points[~points["feasible"]]["front"].any()


def test_the_front_alone_may_be_kept(study: Path) -> None:
    everything, front = of(study).frames()["points"], of(study, "keep=front").frames()["points"]
    assert len(front) == everything["front"].sum()


def test_searches_approach_the_whole_and_never_pass_it(study: Path) -> None:
    searches = of(study).frames()["searches"]
    assert set(searches["method"]) == {"random", "local"}
    assert set(searches["seed"]) == {0, 1}
    for _, run in searches.groupby(["method", "seed"]):
        assert run["hypervolume"].is_monotonic_increasing
        assert 0 <= run["hypervolume"].min() <= run["hypervolume"].max() <= 1 + 1e-12


def test_points_without_every_objective_are_nothing_to_search_for(study: Path) -> None:
    """Of batch 1 `lacked` is no number, and of batch 4 it is infinite: the whole is that of the others."""
    lacked = "derived: {lacked: area_m2 / (batch - 4) ** 2 + 0 * sqrt(batch - 2)}\nconstraints"
    study.write_text(STUDY.replace("constraints", lacked).replace("area_m2: min", "lacked: min"), encoding="utf-8")
    searches = of(study).frames()["searches"]
    assert searches["hypervolume"].between(0, 1 + 1e-12).all()
    assert searches["hypervolume"].max() > 0
    study.write_text(STUDY.replace("area_m2: min", "ttft_s: min"), encoding="utf-8")
    with pytest.raises(ConfigError, match="nothing to search for: found none, expected feasible points that have"):
        of(study)


def test_every_chart_that_the_yaml_asks_for_is_drawn(study: Path) -> None:
    shown = list(charts(of(study)))
    assert [each.name for each in shown] == ["trade", "map", "turn", "searches"]
    assert all(each.caption for each in shown)


def test_nothing_may_be_published_of_a_study(study: Path) -> None:
    reproduction = of(study, "search=null")
    assert reproduction.rows == []
    assert "Nothing is published" in " ".join(verdict(reproduction.frames()["rows"].to_dict("records")))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("charts.map.where={bach: 16}", r"charts.map.where.bach: no such column: found 'bach'.*did you mean 'batch'"),
        ("charts.map.where={batch: [16, 17]}", r"where\.batch: no case has it: found 17, expected one of 1, 4, 16, 64"),
        ("charts.map.where={peak: 100 TFLOP/s}", r"where\.peak: no case has it: found '100 TFLOP/s'"),
        ("charts.turn.x=bandwidth", "charts.turn.x: no such column: found 'bandwidth'"),
        ("charts.turn.first=3", r"charts.turn.first: no case has it: found 3"),
        ("objectives=null", "search: found a study without objectives"),
    ],
)
def test_what_no_chart_can_show_is_told_before_anything_is_computed(study: Path, change: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        of(study, change)


def test_a_crossing_is_of_two_designs(study: Path) -> None:
    file = STUDY.replace("where: {peak: 100000000000000.0}", "where: {feasible: true}")
    study.write_text(file, encoding="utf-8")
    with pytest.raises(ConfigError, match="found several points of batch 1 at one hbm, expected one"):
        list(charts(of(study, "search=null", "charts.searches=null")))


def test_designs_that_do_not_work_win_nothing(study: Path) -> None:
    """No crossing is drawn where one of both breaks a constraint everywhere."""
    study.write_text(STUDY.replace("tbt_s <= 0.005", "batch < 64"), encoding="utf-8")
    with pytest.raises(ConfigError, match="no place where both have a value"):
        list(charts(of(study, "search=null")))


def test_one_value_is_that_of_one_point(study: Path) -> None:
    results = of(study, "search=null").base
    fast = {"batch": 64, "hbm": 1e12, "peak": 1e14}
    assert (results.measure("tokens_per_s", fast) or 0) * (results.measure("tbt_s", fast) or 0) == pytest.approx(64)
    assert results.measure("tbt_s", {**fast, "hbm": "1 TB/s"}) == results.measure("tbt_s", fast)
    with pytest.raises(ConfigError, match="found 36 with batch=1, expected one: say its hbm and peak"):
        results.measure("tbt_s", {"batch": 1})
