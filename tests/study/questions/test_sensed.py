"""Elasticities agree with finite differences of the sweep, tornado ends with direct evaluation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import simulator
from simulator.errors import ConfigError
from simulator.study.problem import read_problem

HBM = "hardware.devices.gpu.tiers.hbm.bandwidth"


def at(file: Path, **values):
    """The metrics of the design of these values, evaluated alone."""
    asked = read_problem(file)
    paths = {name: path for path, name in asked.sweep.space.aliases.items()}
    return {name: column[0] for name, column in asked({paths[k]: np.array([v]) for k, v in values.items()}).items()}


DESIGN = {"batch": 4, "devices": 2, "hbm": 3e12, "peak": 5e14}


@pytest.mark.parametrize("phase", ["decode", "prefill", "request"])
def test_elasticities_are_finite_differences_of_the_sweep(designs: Path, sweep_file, phase: str) -> None:
    file = sweep_file(designs.read_text().replace("schema: 1\n", "").replace("phase: decode", f"phase: {phase}"))
    metric = {"decode": "tbt_s", "prefill": "ttft_s", "request": "e2e_s"}[phase]
    found = simulator.sensitivity(file, metric, DESIGN, samples=0)
    rows = found.elasticity.set_index("resource")
    assert found.design[metric][0] == pytest.approx(at(file, **DESIGN)[metric], rel=1e-12)
    for name, resources in {"hbm": [n for n in rows.index if n.startswith("gpu.hbm")], "peak": ["gpu.gpu"]}.items():
        step = 1e-5
        times = [at(file, **{**DESIGN, name: DESIGN[name] * (1 + way * step)})[metric] for way in (-1, 1)]
        slope = (np.log(times[1]) - np.log(times[0])) / (2 * step)
        assert rows.loc[resources, "above"].sum() == pytest.approx(slope, abs=2e-4)
    assert rows.drop("latency")["above"].sum() - rows.loc["latency", "above"] == pytest.approx(-1)


def test_the_ends_of_a_tornado_are_designs_of_the_sweep(designs: Path) -> None:
    found = simulator.sensitivity(designs, at={"batch": 4, "devices": 2}, samples=0)
    assert found.metric == "tokens_per_s"
    design = found.design.iloc[0]
    base = {name: design[name] for name in DESIGN}
    assert (base["batch"], base["devices"], base["hbm"]) == (4, 2, pytest.approx(2e12))
    assert set(found.tornado["axis"]) == set(DESIGN)
    for row in found.tornado.itertuples():
        for end, value in ((row.low, row.at_low), (row.high, row.at_high)):
            assert value == pytest.approx(at(designs, **{**base, row.axis: end})["tokens_per_s"], rel=1e-12)
        assert row.at_base == design["tokens_per_s"]


def test_of_texts_and_of_axes_with_conditions(families: Path) -> None:
    found = simulator.sensitivity(families, at={"batch": 2}, samples=64)
    machine = found.tornado.set_index("axis").loc["machine"]
    assert (machine["low"], machine["high"]) == ("m1-max", "dgx-a100")  # of the least and of the most tokens/s
    assert machine["at_low"] == pytest.approx(
        at(families, machine="m1-max", batch=2, dram=1e11)["tokens_per_s"], rel=1e-12
    )
    assert set(found.tornado["axis"]) == {"machine", "batch", "hbm"}
    shares = found.sobol.set_index("axis")
    assert set(shares.index) == {"machine", "hbm"}  # the batch is held
    assert shares.loc["machine", "total"] > shares.loc["hbm", "total"]


def test_indices_are_those_of_the_designs_of_the_sweep(designs: Path) -> None:
    found = simulator.sensitivity(designs, samples=512)
    asked = found.problem
    points = asked.columns(0, asked.points)
    value = asked(points)["tokens_per_s"]
    for row in found.sobol.itertuples():
        path = next(path for path, name in asked.sweep.space.aliases.items() if name == row.axis)
        means = [value[points[path] == step].mean() for step in asked.sweep.axes[path].values]
        assert row.first == pytest.approx(np.var(means) / np.var(value), abs=0.05)  # all combinations are there
    assert found.sobol.equals(simulator.sensitivity(designs, samples=512).sobol)


def test_what_is_left_out_is_said(sweep_file) -> None:
    small = """\
base: {hardware: dgx-a100, model: llama-3-70b, workload: {input: 100}}
axes:
  mapping.devices: {values: [4, 1], name: devices}
  workload.batch: {values: [1, 2], name: batch}
"""
    found = simulator.sensitivity(sweep_file(small), "tbt_s", samples=16)
    assert found.sobol is None
    (note,) = found.notes
    assert "Sobol' indices are left out" in note
    assert "do not fit" in note
    assert found.tornado.set_index("axis").loc["devices", "error"]
    assert "sobol" not in found.frames()
    with pytest.raises(ConfigError, match=r"--at: the design does not work: found weights and KV caches do not fit"):
        simulator.sensitivity(sweep_file(small), "tbt_s", {"devices": 1})
    with pytest.raises(ConfigError, match=r"--metric: the sweep has no objective"):
        simulator.sensitivity(sweep_file(small))


def test_a_kind_without_a_plan_has_no_elasticities(sweep_file) -> None:
    experts = """\
base:
  hardware: sn40l-node
  model: llama-2-7b
  workload: {kind: expert_models, batch: 8, input: 128, output: 4, experts: 20}
  mapping: {residency: {home: socket.ddr, cache: socket.hbm}}
axes:
  hardware.devices.socket.tiers.hbm.capacity: {values: [24 GiB, 64 GiB], name: hbm}
objectives: {latency_s: min}
"""
    found = simulator.sensitivity(sweep_file(experts), samples=0)
    assert found.elasticity is None
    (note,) = found.notes
    assert note.startswith("elasticities are left out: workload.kind: found 'expert_models', expected a kind whose")
    assert found.tornado["axis"].tolist() == ["hbm"]


def test_mistakes(designs: Path) -> None:
    with pytest.raises(ConfigError, match=r"--metric: no such metric: found 'tbt', .*did you mean 'tbt_s'"):
        simulator.sensitivity(designs, "tbt")
    with pytest.raises(ConfigError, match=r"--metric: no such metric: found 'bound_by'"):
        simulator.sensitivity(designs, "bound_by")
    with pytest.raises(ConfigError, match=r"samples: found 100, expected a power of two"):
        simulator.sensitivity(designs, samples=100)
