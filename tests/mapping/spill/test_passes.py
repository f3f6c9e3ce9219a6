"""A model larger than main memory runs from two tiers: all its bytes lie somewhere, and those in the slow one cost."""

from __future__ import annotations

import pytest

import simulator
from simulator.errors import CapacityError, ConfigError
from simulator.hardware import load_system
from simulator.mapping.deployment import resolve
from simulator.mapping.form import MappingForm
from simulator.mapping.spill.memory_plan import ORDERS
from simulator.workload import load_model


def test_what_fits_is_as_without() -> None:
    plain, spilled = (
        simulator.estimate("sn40l-node", "llama-2-7b", 1, 256, 16, spill=spill) for spill in (None, "ddr")
    )
    assert (spilled.ttft_s, spilled.e2e_s, spilled.footprint.total) == (
        plain.ttft_s, plain.e2e_s, plain.footprint.total
    )  # fmt: skip
    assert spilled.footprint.spill is None
    most = simulator.estimate("sn40l-node", "llama-3-8b", 1, 2000, 100).max_batch
    full, same = (
        simulator.estimate("sn40l-node", "llama-3-8b", most, 2000, 100, spill=spill) for spill in (None, "ddr")
    )
    assert full.e2e_s == same.e2e_s


def test_what_does_not_fit_lies_in_the_next_tier_and_takes_its_time() -> None:
    with pytest.raises(CapacityError):
        simulator.estimate("sn40l-node", "llama-3.1-405b", 1, 256, 16)
    answer = simulator.estimate("sn40l-node", "llama-3.1-405b", 1, 256, 16, spill="ddr")
    tiers = answer.as_json()["tiers"]
    held = {name: tier["weights_bytes"] for name, tier in tiers.items() if tier["weights_bytes"]}
    assert set(held) == {"socket.hbm", "socket.ddr"}
    assert all(tiers[name]["weights_bytes"] + tiers[name]["kv_bytes"] <= tiers[name]["capacity_bytes"] for name in held)
    assert answer.bound_by["tbt"].startswith("socket.ddr")
    ddr = answer.engine.system["socket.ddr"]
    read = float(answer.parts["decode"].plan.demand()[ddr])
    assert read == pytest.approx(held["socket.ddr"] / 8, rel=0.02)  # each socket reads its share of them each step
    assert answer.tbt_s > read / 200e9


def test_only_an_engine_that_reads_two_tiers_spills() -> None:
    with pytest.raises(ConfigError, match="reads two tiers"):
        simulator.estimate("dgx-h100", "llama-2-7b", spill="ddr")
    with pytest.raises(ConfigError, match="spill: found 'ddr' with stages, expected no stages"):
        simulator.estimate("sn40l-node", "llama-2-7b", 2, spill="ddr", pipeline=2)


def test_activations_are_those_of_one_prompt_at_a_time() -> None:
    """As where nothing spills: many prompts keep about what one does, as far as both tiers are packed alike."""
    system = load_system("sn40l-node", ["devices.socket.tiers.hbm.capacity=1 GB"])
    of = resolve(MappingForm(spill="ddr"), system, load_model("llama-2-7b"))
    one, many = (of.footprint(batch, 1500, 2) for batch in (1, 16))
    assert one.spill
    assert many.spill
    assert one.total.activations <= many.total.activations <= 2 * one.total.activations


def test_each_replica_spills_what_it_would_alone() -> None:
    small = ["devices.socket.tiers.hbm.capacity=3 GB"]
    both = simulator.estimate("sn40l-node", "llama-2-7b", 2, 256, 16, spill="ddr", data=2, overrides=small)
    alone = simulator.estimate("sn40l-node", "llama-2-7b", 1, 256, 16, spill="ddr", devices=4, overrides=small)
    assert both.footprint.spill
    assert both.e2e_s == pytest.approx(alone.e2e_s, rel=1e-9)
    assert {tier: held.used for tier, held in both.footprint.tiers.items()} == {
        tier: 2 * held.used for tier, held in alone.footprint.tiers.items()
    }


def test_a_run_that_fits_says_how_much_more_fits_in_both_tiers() -> None:
    plain, spilled = (
        simulator.estimate("sn40l-node", "llama-2-7b", 1, 256, 16, spill=spill) for spill in (None, "ddr")
    )
    assert spilled.max_batch > plain.max_batch > 1
    assert spilled.max_context == plain.max_context == 4096


@pytest.mark.parametrize(("model", "batch", "input"), [("llama-3.1-405b", 1, 256), ("llama-3-70b", 256, 7000)])
def test_the_default_order_is_the_fastest_and_each_has_a_name(model: str, batch: int, input: int) -> None:
    runs = {
        order: simulator.estimate("sn40l-node", model, batch, input, 16, spill="ddr", spill_order=order)
        for order in (None, *ORDERS)
    }
    seconds = {order: run.e2e_s for order, run in runs.items()}
    assert seconds[None] == min(seconds.values()) < max(seconds.values())
    assert {order: run.footprint.spill and run.footprint.spill.order for order, run in runs.items() if order} == {
        o: o for o in ORDERS
    }
    assert runs[None].provenance.config["mapping"]["spill_order"] in ORDERS


@pytest.mark.slow
def test_weights_spill_last_or_what_is_read_least() -> None:
    """Of a model whose tokens touch few experts, experts are read least a byte; the rule of the paper keeps them."""
    small = ["devices.socket.tiers.hbm.capacity=11 GB"]
    held = {
        order: simulator.estimate(
            "sn40l-node", "mixtral-8x7b", 2, 4000, 32, spill="ddr", spill_order=order, overrides=small
        ).as_json()["tiers"]["socket.ddr"]
        for order in ORDERS
    }
    assert held["weights_last"]["kv_bytes"] > 0
    assert held["traffic_per_byte"]["kv_bytes"] == 0 < held["traffic_per_byte"]["weights_bytes"]


def test_an_unknown_order_is_told() -> None:
    with pytest.raises(ConfigError, match="did you mean 'weights_last'"):
        simulator.estimate("sn40l-node", "llama-2-7b", spill="ddr", spill_order="weight_last")


def test_an_order_of_what_does_not_spill_is_refused() -> None:
    with pytest.raises(ConfigError, match="spill_order: found 'weights_last', expected a run that spills"):
        simulator.estimate("sn40l-node", "llama-2-7b", spill_order="weights_last")
