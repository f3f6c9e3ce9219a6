"""Crossings of designs, checked by evaluating either side."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import simulator
from simulator.errors import ConfigError
from simulator.study.problem import read_problem

HBM = "hardware.devices.gpu.tiers.hbm.bandwidth"

PAYS = """\
base:
  model: llama-3-8b
  workload: {phase: decode, input: 1024, output: 128, batch: 8}
  mapping: {devices: 1}
axes:
  hardware: {values: [dgx-a100, dgx-h100], name: machine}
  hardware.devices.gpu.tiers.hbm.bandwidth: {geomspace: [0.5 TB/s, 8 TB/s, 5], when: "machine == 'dgx-h100'", name: hbm}
objectives: {tokens_per_s: max}
"""
STEPS = """\
base:
  hardware: {extends: duplex-node, devices.xpu.engines.pim.pim.banks: 2, devices.xpu.engines.pim.pim.modules: 16}
  model: mixtral-8x7b
  workload: {phase: decode, input: 2048, output: 512}
axes:
  mapping.dispatch: {values: [xpu_only, pim_only], name: dispatch}
  workload.batch: {values: [1, 8, 32, 64, 128], name: batch}
objectives: {tokens_per_s: max}
"""


def test_on_either_side_of_a_crossing_another_design_is_better(sweep_file) -> None:
    file = sweep_file(PAYS)
    found = simulator.crossover(file, "hbm", ("machine", "dgx-a100", "dgx-h100"))
    ((low, high, below, above),) = found.crossings.itertuples(index=False)
    assert low == high
    assert 5e11 < low < 8e12
    assert (below, above) == ("machine dgx-a100", "machine dgx-h100")
    machines = np.array(["dgx-a100", "dgx-h100"], dtype=object)
    for by, better in ((1 - 1e-5, 0), (1 + 1e-5, 1)):
        values = read_problem(file)({"hardware": machines, HBM: np.array([np.nan, low * by])})["tokens_per_s"]
        assert values.argmax() == better
    assert found.curve["better"].tolist()[0] == "machine dgx-a100"
    assert found.curve["hbm"].tolist() == pytest.approx([5e11, 1e12, 2e12, 4e12, 8e12])
    turned = simulator.crossover(file, "hbm", ("machine", "dgx-h100", "dgx-a100"), "tbt_s")
    assert turned.way == "min"
    assert turned.crossings["low"][0] == pytest.approx(low, rel=1e-5)
    assert turned.crossings["wins_below"][0] == "machine dgx-a100"


def test_what_is_counted_is_compared_step_by_step(sweep_file) -> None:
    file = sweep_file(STEPS)
    found = simulator.crossover(file, "batch", ("dispatch", "pim_only", "xpu_only"))
    ((low, high, below, above),) = found.crossings.itertuples(index=False)
    assert (low, high, below, above) == (32, 64, "dispatch pim_only", "dispatch xpu_only")
    dispatch = np.array(["pim_only", "xpu_only"], dtype=object)
    for batch, better in ((low, 0), (high, 1)):
        points = {"mapping.dispatch": dispatch, "workload.batch": np.array([batch, batch])}
        assert read_problem(file)(points)["tokens_per_s"].argmax() == better


def test_no_crossing_is_an_answer(designs: Path) -> None:
    found = simulator.crossover(designs, "hbm", ("devices", 1, 2), at={"batch": 64})
    assert len(found.crossings) == 0
    assert set(found.curve["better"]) == {"devices 2"}
    same = simulator.crossover(designs, "hbm", ("peak", "400 TFLOP/s", "1000 TFLOP/s"), at={"batch": 1})
    assert set(same.curve["better"]) == {"neither"}


@pytest.mark.parametrize(
    ("along", "between", "options", "message"),
    [
        ("hbn", ("devices", 1, 2), {}, "--along: no such axis: found 'hbn', .*did you mean 'hbm'"),
        ("hbm", ("device", 1, 2), {}, "--between: no such axis: found 'device', .*did you mean 'devices'"),
        ("hbm", ("devices", 1, 9), {}, "--between.devices: found 9, expected a whole number from 1 to 4"),
        ("hbm", ("devices", 2, 2), {}, "--between.devices: found 2 and 2, expected two values"),
        ("hbm", ("hbm", "1 TB/s", "2 TB/s"), {}, "--between.hbm: .* expected two values of an axis other than --along"),
        ("hbm", ("devices", 1, 2), {"at": {"hbm": 2e12}}, "--at.hbm: this axis is not of both designs"),
        (
            "hbm",
            ("devices", 1, 2),
            {"metric": "tkens_per_s"},
            "--metric: no such metric: .*did you mean 'tokens_per_s'",
        ),
    ],
)
def test_mistakes(designs: Path, along: str, between, options, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        simulator.crossover(designs, along, between, **options)


def test_an_axis_of_texts_and_designs_that_do_not_work(families: Path, sweep_file) -> None:
    with pytest.raises(ConfigError, match=r"--along.machine: found texts, expected an axis of two numbers or more"):
        simulator.crossover(families, "machine", ("batch", 1, 2))
    with pytest.raises(ConfigError, match=r"--at.dram: does not vary in this design"):
        simulator.crossover(families, "batch", ("machine", "dgx-a100", "dgx-h100"), at={"dram": 2e11})
    with pytest.raises(ConfigError, match=r"--along.dram: does not vary"):
        simulator.crossover(families, "dram", ("machine", "dgx-a100", "dgx-h100"))
    assert len(simulator.crossover(families, "dram", ("machine", "m1-max", "dgx-h100")).crossings) == 0
