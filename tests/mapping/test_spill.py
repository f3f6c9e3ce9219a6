"""A model larger than main memory runs from two tiers: all its bytes lie somewhere, and those in the slow one cost."""

from __future__ import annotations

import pytest

import simulator
from simulator.errors import CapacityError, ConfigError


def test_what_fits_is_as_without() -> None:
    plain, spilled = (
        simulator.estimate("sn40l-node", "llama-2-7b", 1, 256, 16, spill=spill) for spill in (False, True)
    )
    assert spilled.e2e_s == pytest.approx(plain.e2e_s, rel=1e-12)
    assert spilled.spill and not spilled.spill.plan.slow.addresses


def test_what_does_not_fit_lies_in_the_next_tier_and_takes_its_time() -> None:
    with pytest.raises(CapacityError):
        simulator.estimate("sn40l-node", "llama-3.1-405b", 1, 256, 16)
    answer = simulator.estimate("sn40l-node", "llama-3.1-405b", 1, 256, 16, spill=True)
    tiers = answer.as_json()["tiers"]
    held = {name: tier["weights_bytes"] for name, tier in tiers.items() if tier["weights_bytes"]}
    assert set(held) == {"socket.hbm", "socket.ddr"}
    assert all(tiers[name]["weights_bytes"] + tiers[name]["kv_bytes"] <= tiers[name]["capacity_bytes"] for name in held)
    assert answer.bound_by["tbt"].startswith("socket.ddr")
    ddr = answer.target.system["socket.ddr"]
    read = float(answer.decode.demand()[ddr])
    assert read == pytest.approx(held["socket.ddr"] / 8, rel=0.02)  # each socket reads its share of them each step
    assert answer.tbt_s > read / 200e9


def test_only_an_engine_that_reads_two_tiers_spills() -> None:
    with pytest.raises(ConfigError, match="reads two tiers"):
        simulator.estimate("dgx-h100", "llama-2-7b", spill=True)
    with pytest.raises(ConfigError, match="tensor parallel"):
        simulator.estimate("sn40l-node", "llama-2-7b", 2, spill=True, data=2)
