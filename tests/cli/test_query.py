from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from simulator.provenance import Provenance
from simulator.study.store import Manifest, laid_out, open_store
from simulator.study.store import write as write_part

SWEEP = """\
schema: 1
base: {hardware: dgx-h100, model: llama-3-8b, workload: {input: 256}}
axes:
  workload.batch: [1, 8]
"""


@pytest.fixture
def folder(run, write) -> str:
    assert run("sweep", write("sweep.yaml", SWEEP), "--output", "out", "--workers", 1).code == 0
    return "out"


def test_rows_as_a_table_and_as_a_document(run, folder: str) -> None:
    sql = "select batch, tbt_s from points order by point"
    rows = run("query", folder, sql, "--json").json
    assert [row["batch"] for row in rows] == [1, 8]
    told = run("query", folder, sql)
    assert told.out.split()[:2] == ["batch", "tbt_s"]
    assert f"{rows[1]['tbt_s']:.6g}" in told.out


def test_points_that_are_not_there_are_told(run, folder: str) -> None:
    assert run("query", folder, "select 1").err == ""
    with open_store(Path("half"), Manifest.of(Provenance({}), 3, 2)) as store:
        axes, metrics = {"x": np.zeros(2)}, {"y": np.ones(2), "error": np.array(["", ""], object)}
        store.fix(laid_out(axes, metrics, {}))
        write_part(store.folder, store.manifest, (0, 2), axes, metrics)
    told = run("query", "half", "select count(*) as points from points", "--json")
    assert told.json == [{"points": 2}]
    assert told.err == "note: of 2 of 3 points; the others are not computed yet\n"


def test_what_a_failed_point_lacks_is_empty(run, folder: str) -> None:
    shown = run("query", folder, "select batch, case when batch = 1 then tbt_s end as some from points").out
    assert "nan" not in shown


def test_mistakes(run, folder: str) -> None:
    told = run("query", folder, "select tbt from points")
    assert (told.code, told.out) == (2, "")
    assert "sql: no such column: found 'tbt'" in told.err
    assert "did you mean 'tbt_s'?" in told.err
    assert "one SELECT over 'points'" in run("query", folder, "drop table points").err
    assert "no results of a sweep are here" in run("query", "elsewhere", "select 1").err
