from __future__ import annotations

from pathlib import Path

import yaml

from simulator.validation.measured.schema import OPERATORS
from tests.validation.test_calibrate import measured


def written(folder: Path) -> None:
    columns = [*OPERATORS, "engine", "version"]
    measured(120).reindex(columns=columns).to_csv(folder / "data.csv", index=False)


def test_a_calibration_is_written_and_told(run, tmp_path: Path) -> None:
    written(tmp_path)
    own = tmp_path / "own.yaml"
    told = run("calibrate", "--hardware", "h200-sxm", "--data", str(tmp_path / "data.csv"), "--output", str(own),
               "--free", "t0,ebw,emax", "--held-out", "0.3")  # fmt: skip
    assert told.code == 0, told.err
    assert "gemm" in told.out
    kept = yaml.safe_load(own.read_text())
    assert kept["hardware"] == "h200-sxm"
    assert list(kept["measured"]) == ["data.csv"]
    used = run("operator", "gemm", "--m", "64", "--n", "4096", "--k", "4096", "--hardware", "h200-sxm",
               "--calibration", str(own), "--json")  # fmt: skip
    assert used.json["operators"][0]["expected_error"] < 0.5


def test_data_of_another_device_are_refused_in_a_line(run, tmp_path: Path) -> None:
    written(tmp_path)
    told = run("calibrate", "--hardware", "l40s", "--data", str(tmp_path / "data.csv"))
    assert told.code == 2
    assert "data of another device" in told.err
