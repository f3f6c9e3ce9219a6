from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

import simulator

SERVICE = "runs.service.axes.workload"
SMALL = [
    f"{SERVICE}.experts=[10, 60, 400]", f"{SERVICE}.batch=[1, 8]", f"{SERVICE}.output.values=[20]",
    "runs.footprint.axes.workload.experts.range=[100, 200, 100]", "base.mapping.residency.policy=fifo",
]  # fmt: skip
COMMAND = ("simulate", "sn40l-coe", *(part for setting in SMALL for part in ("--set", setting)))


@pytest.fixture(scope="module")
def result():
    return simulator.simulate("sn40l-coe", SMALL)


def test_the_document_is_the_simulation(run, result) -> None:
    document = run(*COMMAND, "--json").json
    assert document == json.loads(json.dumps(result.as_json()), parse_constant=lambda _: None)
    assert {row["workload.experts"] for row in document["points"]} == {10, 60, 100, 400}


def test_a_point_that_was_refused_is_null(run) -> None:
    rows = run(*COMMAND, "--json").json["points"]
    refused = [row for row in rows if row["error"]]
    assert refused
    assert all(row["latency_s"] is None for row in refused)


def test_each_table_is_shown(run) -> None:
    told = run(*COMMAND)
    assert (told.code, told.err) == (0, "")
    assert "points" in told.out
    assert "sn40l-node" in told.out


def test_the_tables_are_written_with_their_provenance(run, result, tmp_path: Path) -> None:
    folder = tmp_path / "new" / "run"
    assert run(*COMMAND, "--output", folder).code == 0
    assert {file.name for file in folder.iterdir()} == {"points.csv", "provenance.json"}
    for name, frame in result.frames().items():
        assert pd.read_csv(folder / f"{name}.csv").shape == frame.shape
    provenance = json.loads((folder / "provenance.json").read_text())
    assert provenance["config_hash"] == result.provenance.hash
    assert provenance["config"]["experiment"]["base"]["mapping"]["residency"]["policy"] == "fifo"


def test_a_run_that_fails_leaves_what_was_there(run, tmp_path: Path) -> None:
    (tmp_path / "points.csv").write_text("kept")
    assert run(*COMMAND, "--output", tmp_path, "--set", "base.mapping.residency.policy=none_such").code == 2
    assert [file.read_text() for file in tmp_path.iterdir()] == ["kept"]


SERVING = """\
schema: 1
title: small
base: {workload: {kind: requests, loop: closed, batch: 8, input: 128, output: 32, rounds: 2}}
cases:
  system:
    gpu: {hardware: duplex-h100, model: MODEL, sized: {devices: 4}}
runs:
  chat: {cases: {system: [NAME]}}
"""


@pytest.mark.parametrize("command", ["check", "simulate"])
def test_a_name_that_is_nowhere_is_told_by_its_line(run, tmp_path: Path, command: str) -> None:
    file = tmp_path / "experiment.yaml"
    file.write_text(SERVING.replace("MODEL", "mixtral-8x7b").replace("NAME", "gup"))
    told = run(command, file)
    assert told.code == 2
    assert (
        "experiment.yaml:8: runs.chat.cases.system.0: no such case: found 'gup', expected 'gpu'; did you mean 'gpu'?"
        in told.err
    )


def test_a_model_that_no_memory_holds_is_a_mistake_of_the_user(run, tmp_path: Path) -> None:
    file = tmp_path / "experiment.yaml"
    file.write_text(SERVING.replace("MODEL", "grok-1").replace("NAME", "gpu"))
    told = run("simulate", file)
    assert told.code == 2
    assert "one sequence of 160 tokens beside grok-1 on a xpu: needs" in told.err
    assert "more devices" in told.err


def test_a_trace_in_the_place_of_an_experiment_is_told_its_option(run) -> None:
    told = run("simulate", "load.csv")
    assert told.code == 2
    assert "--trace load.csv" in told.err
