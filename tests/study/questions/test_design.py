"""Designs at named values: the middle elsewhere, conditions respected, mistakes told."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from simulator.errors import ConfigError
from simulator.study.problem import Problem, read_problem
from simulator.study.questions.design import check_used, column, completed, named, point_values, varying

ZIPPED = """\
base: {hardware: dgx-h100, model: llama-3-8b}
zip:
  - hardware.devices.gpu.tiers.hbm.bandwidth: {values: [1 TB/s, 4 TB/s], name: hbm}
    hardware.links.gpu<->gpu.bandwidth: {values: [100 GB/s, 900 GB/s], name: link}
  - workload.batch: {values: [1, 8], name: batch}
    mapping.devices: {values: [1, 2], name: devices}
"""


def design(asked: Problem, **at: Any) -> dict[str, Any]:
    chosen = named(asked, at)
    columns = completed(asked.sweep.space, {path: column([value]) for path, value in chosen.items()}, 1)
    check_used(asked, chosen, columns)
    names = asked.sweep.space.aliases
    return {names[path]: value for path, value in point_values(columns).items()}


def test_the_middle_of_every_axis_that_varies(families: Path) -> None:
    asked = read_problem(families)
    assert design(asked) == {"machine": "dgx-h100", "batch": 4, "hbm": 2e12}
    assert design(asked, machine="m1-max", batch="16") == {"machine": "m1-max", "batch": 16, "dram": 1e11}
    assert design(asked, hbm="1.5 TB/s")["hbm"] == 1.5e12


def test_completed_points_are_points_of_the_space(families: Path) -> None:
    space = read_problem(families).sweep.space
    points = space.columns(0, len(space))
    again = completed(space, points, len(space))
    for path, values in points.items():
        for one, other in zip(values.tolist(), again[path].tolist(), strict=True):
            assert one == other or (math.isnan(one) and math.isnan(other))
    assert {axis.name for axis in varying(space, points, 0)} == {"machine", "batch", "hbm"}
    assert {axis.name for axis in varying(space, points, len(space) - 1)} == {"machine", "batch", "dram"}


def test_axes_that_move_together_stay_together(sweep_file) -> None:
    asked = read_problem(sweep_file(ZIPPED))
    assert design(asked, hbm=4e12)["link"] == 900e9
    assert design(asked, link="300 GB/s")["hbm"] == pytest.approx(2e12)  # half of the way in the logarithm
    assert design(asked, batch=8)["devices"] == 2
    with pytest.raises(
        ConfigError, match=r"batch: found a value between its steps, expected a step: devices moves too"
    ):
        design(asked, batch=4)
    assert design(asked, batch=4, devices=1)["batch"] == 4


@pytest.mark.parametrize(
    ("at", "message"),
    [
        (
            {"btch": 1},
            "at: no such axis: found 'btch', expected one of machine, batch, hbm, dram; did you mean 'batch'",
        ),
        ({"machine": "dgx-h200"}, "at.machine: found 'dgx-h200', expected one of .*; did you mean 'dgx-h100'"),
        ({"batch": 17}, "at.batch: found 17, expected a whole number from 1 to 16"),
        ({"batch": 2.5}, "at.batch: found 2.5, expected a whole number"),
        ({"hbm": "9 TB/s"}, "at.hbm: found 9 TB/s, expected from 1 TB/s to 4 TB/s"),
        ({"hbm": "2 TB"}, "at.hbm: found '2 TB'"),
        ({"dram": 2e11}, "at.dram: does not vary in this design: expected a design with machine == 'm1-max'"),
    ],
)
def test_mistakes(families: Path, at: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        design(read_problem(families), **at)


def test_a_column_of_texts_is_of_objects() -> None:
    assert column(["a"]).dtype == object
    assert column([1, 2]).dtype == np.int64
