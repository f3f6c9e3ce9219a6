"""A point of a sweep is what an estimate of it says, in every metric that both have."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import simulator
from simulator.errors import TiersimError
from simulator.scenario.batch_detail import BatchDetail
from simulator.scenario.cases import with_values
from simulator.scenario.evaluator import evaluated
from simulator.scenario.form import Scenario

MACHINES = {
    "dgx-h100": (
        "devices.gpu.tiers.hbm.bandwidth",
        "devices.gpu.engines.gpu.launch_overhead",
        "links.gpu<->gpu.latency",
    ),
    "dgx-a100": ("devices.gpu.tiers.hbm.bandwidth", "devices.gpu.engines.gpu.efficiency", "links.gpu<->gpu.bandwidth"),
    "duplex-node": ("devices.xpu.tiers.hbm.latency", "devices.xpu.engines.xpu.launch_overhead"),
    "m1-max": ("devices.soc.tiers.dram.bandwidth", "devices.soc.engines.gpu.launch_overhead"),
    "sn40l-node": ("devices.socket.tiers.hbm.bandwidth",),
}
"""Machines, and figures of them that may vary in one lowering; of a dataflow engine, each by itself."""
VALUES = {"bandwidth": (3e11, 8e12), "launch_overhead": (0.0, 2e-5), "latency": (0.0, 2e-5), "efficiency": (0.1, 1.0)}
UNITS = {"bandwidth": "B/s", "launch_overhead": "s", "latency": "s", "efficiency": ""}
MODELS = st.sampled_from(["llama-3.1-8b", "mixtral-8x7b", "phi-2", "mistral-7b", "opt-6.7b"])


@st.composite
def designs(draw: st.DrawFn) -> tuple[str, dict[str, Any], list[dict[str, Any]]]:
    """A machine, what all points of it say, and figures and lengths of two of them."""
    hardware = draw(st.sampled_from(list(MACHINES)))
    window = draw(st.sampled_from([None, 90, 700])) if draw(st.booleans()) else None
    said = {"model": draw(MODELS), "mapping.dtype": "fp16", "mapping.devices": draw(st.sampled_from([1, 2]))}
    if window and said["model"] == "mistral-7b":
        said["model.attention.window"] = window
    rows = []
    lengths = st.sampled_from([1, 40, 600]), st.sampled_from([1, 2, 3, 120])
    for _ in range(2):
        row = {f"hardware.{path}": draw(st.floats(*VALUES[path.rpartition(".")[2]])) for path in MACHINES[hardware]}
        row |= {"workload.batch": draw(st.sampled_from([1, 3, 64]))}
        rows.append(row | dict(zip(("workload.input", "workload.output"), map(draw, lengths), strict=True)))
    return hardware, said, rows


def estimated(hardware: str, said: dict[str, Any], row: dict[str, Any]) -> BatchDetail:
    figures = [
        f"{path.removeprefix('hardware.')}={value!r} {UNITS[path.rpartition('.')[2]]}".strip()
        for path, value in row.items()
        if path.startswith("hardware.")
    ]
    figures += [f"{path}={value}" for path, value in said.items() if path.startswith("model.")]
    lengths = [row[f"workload.{key}"] for key in ("batch", "input", "output")]
    return simulator.estimate(
        hardware, said["model"], *lengths, devices=said["mapping.devices"], dtype="fp16", overrides=figures
    )


@settings(max_examples=16)
@given(designs())
def test_a_point_is_what_an_estimate_says(design: tuple[str, dict[str, Any], list[dict[str, Any]]]) -> None:
    hardware, said, rows = design
    try:
        each = [estimated(hardware, said, row) for row in rows]
    except TiersimError:  # fewer devices, or too little memory
        assume(False)
    points = {path: np.array([row[path] for row in rows]) for path in rows[0]}
    found = evaluated(with_values(Scenario(), {"hardware": hardware, **said}), points)
    for place, one in enumerate(each):
        joules = np.nan if one.energy_j is None else one.energy_j
        expected = {
            "ttft_s": one.ttft_s, "tbt_s": one.tbt_s, "e2e_s": one.e2e_s, "tokens_per_s": one.tokens_per_s,
            "energy_per_token_j": joules / (one.batch * one.output), "power_w": joules / one.e2e_s,
            "needed_bytes": one.footprint.total.used, "capacity_bytes": one.footprint.total.capacity,
        }  # fmt: skip
        for name, value in expected.items():
            assert found[name][place] == pytest.approx(value, rel=1e-8, nan_ok=True), name
        assert found["bound_by"][place] == one.bound_by["tbt"]
