from __future__ import annotations

from pathlib import Path

import pytest

import simulator

LINK = "hardware.links.gpu<->gpu.latency"
STUDY = """\
schema: 1
title: one length
base: {hardware: dgx-a100, model: llama-2-7b, workload: {input: 16}}
axes: {workload.output: [16]}
metrics: {latency: {of: e2e_s}}
"""
PUBLISHED = """\
figure,metric,condition,role,published,unit,tolerance,source
1,latency,output=16,calibration,60,ms,1,measured
"""


@pytest.fixture
def experiment(write) -> Path:
    write("mine/published.csv", PUBLISHED)
    return write("mine/experiment.yaml", STUDY)


def test_the_document_is_what_the_function_gives(run, experiment: Path) -> None:
    assert run("fit", experiment, f"{LINK}=1e-5", "--json").json == simulator.fit(experiment, {LINK: 1e-5})


def test_a_value_is_printed_as_an_override(run, experiment: Path) -> None:
    told = run("fit", experiment, f"{LINK}=1e-7..1e-6")
    assert told.out.strip() == f"{LINK}=1e-06"


@pytest.mark.parametrize("start", ["links", f"{LINK}=soon", "=1", f"{LINK}=1..most"])
def test_a_start_that_is_none_is_told(run, experiment: Path, start: str) -> None:
    told = run("fit", experiment, start)
    assert told.code == 2
    assert f"PATH=START: found '{start}'" in told.err
