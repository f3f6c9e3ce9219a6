"""The files behind a study: machines, models, and what else its workloads name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from simulator.errors import ConfigError
from simulator.hardware import load_system
from simulator.study.load import load_study
from simulator.workload.routing.measured import load_measured

STUDY = """\
title: recorded and not
base: {workload: {kind: routing, draws: 1}}
cases:
  router:
    recorded: {workload: {router: {kind: measured, counts: olmoe-1b-7b, layer: 0}}}
    law: {workload: {router: {kind: uniform, experts: 4, top_k: 1}}}
"""


def test_recordings_of_cases_are_among_the_files(yaml: Callable[[str], Path]) -> None:
    counts = load_measured("olmoe-1b-7b").model_dump()
    assert load_study(yaml(STUDY)).inputs == {"workload.router.counts": {"olmoe-1b-7b": counts}}


def test_so_is_a_machine_that_the_workload_of_the_base_names() -> None:
    inputs = load_study("duplex-pim").inputs
    assert set(inputs["hardware"]) == {"duplex-node", "duplex-bank-pim", "duplex-bankgroup-pim"}
    assert inputs["workload.in_dram.beside"] == {"duplex-node": load_system("duplex-node").config.data}


def test_of_a_recording_of_neurons_the_digest_is(yaml: Callable[[str], Path], tmp_path: Path) -> None:
    (tmp_path / "trace.csv").write_text("token,layer,neurons\n0,0,1 2\n", encoding="utf-8")
    activity = f"{{kind: recorded, file: {tmp_path / 'trace.csv'}}}"
    usage = f"title: recorded\nbase: {{model: opt-6.7b, workload: {{kind: neuron_usage, activity: {activity}}}}}\n"
    inputs = load_study(yaml(usage + "axes: {workload.span: [1, 2]}\n")).inputs["workload.activity.file"]
    assert len(inputs[str(tmp_path / "trace.csv")]) == 64
    (tmp_path / "trace.csv").unlink()
    with pytest.raises(ConfigError, match=r"trace\.csv: cannot be read"):
        load_study(yaml(usage + "axes: {workload.span: [1, 2]}\n")).inputs  # noqa: B018
