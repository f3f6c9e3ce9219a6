from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator import data, load_model, load_system
from simulator.report.differences import machine_differences, model_differences

MACHINES = st.sampled_from(data.names("hwconfigs"))


@given(MACHINES)
def test_a_machine_does_not_differ_from_itself(name: str) -> None:
    assert all(row.alike for row in machine_differences(load_system(name), load_system(name)))


@given(MACHINES, MACHINES)
def test_to_turn_them_round_turns_values_and_ratios_round(a: str, b: str) -> None:
    there = {row.path: row for row in machine_differences(load_system(a), load_system(b))}
    back = {row.path: row for row in machine_differences(load_system(b), load_system(a))}
    assert there.keys() == back.keys()
    for path, row in there.items():
        assert row.values == back[path].values[::-1]
        if row.ratio:
            assert row.ratio == pytest.approx(1 / back[path].ratio)


def test_what_an_option_changes_is_what_differs() -> None:
    rows = machine_differences(
        load_system("h100-sxm"),
        load_system("h100-sxm", ["devices.gpu.tiers.hbm.bandwidth=6.7 TB/s", "links.gpu<->gpu="]),
    )
    changed = {row.path: row for row in rows if not row.alike}
    assert changed.keys() == {"bandwidth of one", "devices.gpu.tiers.hbm.bandwidth", "links.gpu<->gpu.bandwidth"}
    assert changed["devices.gpu.tiers.hbm.bandwidth"].ratio == pytest.approx(2)
    assert changed["links.gpu<->gpu.bandwidth"].shown() == ("450 GB/s", "")


def test_models_are_told_apart_by_what_they_come_to() -> None:
    rows = {row.path: row for row in model_differences(load_model("llama-3-8b"), load_model("llama-3-70b"))}
    assert rows["parameters"].ratio == pytest.approx(70_553_706_496 / 8_030_261_248)
    assert rows["KV cache a token"].shown() == ("131.1 kB", "327.7 kB")
    assert rows["vocab"].alike
