from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

GEMM = ["operator", "gemm", "--hardware", "h100-sxm"]


def test_an_operator_is_shown_with_what_binds_and_the_roofline(run) -> None:
    told = run(*GEMM, "--m", "8", "--n", "8192", "--k", "8192")
    assert told.code == 0
    assert all(text in told.out for text in ("roofline_s", "bound_by", "dram", "1.074 GFLOP"))


def test_json_has_the_same(run) -> None:
    (row,) = run(*GEMM, "--m", "8", "--n", "8192", "--k", "8192", "--json").json["operators"]
    assert row["flops"] == 2 * 8 * 8192 * 8192
    assert row["time_s"] > row["roofline_s"]


def test_a_collective_takes_bytes_with_a_unit(run) -> None:
    told = run("operator", "all_reduce", "--hardware", "h100-sxm", "--bytes", "4 MiB", "--devices", "8", "--json")
    assert told.json["operators"][0]["bytes"] == 4 * 2**20 * 7 / 8


def test_a_file_of_shapes_gives_a_file_of_times(run, tmp_path: Path) -> None:
    pd.DataFrame({"m": np.arange(1, 41), "n": 4096}).to_csv(tmp_path / "shapes.csv", index=False)
    told = run(*GEMM, "--k", "512", "--shapes", str(tmp_path / "shapes.csv"), "--output", str(tmp_path / "times.csv"))
    assert told.code == 0
    times = pd.read_csv(tmp_path / "times.csv")
    assert len(times) == 40
    assert times["time_s"].is_monotonic_increasing


def test_a_wrong_cell_of_shapes_is_named(run, tmp_path: Path) -> None:
    (tmp_path / "shapes.csv").write_text("m,n\n1,2\nx,3\n")
    told = run(*GEMM, "--shapes", str(tmp_path / "shapes.csv"))
    assert told.code == 2
    assert "shapes.csv:3: m: found 'x'" in told.err


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--m", "0"], "--m: found 0, expected 1 or more"),
        (["--m", "1", "--n", "1"], "--k: missing key"),
        (["--heads", "2", "--m", "1", "--n", "1", "--k", "1", "--window", "2"], "--heads"),
        (["--m", "1", "--n", "1", "--k", "1", "--dtype", "fp3"], "fp3"),
        (["--m", "1", "--n", "1", "--k", "1", "--calibration", "nothing"], "nothing"),
    ],
)
def test_mistakes_are_told(run, arguments: list[str], text: str) -> None:
    told = run(*GEMM, *arguments)
    assert told.code == 2
    assert text in told.err
    assert "Traceback" not in told.err


@pytest.mark.parametrize(
    "arguments",
    [
        ["mla_decode", "--batch", "8", "--heads", "16", "--seq-kv", "4096", "--absorbed"],
        ["copy_device_to_host", "--bytes", "1 GiB"],
        ["moe_combine_ll", "--m", "64", "--k", "7168", "--top-k", "8", "--devices", "8"],
    ],
)
def test_operators_of_latents_links_and_experts_are_timed(run, arguments: list[str]) -> None:
    (row,) = run("operator", *arguments, "--hardware", "h100-sxm", "--json").json["operators"]
    assert row["time_s"] > row["roofline_s"] > 0
