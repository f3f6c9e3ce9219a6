"""Measured data beside the program: what counts, what does not and why, and how errors are told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import simulator
from simulator.errors import ConfigError
from simulator.validation.compare import FITTED
from simulator.validation.measured.errors import errors
from simulator.validation.measured.importers import aiconfigurator
from simulator.validation.measured.schema import OPERATORS, RUNS

H100 = "NVIDIA H100 80GB HBM3"
GEMM = {
    "source": "s", "device": H100, "op": "gemm", "dtype": "bf16", "n_devices": 1, "metric": "latency", "unit": "s",
    "n": 8192, "k": 8192,
}  # fmt: skip
RUN = {
    "source": "s", "device": H100, "n_devices": 8, "tp": 8, "model": "Llama-2-70B", "engine": "vLLM", "dtype": "fp16",
    "kv_dtype": "fp16", "phase": "decode", "batch": 4, "input_len": 512, "output_len": 128, "metric": "tpot",
    "unit": "s",
}  # fmt: skip


def operators(tmp_path: Path, *rows: dict[str, Any]) -> Path:
    pd.DataFrame([{**GEMM, **row} for row in rows]).reindex(columns=OPERATORS).to_csv(tmp_path / "ops.csv", index=False)
    return tmp_path / "ops.csv"


def runs(tmp_path: Path, *rows: dict[str, Any]) -> Path:
    pd.DataFrame([{**RUN, **row} for row in rows]).reindex(columns=RUNS).to_csv(tmp_path / "runs.csv", index=False)
    return tmp_path / "runs.csv"


def test_a_run_that_was_simulated_is_met(tmp_path: Path) -> None:
    estimate = simulator.estimate(
        "dgx-h100", "llama-2-70b", 4, 512, 128, phase="decode", dtype="fp16", kv="fp16", runtime="vllm"
    )
    comparison = simulator.compare(runs(tmp_path, {"value": estimate.tbt_s}, {"value": 2 * estimate.tbt_s}))
    assert comparison.rows["ratio"].tolist() == pytest.approx([1.0, 0.5], rel=1e-12)
    assert comparison.errors["mape"] == pytest.approx(0.25) and comparison.errors["bias"] == pytest.approx(-0.25)
    assert set(comparison.rows["bound_by"]) == {estimate.bound_by["tbt"]}
    assert (comparison.rows["plain"] < comparison.rows["simulated"]).all()


def test_a_row_that_gave_a_constant_does_not_count(tmp_path: Path) -> None:
    file = runs(tmp_path, {"value": 1.0}, {"value": 0.01})
    pd.read_csv(file).assign(role=["prediction", "calibration"]).to_csv(file, index=False)
    comparison = simulator.compare(file)
    assert comparison.counted["measured"].tolist() == [1.0] and comparison.flagged == {FITTED: 1}


def test_a_closed_loop_takes_in_prompts_between_its_steps(tmp_path: Path) -> None:
    step, prompt = (
        simulator.estimate(
            "dgx-h100", "llama-2-70b", batch, 512, 128, phase=phase, dtype="fp16", kv="fp16", runtime="vllm"
        )
        for batch, phase in ((32, "decode"), (1, "prefill"))
    )
    file = runs(tmp_path, {"value": 1.0, "batch": 32})
    pd.read_csv(file).assign(loop="closed").to_csv(file, index=False)
    (simulated,) = simulator.compare(file).rows["simulated"]
    assert simulated == pytest.approx(step.tbt_s + 32 / 128 * prompt.ttft_s, rel=1e-12)


def test_operators_are_grouped_by_class_and_by_what_they_hang_on(tmp_path: Path) -> None:
    shapes = [{"m": m, "value": seconds} for m, seconds in ((1, 6e-5), (8192, 2e-3))]
    comparison = simulator.compare(operators(tmp_path, *shapes, {"op": "softmax", "m": 1, "n": 64, "value": 3e-6}))
    groups = comparison.as_json()["by_group"]
    assert set(groups["class"]) == {"gemm", "row_wise"}
    assert {size: each["rows"] for size, each in groups["size"].items()} == {
        "FLOP-bound": 1, "memory-bound": 1, "launch-bound": 1,
    }  # fmt: skip
    assert set(groups["class"]["gemm"]) >= {"rows", "mape", "median_ape", "p90_ape", "bias"}


def test_what_does_not_count_is_counted_and_named(tmp_path: Path) -> None:
    file = operators(
        tmp_path,
        {"m": 8192, "value": 2e-3},
        {"m": 8192, "value": 1e-4},
        {"m": 8192, "value": 0.0},
        {"m": 1, "value": 1e-3, "device": "Abacus 3"},
        {"op": "sort", "value": 1e-3},
    )
    document = simulator.compare(file).as_json()
    assert document["rows"] == 1
    assert document["flagged"] == {"above the peak rate": 1, "no time": 1}
    assert document["unmatched_devices"] == {"Abacus 3": 1}
    assert document["not_simulated"] == {"no model of the operator": 1}


def test_rows_that_cannot_be_read_are_counted_where_that_is_allowed(tmp_path: Path) -> None:
    file = operators(tmp_path, {"m": 1, "value": 1e-4}, {"m": 1, "value": 1e-4, "unit": "ms"})
    with pytest.raises(ConfigError, match=r"ops\.csv:3: unit"):
        simulator.compare(file)
    comparison = simulator.compare(file, skip_bad=True)
    assert (comparison.errors["rows"], comparison.skipped) == (1, 1)


def test_a_file_of_devices_that_nothing_describes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"ops\.csv:2: device: no machine describes.*Abacus 3"):
        simulator.compare(operators(tmp_path, {"m": 1, "value": 1e-4, "device": "Abacus 3"}))


def test_a_table_of_the_package_is_named_below_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aiconfigurator, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="gpu-baselines"):
        simulator.compare("aiconfigurator/silicon_sample.csv")
    monkeypatch.setattr(aiconfigurator, "systems", lambda: tmp_path)
    operators(tmp_path, {"m": 64, "value": 1e-4})
    assert simulator.compare("aiconfigurator/ops.csv").errors["rows"] == 1


def test_a_machine_with_the_alias_takes_its_rows_and_another_is_a_design(tmp_path: Path) -> None:
    rows = [{"m": 8192, "value": 2e-3}, {"m": 8192, "value": 4e-3, "device": "NVIDIA A100-SXM4-80GB"}]
    file = operators(tmp_path, *rows)
    own = simulator.compare(file, "dgx-a100")
    assert not own.is_design and list(own.rows["line"]) == [3] and own.unmatched == {H100: 1}
    design = simulator.compare(file, "family-gpu")
    assert design.is_design and len(design.counted) == 2
    ratios = design.rows["measured"] / design.rows["simulated"]
    assert design.as_json()["speed_up"] == pytest.approx((ratios.prod()) ** 0.5)


def test_a_design_is_set_beside_the_energy_that_was_measured(tmp_path: Path) -> None:
    base = {"phase": "e2e", "batch": 8}
    file = runs(
        tmp_path,
        {**base, "metric": "latency", "value": 10.0},
        {**base, "metric": "avg_power", "value": 500.0, "unit": "W"},
    )
    estimate = simulator.estimate("family-gpu", "llama-2-70b", 8, 512, 128, dtype="fp16", kv="fp16", runtime="vllm")
    document = simulator.compare(file, "family-gpu").as_json()
    assert document["energy_ratio"] == pytest.approx(estimate.energy_j / (500.0 * 10.0))
    assert document["rows"] == 1  # seconds and watts are not averaged


def test_the_figures_and_tables_are_written(tmp_path: Path) -> None:
    file = operators(tmp_path, *({"m": m, "value": 1e-4 * m} for m in (1, 64, 512)))
    comparison = simulator.compare(file)
    simulator.write_comparison(comparison, tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "rows.csv", "groups.csv", "scatter.svg", "errors.svg",
    }  # fmt: skip
    assert len(pd.read_csv(tmp_path / "out" / "rows.csv")) == len(comparison.rows)


def test_the_figures_of_errors_are_those_of_their_definition() -> None:
    rows = pd.DataFrame({"measured": [1.0, 2.0, 4.0, 8.0], "simulated": [1.1, 1.0, 4.0, float("nan")]})
    told = errors(rows)
    assert told["rows"] == 3
    assert told["mape"] == pytest.approx((0.1 + 0.5 + 0) / 3)
    assert told["median_ape"] == pytest.approx(0.1) and told["p90_ape"] == pytest.approx(0.1 + 0.8 * 0.4)
    assert told["bias"] == pytest.approx((0.1 - 0.5) / 3)


def test_the_document_is_plain_data(tmp_path: Path) -> None:
    document = simulator.compare(operators(tmp_path, {"m": 64, "value": 1e-4})).as_json()
    assert json.loads(json.dumps(document))["rows"] == 1
