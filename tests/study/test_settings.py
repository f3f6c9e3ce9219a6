"""What is set for all points of a study whose runs do not all have a machine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from simulator.errors import ConfigError
from simulator.study.load import load_study
from simulator.study.results import results_of

STUDY = """\
title: with a machine and without
base: {workload: {kind: routing, draws: 2, router: {kind: uniform, experts: 8, top_k: 2}}}
axes: {workload.tokens: [64]}
runs:
  alone: {}
  shared: {hardware: duplex-node, model: mixtral-8x7b, mapping: {split: greedy}}
"""
BANDWIDTH = "hardware.devices.xpu.engines.pim.reads.hbm.efficiency"


def test_a_figure_is_set_in_the_runs_that_have_its_machine(yaml: Callable[[str], Path]) -> None:
    study = load_study(yaml(STUDY), [f"{BANDWIDTH}=0.3"])
    assert {name: dict(run.sweep.settings) for name, run in study.runs.items()} == {
        "alone": {},
        "shared": {BANDWIDTH: 0.3},
    }
    some = [results_of(each) for each in (load_study(yaml(STUDY)), study, study.under({BANDWIDTH: 0.5}))]
    assert len({each.measure("sharing_speedup", {"run": "shared"}) for each in some}) == 3
    assert len({each.measure("gini", {"run": "alone"}) for each in some}) == 1


def test_a_figure_of_no_run_is_refused(yaml: Callable[[str], Path]) -> None:
    alone = STUDY.replace("  shared: {hardware: duplex-node, model: mixtral-8x7b, mapping: {split: greedy}}\n", "")
    with pytest.raises(ConfigError, match="efficiency: found no such run, expected a run that has a hardware"):
        load_study(yaml(alone), [f"{BANDWIDTH}=0.3"])
