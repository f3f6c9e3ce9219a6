"""The kind of experiment `study`: the front of a sweep, searches of it, and its figures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from simulator.baselines.study import StudyOutcome
from simulator.report.study import StudyFigures

from simulator.baselines.reproduction import Reproduction, compare_with_published
from simulator.errors import ConfigError
from simulator.report.figures import Drawn
from simulator.report.verdict import verdict

SWEEP = """\
schema: 1
title: small
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
"""
STUDY = """\
schema: 1
kind: study
title: a small study
sweep: SWEEP
fronts: {trade: {x: area_m2, y: tokens_per_s, colour: batch}}
heats: {map: {x: hbm, y: peak, value: tbt_s, where: {batch: 16}}}
crossings: {turn: {x: hbm, value: tbt_s, between: batch, first: 1, second: 64, where: {peak: 100000000000000.0}}}
search: {methods: [random, local], share: 20 %, seeds: 2, batch: 8}
"""


@pytest.fixture
def study(tmp_path: Path) -> Path:
    (tmp_path / "sweep.yaml").write_text(SWEEP, encoding="utf-8")
    file = tmp_path / "experiment.yaml"
    file.write_text(STUDY.replace("SWEEP", str(tmp_path / "sweep.yaml")), encoding="utf-8")
    return file


def of(study: Path, *overrides: str) -> Reproduction:
    return compare_with_published(study, overrides)


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
    sweep = study.parent / "sweep.yaml"
    lacked = "derived: {lacked: area_m2 / (batch - 4) ** 2 + 0 * sqrt(batch - 2)}\nconstraints"
    sweep.write_text(SWEEP.replace("constraints", lacked).replace("area_m2: min", "lacked: min"), encoding="utf-8")
    searches = of(study).frames()["searches"]
    assert searches["hypervolume"].between(0, 1 + 1e-12).all()
    assert searches["hypervolume"].max() > 0
    sweep.write_text(SWEEP.replace("area_m2: min", "ttft_s: min"), encoding="utf-8")
    with pytest.raises(ConfigError, match="nothing to search for: found none, expected feasible points that have"):
        of(study)


def test_every_figure_that_the_yaml_asks_for_is_drawn(study: Path) -> None:
    drawn: list[Drawn] = list(StudyFigures.draw(of(study)))
    assert [each.name for each in drawn] == ["trade", "map", "turn", "searches"]
    assert all(each.caption for each in drawn)


def test_nothing_is_published_of_a_study(study: Path) -> None:
    reproduction = of(study)
    assert reproduction.rows == []
    assert "Nothing is published" in " ".join(verdict(reproduction.frames()["rows"].to_dict("records")))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("heats.map.where={bach: 16}", r"no such column: found 'bach'.*did you mean 'batch'"),
        ("heats.map.where={batch: [16, 17]}", r"where\.batch: no point has it: found 17, expected one of 1, 4, 16, 64"),
        (
            "heats.map.where={peak: 100 TFLOP/s}",
            r"where\.peak: no point has it: found '100 TFLOP/s'",
        ),
        ("crossings.turn.x=bandwidth", "no such column: found 'bandwidth'"),
        ("crossings.turn.first=3", r"where\.batch: no point has it: found 3"),
        ("crossings.turn.where={feasible: true}", "found several points of batch 1 at one hbm, expected one"),
    ],
)
def test_what_no_figure_can_show(study: Path, change: str, message: str) -> None:
    file = study.read_text(encoding="utf-8")
    if "feasible" in change:
        study.write_text(file.replace("where: {peak: 100000000000000.0}", "where: {feasible: true}"), encoding="utf-8")
        change = "keep=all"
    with pytest.raises(ConfigError, match=message):
        list(StudyFigures.draw(of(study, change)))


def test_designs_that_do_not_work_win_nothing(study: Path) -> None:
    """No crossing is drawn where one of both breaks a constraint everywhere."""
    sweep = study.parent / "sweep.yaml"
    sweep.write_text(SWEEP.replace("tbt_s <= 0.005", "batch < 64"), encoding="utf-8")
    with pytest.raises(ConfigError, match="no place where both have a value"):
        list(StudyFigures.draw(of(study)))


def test_one_value_is_that_of_one_point(study: Path) -> None:
    outcome = of(study).base.outcome
    assert isinstance(outcome, StudyOutcome)
    one = {"batch": 1, "hbm": 1e12, "peak": 1e14}
    fast = outcome.measure("tokens_per_s", {**one, "batch": 64})
    assert fast is not None
    assert fast * (outcome.measure("tbt_s", {**one, "batch": 64}) or 0) == pytest.approx(64)
    for metric, condition, message in (
        ("tbt_s", {"batch": 1}, "expected one that is alone, not 36"),
        ("tbt_s", {"bach": 1}, "no such column: found 'bach'"),
        ("tbt", one, "did you mean 'tbt_s'"),
        ("bound_by", one, "expected a number"),
    ):
        with pytest.raises(ConfigError, match=message):
            outcome.measure(metric, condition)
