"""What the mode of a kind of workload does not read is refused by its name, in a scenario and in a study."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from simulator.config.path import checked
from simulator.errors import ConfigError
from simulator.scenario.form import Scenario
from simulator.study.problem import read_problem
from tests.scenario.modes import MODES


@pytest.mark.parametrize("mode", ["units of banks", "flash reads", "monarch", "counted", "routing", "usage"])
def test_costs_are_refused_where_no_metric_is_of_them(mode: str) -> None:
    with pytest.raises(ConfigError, match=r"costs: a workload of kind .* does not read it"):
        checked(Scenario, {**MODES[mode], "costs": "bogus"})


OPEN = MODES["open"]["workload"]
STUDY = {
    "schema": 1, "base": {**{key: MODES["open"][key] for key in ("hardware", "model")}, "workload": OPEN},
    "axes": {"workload.rate": {"values": [10, 20]}},
}  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"base": {**STUDY["base"], "workload": {**OPEN, "batch": 3}}}, r"base\.workload\.batch: an open loop"),
        ({"axes": {"workload.batch": {"values": [3, 4]}}}, r"axes.*workload\.batch.*: an open loop does not read it"),
    ],
)  # fmt: skip
def test_what_no_point_of_a_study_reads_is_refused_at_its_line(changes: Any, text: str, tmp_path: Any) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump({**STUDY, **changes}))
    with pytest.raises(ConfigError, match=text):
        read_problem(path)


def test_what_some_point_reads_may_stand_in_the_base(tmp_path: Any) -> None:
    path = tmp_path / "study.yaml"
    both = {"base": {**STUDY["base"], "workload": {**OPEN, "batch": 3}}, "axes": {"workload.loop": ["open", "closed"]}}
    path.write_text(yaml.safe_dump({**STUDY, **both}))
    assert read_problem(path).points == 2
