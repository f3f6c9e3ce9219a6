"""What fits, by law: one footprint behind estimates, sweeps and serving, and the largest batch is its edge."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import simulator
from simulator.errors import CapacityError, TiersimError
from simulator.hardware import load_system
from simulator.mapping.footprint.kept import largest
from simulator.mapping.footprint.room import most_sequences
from simulator.scenario.batch_detail import BatchDetail
from simulator.scenario.cases import with_values
from simulator.scenario.evaluator import evaluated
from simulator.scenario.form import Scenario
from simulator.workload import load_model
from tests.deployed import deployment

LENGTHS = st.tuples(st.sampled_from([1, 100, 1500]), st.sampled_from([1, 2, 40, 500]))
MODELS = st.sampled_from(["llama-3.1-8b", "mixtral-8x7b", "phi-2", "llama-2-7b", "mistral-7b", "llama-3.1-70b"])
MACHINES = st.sampled_from(["dgx-h100", "dgx-a100", "m1-max", "sn40l-node", "duplex-h100"])


@given(st.integers(0, 10**6), st.none() | st.integers(1, 10**6), st.integers(1, 10**6))
def test_the_largest_number_fits_and_one_more_does_not(edge: int, most: int | None, near: int) -> None:
    tried = []

    def fits(number: int) -> bool:
        tried.append(number)
        return number <= edge

    assert largest(fits, most, near) == (edge if most is None else min(edge, most))
    assert len(tried) < 64
    assert all(number >= 1 and (most is None or number <= most) for number in tried)


@settings(max_examples=6)
@given(MACHINES, MODELS, LENGTHS, st.sampled_from([1, 2, 8]))
def test_one_footprint_decides_what_fits_in_an_estimate_a_sweep_and_serving(
    hardware: str, model: str, lengths: tuple[int, int], devices: int
) -> None:
    (input, output), options = lengths, {"devices": devices, "dtype": "fp16"}
    try:
        one = simulator.estimate(hardware, model, 1, input, output, **options)
    except TiersimError:  # not even one fits, or fewer devices
        assume(False)
    most = one.max_batch
    assert simulator.estimate(hardware, model, most, input, output, **options).footprint.fits
    with pytest.raises(CapacityError):
        simulator.estimate(hardware, model, most + 1, input, output, **options)

    said = {"hardware": hardware, "model": model, "mapping.devices": devices, "mapping.dtype": "fp16"}
    asked = with_values(Scenario(), {**said, "workload.input": input, "workload.output": output})
    found = evaluated(asked, {"workload.batch": np.array([1, most, most + 1])})
    assert [bool(error) for error in found["error"]] == [False, False, True]
    assert found["needed_bytes"][0] == pytest.approx(one.footprint.total.used, rel=1e-12)
    assert found["capacity_bytes"][0] == one.footprint.total.capacity

    system = load_system(hardware).with_devices(devices)
    if system.machine.nodes == 1:
        served = deployment(system, one.model, (one.engine.name,), experts="tensor")
        assert most_sequences(served, input + output, input, 10 * most) == most


@pytest.mark.slow
@settings(max_examples=3)
@given(
    st.sampled_from(
        [("llama-2-7b", "2 GB", "4 GB"), ("llama-3-8b", "3 GB", "10 GB"), ("mixtral-8x7b", "9 GB", "7 GB")]
    ),
    st.sampled_from([(64, 1), (64, 30), (700, 8)]),
    st.sampled_from([None, "weights_last", "traffic_per_byte"]),
)
def test_the_largest_spilled_batch_is_of_both_tiers(
    sizes: tuple[str, str, str], lengths: tuple[int, int], order: str | None
) -> None:
    (model, fast, slow), (input, output) = sizes, lengths
    overrides = [f"devices.socket.tiers.hbm.capacity={fast}", f"devices.socket.tiers.ddr.capacity={slow}"]
    options: dict[str, Any] = {"overrides": overrides, "spill": "ddr", "spill_order": order}

    def run(batch: int) -> BatchDetail:
        return simulator.estimate("sn40l-node", model, batch, input, output, **options)

    most = run(1).max_batch
    assert run(most).footprint.fits
    with pytest.raises(CapacityError):
        run(most + 1)
    longest = run(1).max_context
    one = simulator.estimate("sn40l-node", model, 1, longest - output, output, **options)
    assert one.max_context == longest
    if longest < load_model(model).max_context:
        with pytest.raises(CapacityError):
            simulator.estimate("sn40l-node", model, 1, longest - output + 1, output, **options)
