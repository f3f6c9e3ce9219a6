"""Answers from a folder of results: what is there is not computed again, and nothing changes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import simulator
from simulator.errors import ConfigError
from simulator.study.problem import read_problem
from tests.study.conftest import TWO, WritesEvaluator

SETTINGS = ("hardware.devices.gpu.tiers.hbm.bandwidth=1 TB/s",)


@pytest.fixture
def study(tmp_path: Path) -> Path:
    file = tmp_path / "experiment.yaml"
    file.write_text(f"schema: 1\n{TWO}objectives: {{rate_per_s: max, time_s: min}}\n", encoding="utf-8")
    return file


@pytest.fixture
def folder(study: Path, tmp_path: Path) -> Path:
    simulator.sweep(study, tmp_path / "points", SETTINGS, run="sizes", workers=1)
    return tmp_path / "points"


@pytest.fixture
def nothing_computes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any) -> None:
        raise AssertionError("a point is computed")

    monkeypatch.setattr(WritesEvaluator, "evaluate", staticmethod(refuse))


def test_points_of_a_folder_are_those_that_were_computed(study: Path, folder: Path, request: Any) -> None:
    computed, again = read_problem(study, SETTINGS, "sizes"), read_problem(folder)
    columns = computed.columns(0, 8)
    expected = computed(columns)
    request.getfixturevalue("nothing_computes")
    stored = again(columns)
    assert stored.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_array_equal(stored[name], values)


@pytest.mark.usefixtures("nothing_computes")
def test_the_cheapest_of_them_is_found_without_computing_any(folder: Path) -> None:
    best = simulator.optimise(folder, "time_s", where=['machine == "small"'])
    assert best.best["size"].iloc[0] == 1


def test_what_lies_between_them_is_computed(study: Path, folder: Path) -> None:
    between = {"machine": np.array(["small", "small"], dtype=object), "workload.size": np.array([2, 3])}
    again = read_problem(folder)
    assert again.stored is not None
    assert again.stored.rows(between).tolist() == [5, -1]
    np.testing.assert_array_equal(again(between)["time_s"], read_problem(study, SETTINGS, "sizes")(between)["time_s"])


def test_points_that_a_folder_lacks_are_computed(study: Path, folder: Path) -> None:
    whole = read_problem(folder)
    assert whole.stored is not None
    some = type(whole.stored)(whole.stored.space, whole.stored.frame.iloc[2:4])
    columns = whole.columns(0, 8)
    assert (some.rows(columns) >= 0).tolist() == [False, False, True, True, False, False, False, False]
    np.testing.assert_array_equal(some.metrics(columns, whole._computed)["time_s"], whole(columns)["time_s"])


def test_results_are_of_what_they_were_computed_with(folder: Path) -> None:
    with pytest.raises(ConfigError, match="found settings, expected none"):
        read_problem(folder, ["workload.number=3"])
    with pytest.raises(ConfigError, match="found the run 'numbers', expected none"):
        read_problem(folder, (), "numbers")
