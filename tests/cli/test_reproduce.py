from __future__ import annotations

from pathlib import Path

import pytest

import simulator
from simulator import data

EXPERIMENT = """\
schema: 1
extends: sn40l-coe
runs:
  service: {axes: {workload.experts: [10, 60], workload.batch: [1], workload.output: {values: [20]}}}
  footprint: {axes: {workload.experts: [10]}}
variants: null
charts: null
"""
PUBLISHED = """\
figure,metric,condition,role,published,unit,tolerance,source
12b,latency,system=sn40l-node batch=1 tokens=20 experts=10,calibration,133.5,ms,1,P
7,latency,system=sn40l-node batch=1 tokens=20 experts=60,prediction,100,ms,1,P
12b,latency,system=sn40l-node batch=1 tokens=20 experts=60,prediction,147.6,ms,1,P
12b,out_of_memory,system=sn40l-node batch=1 tokens=20 experts=60,prediction,0,1,0,P
"""


@pytest.fixture
def experiment(write) -> Path:
    write("mine/published.csv", PUBLISHED)
    return write("mine/experiment.yaml", EXPERIMENT)


def test_the_document_is_a_list_of_rows(run, experiment: Path) -> None:
    rows = run("reproduce", experiment, "--json").json
    assert rows == simulator.reproduce(experiment).as_json()
    assert len(rows) == 4
    keys = {
        "paper",
        "figure",
        "metric",
        "condition",
        "role",
        "published",
        "simulated",
        "ratio",
        "tolerance",
        "unit",
        "source",
    }
    assert rows[0].keys() == keys
    assert rows[0]["condition"] == {"system": "sn40l-node", "batch": 1, "tokens": 20, "experts": 10}


def test_an_experiment_is_meant_by_its_folder(run, experiment: Path) -> None:
    assert run("reproduce", experiment.parent, "--json").json == run("reproduce", experiment, "--json").json


def test_figures_are_shown_one_by_one_and_predictions_counted(run, experiment: Path) -> None:
    told = run("reproduce", experiment)
    assert (told.code, told.err) == (0, "")
    assert told.out.count("Fig. 12b") == 1
    assert told.out.count("Fig. 7") == 1
    assert told.out.rstrip().endswith("2 of 3 predictions within 3 % or their reading error")
    row = next(line for line in told.out.splitlines() if "100 ms" in line)
    assert row.split()[-4:] == ["ms", "1.476", "prediction", "no"]


def test_a_setting_changes_what_is_simulated(run, experiment: Path) -> None:
    before, after = (
        run("reproduce", experiment, *options, "--json").json
        for options in ((), ("--set", "cases.system.sn40l-node.mapping.residency.bytes=60 GB"))
    )
    assert after[0]["simulated"] > before[0]["simulated"]


def test_all_are_one_document_and_one_index(run, monkeypatch: pytest.MonkeyPatch, experiment: Path) -> None:
    result, asked, written = simulator.reproduce(experiment), [], []
    takes = {name: result.experiment.model_copy(update={"takes": s}) for name, s in (("a", 200.0), ("b", 100.0))}

    def reproduce(name, overrides=(), output=None, progress=None, fresh=False):
        asked.append((name, overrides, output, fresh))
        return result

    monkeypatch.setattr(simulator, "reproduce", reproduce)
    monkeypatch.setattr(data, "names", lambda folder: ["a", "b"])
    monkeypatch.setattr("simulator.validation.experiment.read_study", lambda name: (takes[name], None, {}))
    monkeypatch.setattr("simulator.report.index.write_index", written.append)
    told = run("reproduce", "all", "--set", "policy=fifo", "--output", "out", "--fresh", "--json")
    assert told.json == 2 * result.as_json()
    assert asked == [(name, ["policy=fifo"], Path("out"), True) for name in ("b", "a")], "the shortest first"
    assert told.err.splitlines()[0] == "1 of 2: b; about 5 min left"
    assert told.err.splitlines()[1].startswith("2 of 2: a; about ")
    assert written == [Path("out")]
