"""What fits, by law, whatever the mapping."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from simulator.errors import CapacityError, ConfigError
from simulator.hardware import System, load_system
from simulator.mapping.deployment import Deployment, resolve
from simulator.mapping.form import Draft, MappingForm
from simulator.workload import Model, load_model

DRAFT = Draft(model="llama-3-8b", acceptance=0.5)
MAPPINGS: list[tuple[str, str, dict[str, Any]]] = [
    ("dgx-h100", "llama-3-70b", {}),
    ("dgx-h100", "mixtral-8x7b", {"data": 2, "kv": "fp8"}),
    ("dgx-h100", "llama-3-70b", {"pipeline": 4, "data": 2}),
    ("dgx-h100", "mistral-7b", {"pipeline": 2, "dtype": "fp8"}),
    ("dgx-h100", "llama-3-70b", {"draft": DRAFT, "data": 2}),
    ("duplex-node", "mixtral-8x7b", {"dispatch": "oracle", "together": True}),
    ("duplex-hetero", "mixtral-8x7b", {"engines": ("gpu.gpu", "pim.pim"), "dispatch": "static_by_layer"}),
    ("sn40l-node", "llama-3-70b", {"memory": "ddr"}),
]


@cache
def machine(name: str) -> System:
    return load_system(name)


@cache
def model(name: str) -> Model:
    return load_model(name)


@cache
def deployed(place: int) -> Deployment:
    hardware, name, mapping = MAPPINGS[place]
    return resolve(MappingForm(**mapping), machine(hardware), model(name))


mappings = st.integers(0, len(MAPPINGS) - 1).map(deployed)
lengths = st.tuples(st.integers(1, 2000), st.integers(1, 1000))


@settings(max_examples=15)
@given(mappings, lengths)
def test_the_largest_batch_and_context_fit_and_one_more_does_not(of: Deployment, tokens: tuple[int, int]) -> None:
    input, output = tokens
    copies = of.parallel.data
    most = of.footprint(copies, input, output).max_batch()
    assert most % copies == 0
    assert not of.footprint(most + copies, input, output).fits
    assume(most)
    full = of.footprint(most, input, output)
    full.check()
    assert full.max_batch() == most
    with pytest.raises(CapacityError):
        of.footprint(most + copies, input, output).check()
    longest = full.max_context()
    assert full.at(most, longest).fits
    assert input + output <= longest <= min(each.max_context for each in of.models)
    assert longest == min(each.max_context for each in of.models) or not full.at(most, longest + 1).fits


@settings(max_examples=20)
@given(mappings, st.integers(1, 64), lengths, st.integers(0, 64), st.integers(0, 500))
def test_more_and_longer_sequences_keep_more(
    of: Deployment, batch: int, tokens: tuple[int, int], more: int, longer: int
) -> None:
    copies, (input, output) = of.parallel.data, tokens
    small = of.footprint(batch * copies, input, output).total
    large = of.footprint((batch + more) * copies, input + longer, output).total
    assert large.weights == pytest.approx(small.weights, rel=0.2)  # stages have other layers, and a tied table
    for kind in ("kv", "activations"):
        assert getattr(small, kind) <= getattr(large, kind) * (1 + 1e-12), kind
    assert small.capacity == large.capacity


@settings(max_examples=20)
@given(mappings, st.integers(1, 64), lengths)
def test_tiers_and_stages_add_up_to_the_whole(of: Deployment, batch: int, tokens: tuple[int, int]) -> None:
    footprint = of.footprint(batch * of.parallel.data, *tokens)
    total = footprint.total
    for kind in ("capacity", "weights", "kv", "activations", "used"):
        parts = sum(getattr(held, kind) for held in footprint.tiers.values())
        assert parts == pytest.approx(getattr(total, kind), rel=1e-12), kind
    for tier, held in footprint.tiers.items():
        assert held.capacity <= of.system.capacity(tier) * (1 + 1e-12)
    assert bool(footprint.fits) == all(place.fits for place in footprint.places)


@settings(max_examples=20)
@given(mappings, st.lists(st.tuples(st.integers(1, 4000), st.integers(1, 3000), st.integers(1, 999)), min_size=1))
def test_many_at_once_are_each_as_alone(of: Deployment, points: list[tuple[int, int, int]]) -> None:
    assume(of.parallel.pipeline == 1)
    batch, input, output = np.array(points, dtype=float).T
    together = of.footprint(batch * of.parallel.data, input, output)
    for place, (b, i, o) in enumerate(points):
        alone = of.footprint(b * of.parallel.data, i, o)
        assert np.broadcast_to(together.total.used, len(points))[place] == pytest.approx(alone.total.used, rel=1e-12)
        assert bool(np.broadcast_to(together.fits, len(points))[place]) == bool(alone.fits)


@settings(max_examples=10)
@given(st.sampled_from(["llama-3-70b", "mixtral-8x7b", "phi-2"]), st.sampled_from([2, 4, 8]), lengths)
def test_each_replica_keeps_what_it_would_alone(name: str, data: int, tokens: tuple[int, int]) -> None:
    whole, alone = machine("dgx-h100"), machine("dgx-h100").with_devices(8 // data)
    many = resolve(MappingForm(data=data), whole, model(name)).footprint(4 * data, *tokens)
    one = resolve(MappingForm(), alone, model(name)).footprint(4, *tokens)
    assert many.total.used == pytest.approx(data * one.total.used, rel=1e-12)
    assert (many.fits, many.max_batch(), many.max_context()) == (one.fits, data * one.max_batch(), one.max_context())
    with pytest.raises(ConfigError, match=f"^workload.batch: found 1, expected a multiple of the {data} replicas"):
        resolve(MappingForm(data=data), whole, model(name)).footprint(1, *tokens)


@settings(max_examples=4)
@given(st.permutations(["xpu.xpu", "xpu.pim"]), st.integers(1, 99))
def test_the_order_of_engines_changes_nothing(engines: list[str], batch: int) -> None:
    form = MappingForm(engines=tuple(engines), dispatch="oracle")
    of = resolve(form, machine("duplex-node"), model("mixtral-8x7b"))
    assert of.footprint(batch, 512, 128).total == deployed(5).footprint(batch, 512, 128).total


def test_what_two_devices_keep_apart_is_all_that_one_keeps() -> None:
    apart = deployed(6).footprint(16, 512, 128)
    with_experts, others = apart.places
    assert (with_experts.tier, others.tier) == ("pim.hbm", "gpu.hbm")
    assert with_experts.weights > 20 * others.weights > 0
    assert (with_experts.kv > 0, others.kv) == (True, 0)
    together = deployed(5).footprint(16, 512, 128).total
    assert apart.total.weights == pytest.approx(together.weights, rel=1e-3)  # fewer copies of norms and routers
