"""The kind of experiment `study`: the front of a sweep, searches of it, and its figures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from simulator.baselines.reproduction import Reproduction, compare_with_published
from simulator.errors import ConfigError
from simulator.report.figures import Drawn
from simulator.report.study import StudyFigures
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


def test_every_figure_that_the_yaml_asks_for_is_drawn(study: Path) -> None:
    drawn: list[Drawn] = list(StudyFigures.draw(of(study)))
    assert [each.name for each in drawn] == ["trade", "map", "turn", "searches"]
    assert all(each.caption for each in drawn)


def test_nothing_is_published_of_a_study(study: Path) -> None:
    reproduction = of(study)
    assert reproduction.rows == []
    assert "Nothing is published" in " ".join(verdict(reproduction.frames()["rows"].to_dict("records")))


def test_a_name_that_no_figure_has(study: Path) -> None:
    with pytest.raises(ConfigError, match=r"where: found 'bach'.*did you mean 'batch'"):
        list(StudyFigures.draw(of(study, "heats.map.where={bach: 16}")))
