"""Operators as a workload: one or many shapes, with the constants of a calibration, beside the roofline."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import simulator
from simulator.config.path import checked
from simulator.errors import ConfigError, TiersimError
from simulator.hardware import load_system
from simulator.mapping.gpu.chip import chip_of
from simulator.mapping.gpu.gemm import GemmLibrary, gemm_seconds
from simulator.scenario.evaluator import evaluated
from simulator.scenario.form import Scenario
from simulator.scenario.reads import check_read

SHAPES: dict[str, dict[str, Any]] = {
    "gemm": {"m": 64, "n": 4096, "k": 4096},
    "batched_gemm": {"m": 64, "n": 128, "k": 64, "batch": 4, "heads": 8},
    "attention_prefill_causal": {"batch": 2, "heads": 32, "kv_heads": 8, "head_dim": 128, "seq_q": 2048},
    "attention_decode": {"batch": 8, "heads": 32, "kv_heads": 8, "head_dim": 128, "seq_kv": 4096},
    "moe_ffn": {"m": 64, "n": 768, "k": 2048, "experts": 128, "top_k": 8},
    "rms_norm": {"m": 512, "n": 4096},
    "all_reduce": {"bytes": 1e6, "n_devices": 4},
    "grouped_gemm": {"m": 64, "n": 4096, "k": 4096, "experts": 8},
    "attention_mixed": {
        "batch": 1,
        "heads": 32,
        "kv_heads": 8,
        "head_dim": 128,
        "seq_q": 512,
        "seq_kv": 2048,
        "decodes": 64,
        "decode_kv": 4096,
    },
    "mla_prefill": {"batch": 2, "heads": 16, "seq_q": 2048},
    "mla_decode": {"batch": 64, "heads": 16, "seq_kv": 8192},
    "moe_dispatch": {"m": 128, "k": 7168, "top_k": 8, "n_devices": 8},
    "copy": {"bytes": 1e9},
    "copy_peer": {"bytes": 1e9},
    "copy_host_to_device": {"bytes": 1e9},
}


def own(tmp_path: Path, **kernels: Any) -> str:
    """A calibration of our own, so that no shipped one counts."""
    file = tmp_path / "own.yaml"
    written = {
        name: {variant: {"parameters": values, "uncertainty": {}, "rows": 10} for variant, values in variants.items()}
        for name, variants in kernels.items()
    }
    file.write_text(yaml.safe_dump({"schema": 1, "hardware": "h100-sxm", "measured": {}, "kernels": written}))
    return str(file)


@pytest.mark.parametrize("op", SHAPES)
def test_every_operator_has_a_time_above_its_roofline(op: str, tmp_path: Path) -> None:
    row = simulator.operator(op, "h100-sxm", calibration=own(tmp_path), **SHAPES[op]).rows.iloc[0]
    assert row["time_s"] >= row["roofline_s"] > 0
    assert row["bound_by"]
    assert row["constants"] == "family"
    assert np.isnan(row["expected_error"])


def test_a_calibration_counts_above_the_family(tmp_path: Path) -> None:
    slow = GemmLibrary(t0=4e-5)
    name = own(tmp_path, gemm={"bf16": slow.model_dump()})
    row = simulator.operator("gemm", "h100-sxm", calibration=name, m=1, n=128, k=128).rows.iloc[0]
    assert row["time_s"] > 4e-5
    assert row["bound_by"] == "launch"
    assert row["constants"] == name


def test_many_shapes_are_each_alone_and_in_one_call(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    m, n, k = (np.floor(2 ** rng.uniform(0, 14, 20_000)) for _ in range(3))
    rows = simulator.operator("gemm", "h100-sxm", calibration=own(tmp_path), m=m, n=n, k=k).rows
    chip = chip_of(load_system("h100-sxm"))
    np.testing.assert_allclose(rows["time_s"], gemm_seconds(m, n, k, chip, GemmLibrary()), rtol=1e-12)
    first = simulator.operator("gemm", "h100-sxm", calibration=own(tmp_path), m=m[0], n=n[0], k=k[0]).rows.iloc[0]
    assert first["time_s"] == pytest.approx(rows["time_s"].iloc[0])
    assert first["bound_by"] == rows["bound_by"].iloc[0]


def test_shapes_of_several_kernels_are_each_of_its_own(tmp_path: Path) -> None:
    heads = np.array([8.0, 64.0, 8.0])
    shape = {"batch": 4, "heads": heads, "kv_heads": np.array([8.0, 1.0, 1.0]), "head_dim": 128, "seq_kv": 1024}
    base = {"tau": 1e-6, "step": 1e-7, "block": 1e-6}
    slow = {
        f"bf16 kv bf16 {kind}": {**base, "t0": t0} for kind, t0 in (("head", 1e-5), ("group", 2e-5), ("wide", 4e-5))
    }
    name = own(tmp_path, attention_decode=slow)
    rows = simulator.operator("attention_decode", "h100-sxm", calibration=name, **shape).rows
    assert 1e-5 < rows["time_s"][0] < 2e-5 < rows["time_s"][2] < 4e-5 < rows["time_s"][1]


def test_rates_of_the_machine_may_be_columns_too(tmp_path: Path) -> None:
    work = {"kind": "operators", "m": 8, "n": 8192, "k": 8192}
    mapping = {"calibration": str(own(tmp_path))}
    scenario = checked(Scenario, {"hardware": "h100-sxm", "mapping": mapping, "workload": work})
    rates = np.array([1e12, 3.35e12, 6e12])
    table = evaluated(scenario, {"hardware.devices.gpu.tiers.hbm.bandwidth": rates})
    assert list(table["error"]) == ["", "", ""]
    assert np.all(np.diff(table["time_s"]) < 0)
    assert table["time_s"][1] == evaluated(scenario, {})["time_s"]


def test_a_shape_that_lacks_a_size_is_told(tmp_path: Path) -> None:
    with pytest.raises(TiersimError, match=r"workload\.k: missing key"):
        simulator.operator("gemm", "h100-sxm", calibration=own(tmp_path), m=1, n=1)


def test_sizes_of_other_operators_are_refused() -> None:
    scenario = checked(
        Scenario, {"hardware": "h100-sxm", "workload": {"kind": "operators", "heads": 3, "op": "rms_norm"}}
    )
    with pytest.raises(ConfigError, match=r"workload\.heads: an operator 'rms_norm' does not read it"):
        check_read(scenario)
    with pytest.raises(ConfigError, match="speed: found no size"):
        simulator.operator("gemm", "h100-sxm", speed=3)


def test_unknown_operators_and_machines_without_a_chip_are_named() -> None:
    with pytest.raises(ConfigError, match="did you mean 'gemm'"):
        simulator.operator("gem", "h100-sxm", m=1, n=1, k=1)
    with pytest.raises(TiersimError, match="chip"):
        simulator.operator("gemm", "sn40l", m=1, n=1, k=1)
    with pytest.raises(ConfigError, match="one length"):
        simulator.operator("gemm", "h100-sxm", m=np.ones(2), n=np.ones(3), k=1)


def test_a_batch_of_chunks_and_decodes_is_both_one_after_the_other(tmp_path: Path) -> None:
    name, heads = own(tmp_path), {"heads": 32, "kv_heads": 8, "head_dim": 128}
    chunk = {"batch": 2, "seq_q": 512, "seq_kv": 2048}

    def seconds(op: str, **shape: Any) -> float:
        return simulator.operator(op, "h100-sxm", calibration=name, **heads, **shape).rows["time_s"].iloc[0]

    both = seconds("attention_mixed", **chunk, decodes=64, decode_kv=4096)
    alone = seconds("attention_prefill_causal", **chunk), seconds("attention_decode", batch=64, seq_kv=4096)
    assert both == pytest.approx(sum(alone), rel=1e-12)


def test_a_latent_that_is_read_as_it_is_moves_less_and_computes_more(tmp_path: Path) -> None:
    shape = {"batch": 64, "heads": 128, "seq_kv": 8192}
    of = {
        absorbed: simulator.operator(
            "mla_decode", "h100-sxm", calibration=own(tmp_path), absorbed=absorbed, **shape
        ).rows
        for absorbed in (True, False)
    }
    kept = 64 * 8192 * 2 * 576 + 2 * 64 * 128 * (576 + 512)
    assert of[True]["bytes"].iloc[0] == kept
    assert of[True]["flops"].iloc[0] == 2 * 64 * 128 * 8192 * (576 + 512)
    assert of[False]["flops"].iloc[0] == 2 * 64 * 128 * 8192 * (192 + 128)
    assert of[False]["bytes"].iloc[0] > 50 * kept


def test_a_copy_over_a_link_that_the_machine_lacks_is_refused() -> None:
    with pytest.raises(TiersimError, match="a link to other GPUs"):
        simulator.operator("copy_peer", "rtx4090-gen4", bytes=1e6)
