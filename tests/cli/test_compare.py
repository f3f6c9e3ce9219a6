from __future__ import annotations

from pathlib import Path

import pytest

HEADER = (
    "source,device,op,dtype,m,n,k,batch,heads,kv_heads,head_dim,seq_q,seq_kv,experts,top_k,bytes,n_devices,metric,"
    "value,unit\n"
)
ROW = "mine,NVIDIA H100 80GB HBM3,gemm,bf16,{m},8192,8192,,,,,,,,,,1,latency,{value},{unit}\n"


@pytest.fixture
def baseline(write) -> Path:
    rows = [ROW.format(m=64, value=7e-5, unit="s"), ROW.format(m=8192, value=2e-3, unit="s")]
    return write("mine.csv", HEADER + "".join(rows))


def test_the_document_has_the_errors_and_their_groups(run, baseline: Path) -> None:
    document = run("compare", "--baseline", baseline, "--json").json
    assert {"rows", "mape", "median_ape", "p90_ape", "bias", "by_group"} <= document.keys()
    assert document["rows"] == 2 and document["by_group"]["class"]["gemm"]["rows"] == 2


def test_errors_and_the_rows_furthest_off_are_shown(run, baseline: Path, tmp_path: Path) -> None:
    told = run("compare", "--baseline", baseline, "--output", tmp_path / "out")
    assert "2 rows" in told.out and "furthest off" in told.out and "bound by" in told.out
    assert (tmp_path / "out" / "scatter.svg").is_file()


def test_a_design_is_told_by_its_speed_up(run, baseline: Path) -> None:
    assert "family-gpu is" in run("compare", "--baseline", baseline, "--hardware", "family-gpu").out


def test_a_wrong_unit_is_told_by_line_and_column(run, write) -> None:
    file = write("mine.csv", HEADER + ROW.format(m=64, value=7e-5, unit="s") + ROW.format(m=1, value=7, unit="us"))
    told = run("compare", "--baseline", file)
    assert told.code == 2 and "mine.csv:3: unit: found 'us', expected 's'" in told.err
    assert "1 cells could not be used" in run("compare", "--baseline", file, "--skip-bad").out
