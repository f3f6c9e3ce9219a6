"""A cache of routed experts in a plan: bytes on the link are those of experts that miss, and the ends are known."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.core import Plan, closed_form
from simulator.core.events import events
from simulator.errors import ConfigError
from simulator.hardware import load_system
from simulator.mapping.deployment import Deployment, resolve
from simulator.mapping.form import MappingForm
from simulator.mapping.passes import Passes
from simulator.mapping.placement.auto import placement_of
from simulator.mapping.placement.layout import weights_of
from simulator.mapping.placement.placed import Placed
from simulator.workload import load_model

INPUT, OUTPUT, LAYERS = 16, 5, 4
LINK = "host.dram->gpu.vram"


@cache
def deployed(rule: tuple[tuple[str, Any], ...] | None, model: str = "mixtral-8x7b", **keys: Any) -> Deployment:
    rules = () if rule is None else (dict(rule),)
    form = MappingForm.model_validate({"placement": rules, "runtime": "ideal", **keys})
    return resolve(form, load_system("rtx4090-gen4"), load_model(model, [f"layers={LAYERS}"]))


def cached(model: str = "mixtral-8x7b", runtime: str = "ideal", home: str = "host.dram", **keys: Any) -> Deployment:
    form = {"of": "experts", "in": home, "cache": keys}
    mapping = MappingForm.model_validate({"placement": [form], "runtime": runtime})
    return resolve(mapping, load_system("rtx4090-gen4"), load_model(model, [f"layers={LAYERS}"]))


def passes(of: Deployment, batch: int = 1) -> Passes:
    return of.passes(batch, INPUT, OUTPUT)


def placed(of: Deployment, batch: int = 1) -> Placed:
    return placement_of(of, batch, INPUT, OUTPUT)


def crossed(plan: Plan, link: str = LINK) -> Any:
    return sum(units for resource, units in plan.demand().items() if resource.name == link)


def steps(of: Deployment, batch: int = 1) -> Plan:
    return passes(of, batch).step(INPUT + np.arange(OUTPUT - 1, dtype=float))


@given(
    experts=st.integers(0, 8),
    policy=st.sampled_from(["lru", "lfu", "belady", "popularity"]),
    prefetch=st.sampled_from([None, 0.0, 0.5, 1.0]),
    batch=st.integers(1, 3),
)
@settings(max_examples=12, deadline=None)
def test_bytes_over_the_link_are_those_of_the_experts_that_are_copied(
    experts: int, policy: str, prefetch: float | None, batch: int
) -> None:
    of = cached(experts=experts, policy=policy, prefetch=prefetch, routing="zipf")
    hits = placed(of, batch).hits(batch, INPUT, OUTPUT)
    assert hits
    size = weights_of(of.model, 1)["experts", 0] / 8
    copied = (hits.late + hits.ahead).sum(axis=1) * size
    assert crossed(passes(of, batch).first) == pytest.approx(copied[0], rel=1e-12)
    assert crossed(steps(of, batch)) == pytest.approx(copied[1:], rel=1e-12)
    assert prefetch is not None or np.array_equal(hits.late, hits.missed)


def test_a_cache_of_all_experts_is_as_fast_as_experts_in_main_memory() -> None:
    everything, there = cached(experts=8), deployed(None)
    assert not np.any(crossed(passes(everything).first)) and not np.any(crossed(steps(everything)))
    assert closed_form(steps(everything)).time == pytest.approx(closed_form(steps(there)).time, rel=1e-12)
    held, plain = (of.footprint(1, INPUT, OUTPUT).tiers["gpu.vram"].used for of in (everything, there))
    assert held == pytest.approx(plain, rel=1e-12)


def test_without_room_a_step_copies_the_experts_that_it_would_read_over_the_link() -> None:
    read = deployed((("of", "experts"), ("in", "host.dram"), ("use", "read")))
    assert crossed(steps(cached(experts=0))) == pytest.approx(crossed(steps(read)), rel=1e-12)


def test_without_room_and_with_all_experts_chosen_it_is_a_copy_of_whole_layers_in_turn() -> None:
    """Where nothing runs ahead and each expert is chosen, experts are copied before or in the middle of a layer."""
    rule = {"of": "experts", "in": "host.dram"}
    plans = []
    for more in ({"use": "copy"}, {"cache": {"experts": 0}}):
        form = MappingForm.model_validate({"placement": [{**rule, **more}], "runtime": "accelerate"})
        of = resolve(form, load_system("rtx4090-gen4"), load_model("mixtral-8x7b", [f"layers={LAYERS}"]))
        plans.append(of.passes(64, 64, 2).first)
    whole, chosen = plans
    assert crossed(chosen) == pytest.approx(crossed(whole), rel=1e-12)
    latency = LAYERS * 7 * 10e-6  # each expert is a copy of its own
    assert 0 <= closed_form(chosen).time - closed_form(whole).time <= latency


@pytest.mark.parametrize("policy", ["lru", "popularity", "belady"])
def test_more_room_takes_no_longer(policy: str) -> None:
    times = [np.sum(closed_form(steps(cached(experts=n, policy=policy))).time) for n in (0, 2, 4, 8)]
    assert times == sorted(times, reverse=True)
    assert times[0] > 3 * times[-1]


def test_what_is_foretold_is_copied_beside_compute() -> None:
    blind, sure = (cached(experts=2, prefetch=share) for share in (None, 1.0))
    assert np.all(crossed(steps(blind)) == crossed(steps(sure)))
    assert np.all(closed_form(steps(sure)).time < closed_form(steps(blind)).time)


def test_experts_that_swap_places_cross_the_link_both_ways_and_lie_in_one_tier_alone() -> None:
    kept, swapped = cached(experts=2), cached(experts=2, inclusive=False)
    back = "gpu.vram->host.dram"
    assert np.array_equal(crossed(steps(kept)), crossed(steps(swapped)))
    assert not np.any(crossed(steps(kept), back))
    assert np.array_equal(crossed(steps(swapped), back), crossed(steps(swapped))), "what comes takes the place of one"
    tiers, others = (of.footprint(1, INPUT, OUTPUT).tiers for of in (swapped, kept))
    size = weights_of(kept.model, 1)["experts", 0] / 8
    assert others["host.dram"].weights - tiers["host.dram"].weights == pytest.approx(LAYERS * 2 * size, rel=1e-9)


@pytest.mark.parametrize("runtime", ["ideal", "accelerate"])
def test_events_take_as_long_as_the_closed_form_where_experts_are_copied_when_chosen(runtime: str) -> None:
    of = cached(experts=2, runtime=runtime)
    for plan in (passes(of).first, passes(of).step(float(INPUT))):
        timing = closed_form(plan)
        assert timing.exact
        assert events(plan).time == pytest.approx(float(timing.time), rel=1e-9)


def test_events_take_no_less_than_the_closed_form_where_some_are_copied_ahead() -> None:
    plan = passes(cached(experts=2, prefetch=0.7)).step(float(INPUT))
    bound = float(closed_form(plan).time)
    assert bound * (1 - 1e-9) <= events(plan).time <= 1.1 * bound


def test_a_mean_step_copies_the_mean_of_all_steps() -> None:
    of = cached(experts=3)
    assert crossed(passes(of).step(float(INPUT + 1.5))) == pytest.approx(np.mean(crossed(steps(of))), rel=1e-12)


@pytest.mark.parametrize(("keys", "experts"), [({"experts": 3}, 12), ({"amount": "25 %"}, 8), ({"amount": "1 GB"}, 2)])
def test_a_cache_fills_whole_experts_and_two_more_are_on_their_way(keys: dict[str, Any], experts: int) -> None:
    of = cached(**keys)
    size = weights_of(of.model, 1)["experts", 0] / 8
    tiers, plain = (each.footprint(1, INPUT, OUTPUT).tiers for each in (of, deployed(None)))
    rest = plain["gpu.vram"].weights - LAYERS * 8 * size
    assert tiers["gpu.vram"].weights - rest == pytest.approx((experts + 2) * size, rel=1e-9)
    assert tiers["host.dram"].weights == pytest.approx(LAYERS * 8 * size, rel=1e-12)


def test_shared_experts_stay_in_main_memory_and_flash_is_a_home_like_any_other() -> None:
    of = cached("deepseek-v2-lite", home="host.flash", experts=0)
    size = weights_of(of.model, 1)["experts", 3] / 64
    moe = sum(layer.moe for layer in of.model.decoder)
    assert crossed(steps(of), "host.flash->host.dram") == pytest.approx(np.full(OUTPUT - 1, moe * 6 * size), rel=1e-9)


def test_a_recording_is_replayed(tmp_path: Path) -> None:
    file = tmp_path / "routing.npz"
    np.savez(file, choices=np.tile([[[0, 1], [2, 3]], [[4, 5], [6, 7]]], (1, 20, 1)), experts=8)
    few, enough = (placed(cached(experts=n, routing=str(file))).hits(1, INPUT, OUTPUT) for n in (2, 4))
    assert few and enough
    assert np.all(few.missed[1:] == 2), "one pair of experts follows upon the other, and there is room for one"
    assert not enough.missed.any()
    assert enough.needed[0].tolist() == [4] * LAYERS


@pytest.mark.parametrize(
    ("rule", "path"),
    [
        ({"of": "ffn"}, ("of",)),
        ({"phase": "decode"}, ("phase",)),
        ({"amount": "50 %"}, ("amount",)),
        ({"use": "read"}, ("use",)),
        ({"by": "host.cpu"}, ("by",)),
        ({"in": "gpu.vram"}, ("in",)),
        ({"in": {"host.dram": 0.5, "host.flash": 0.5}}, ("in",)),
        ({"cache": {"experts": 2, "in": "host.dram"}}, ("cache", "in")),
        ({"cache": {"experts": 2, "routing": {"kind": "zipf", "experts": 4, "top_k": 2}}}, ("cache", "routing")),
    ],
)
def test_what_does_not_go_with_a_cache_is_told_by_its_key(rule: dict[str, Any], path: tuple[str, ...]) -> None:
    whole = {"of": "experts", "in": "host.dram", "cache": {"experts": 2}, **rule}
    with pytest.raises(ConfigError) as error:
        form = MappingForm.model_validate({"placement": [whole]})
        resolve(form, load_system("rtx4090-gen4"), load_model("mixtral-8x7b", [f"layers={LAYERS}"]))
    assert tuple(error.value.path or ()) == ("placement", 0, *path)


def test_several_batches_in_turn_have_no_cache() -> None:
    rule = {"of": "experts", "in": "host.dram", "cache": {"experts": 2}}
    with pytest.raises(ConfigError, match="one batch at a time"):
        form = MappingForm.model_validate({"placement": [rule], "block": {"batches": 2}})
        resolve(form, load_system("rtx4090-gen4"), load_model("mixtral-8x7b", [f"layers={LAYERS}"]))
