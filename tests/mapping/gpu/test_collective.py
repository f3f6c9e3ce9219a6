"""Collectives grow with their bytes, and never send faster than the link."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.hardware import load_system
from simulator.mapping.gpu.chip import chip_of
from simulator.mapping.gpu.collective import COLLECTIVE, OPS, CollectiveLibrary

CHIP = chip_of(load_system("h100-sxm"))


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(OPS), st.floats(1, 1e10), st.floats(1, 100), st.integers(2, 8))
def test_more_bytes_take_no_less_and_none_beat_the_link(op: str, size: float, more: float, devices: int) -> None:
    shape = {"op": op, "bytes": np.array([size, size * more]), "n_devices": devices}
    small, large = COLLECTIVE.seconds(shape, CHIP, CollectiveLibrary())
    assert large >= small >= CollectiveLibrary().t0
    _, least = COLLECTIVE.work(shape)
    assert np.all(np.array([small, large]) >= least / CHIP.link)


def test_small_ones_are_bound_by_phases_and_large_ones_by_the_link() -> None:
    parts = COLLECTIVE.parts(
        {"op": "all_reduce", "bytes": np.array([1e3, 1e9]), "n_devices": 8}, CHIP, CollectiveLibrary()
    )
    assert parts["phases"][0] > parts["link"][0]
    assert parts["link"][1] > parts["phases"][1]


def test_one_device_has_nobody_to_send_to() -> None:
    alone = COLLECTIVE.parts({"op": "all_reduce", "bytes": 1e9, "n_devices": 1}, CHIP, CollectiveLibrary())
    assert alone["link"] == alone["phases"] == alone["network"] == 0


def test_a_second_node_adds_what_goes_between() -> None:
    chip = replace(CHIP, network=5e10)
    one = COLLECTIVE.seconds({"op": "all_reduce", "bytes": 1e9, "n_devices": 8}, chip, CollectiveLibrary())
    shape = {"op": "all_reduce", "bytes": 1e9, "n_devices": 16}
    two = COLLECTIVE.parts(shape, chip, CollectiveLibrary())
    assert COLLECTIVE.seconds(shape, chip, CollectiveLibrary()) > one
    assert two["network"] >= 2 * (1 / 2) * 1e9 / 8 / 5e10


def test_two_nodes_without_a_network_have_no_time() -> None:
    assert np.isnan(COLLECTIVE.seconds({"op": "all_reduce", "bytes": 1e9, "n_devices": 16}, CHIP, CollectiveLibrary()))
