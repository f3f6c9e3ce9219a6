"""Searches of a sweep: what they find is true, they resume, and no design is looked at twice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import simulator
from simulator.errors import ConfigError
from simulator.study.problem import read_problem
from simulator.study.questions import searched as module
from simulator.study.questions.pareto import front
from simulator.study.store import load_store

SMALL = {"evaluations": 60, "batch": 8, "seed": 1}


def test_a_search_of_all_points_finds_the_front(designs: Path) -> None:
    asked = read_problem(designs)
    points = asked.columns(0, asked.points)
    metrics = asked(points)
    wanted = np.where(metrics["feasible"][:, None], asked.objective_values(points, metrics), np.nan)
    true = np.flatnonzero(front(wanted, ["max", "min"]))
    found = simulator.search(designs, evaluations=10_000)
    assert found.tally.points == asked.points
    assert found.tally.feasible == metrics["feasible"].sum() < asked.points
    assert sorted(found.best["point"]) == true.tolist()
    assert found.best["tokens_per_s"].is_monotonic_decreasing
    for name in ("batch", "devices", "hbm", "tbt_s", "dies_mm2"):
        assert name in found.best


def test_a_short_search_finds_points_of_the_space_and_is_told_beside_chance(designs: Path) -> None:
    found = simulator.search(designs, **SMALL)
    asked = found.problem
    points = asked.sweep.space.at(found.best["point"].to_numpy())
    assert asked(points)["feasible"].all()
    assert np.allclose(asked(points)["tokens_per_s"], found.best["tokens_per_s"])
    methods = found.progress.groupby("method")
    assert {name: len(rows) for name, rows in methods} == {"local": 60, "random": 60}
    assert all(rows["hypervolume"].is_monotonic_increasing for _, rows in methods)
    assert found.frames()["search"]["evaluated"].tolist() == [60]
    assert set(simulator.search(designs, **SMALL, against=None).progress["method"]) == {"local"}


def test_conditions_make_one_point_of_many_levels(families: Path) -> None:
    found = simulator.search(families, evaluations=500)
    assert found.tally.points == found.problem.points == 40
    assert len(set(found.result.columns["workload.batch"].tolist())) == 5


def test_a_search_that_was_cut_off_goes_on(designs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = simulator.search(designs, tmp_path / "whole", **SMALL)

    class Ended(Exception):
        pass

    def end(done: int, total: int) -> None:
        assert total == 120
        if done >= 40:
            raise Ended

    with pytest.raises(Ended):
        simulator.search(designs, tmp_path / "cut", **SMALL, progress=end)
    lines = (tmp_path / "cut" / module.LOG).read_text().splitlines()
    assert 30 < len(lines) < 45
    again = simulator.search(designs, tmp_path / "cut", **SMALL)
    assert again.best.equals(whole.best)
    assert again.progress.equals(whole.progress)
    for file in ("sweep.json", "part-000000000000-000000000060.parquet", module.LOG):
        assert (tmp_path / "cut" / file).read_bytes() == (tmp_path / "whole" / file).read_bytes()


def test_the_points_are_a_store(designs: Path, tmp_path: Path) -> None:
    folder = tmp_path / "searched"
    found = simulator.search(designs, folder, **SMALL)
    frame = load_store(folder).frame()
    assert len(frame) == 60
    assert frame["feasible"].sum() == found.tally.feasible
    more = simulator.search(designs, folder, evaluations=70, batch=8, seed=1)
    assert len(load_store(folder).frame()) == more.tally.points == 70


def test_a_folder_of_something_else(designs: Path, families: Path, tmp_path: Path) -> None:
    simulator.sweep(families, tmp_path / "swept", workers=1)
    with pytest.raises(ConfigError, match=r"the folder holds the results of a sweep"):
        simulator.search(designs, tmp_path / "swept")
    simulator.search(families, tmp_path / "searched", evaluations=5)
    with pytest.raises(ConfigError, match=r"not of this search"):
        simulator.search(families, tmp_path / "searched", evaluations=5, overrides=["base.workload.input=100"])


def test_none_is_feasible(designs: Path) -> None:
    found = simulator.search(designs, evaluations=20, overrides=["constraints=[tbt_s <= 1e-9]"])
    assert (found.tally.feasible, len(found.best)) == (0, 0)
    assert "none of 20 points; 'tbt_s <= 1e-9' rules out 20" in str(found.tally.none_feasible())


def test_nothing_is_wanted_or_no_such_method(designs: Path, sweep_file) -> None:
    with pytest.raises(ConfigError, match=r"found locl, .*did you mean 'local'"):
        simulator.search(designs, method="locl")
    with pytest.raises(ConfigError, match=r"objectives: found none"):
        simulator.search(sweep_file("\n".join(designs.read_text().splitlines()[1:-1])))
