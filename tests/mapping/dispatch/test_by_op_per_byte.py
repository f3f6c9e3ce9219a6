"""Below the Op/B at which attainable rates cross, the engine of more bandwidth; above, the one of more compute."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.mapping.dispatch import Route, policy
from simulator.mapping.dispatch.policy import rates
from simulator.mapping.target import Target
from simulator.workload import decode, prefill

Engines = Callable[..., tuple[Target, ...]]
FUSED = "devices.xpu.engines.xpu.fusion=conventional"  # then a unit has the same Op/B on both engines of Duplex


def chosen(route: Route) -> dict[str, Any]:
    """The engine of each unit, by its name; an array where choices are."""
    found = {}
    for step, choice in zip(route.steps, policy("by_op_per_byte")(route), strict=True):
        options = np.array(route.options(step))
        for place, unit in enumerate(step):
            found[unit.name] = options[np.asarray(choice), place]
    return found


def test_it_crosses_where_the_peak_of_the_one_meets_the_bandwidth_of_the_other(engines: Engines, blocks: Any) -> None:
    xpu, pim = engines("duplex-node", FUSED)
    crossing = rates(pim)[0] / rates(xpu)[1]  # 106 TFLOP/s at 2.8 TB/s: 38 Op/B, between the ridges of 12 and 353
    assert crossing == pytest.approx(38, rel=0.02)
    sizes = np.arange(1.0, 200.0)
    for of in ("llama-2-7b", "mixtral-8x7b"):
        for block in blocks(of, decode(sizes, 500.0)):
            route = Route((xpu, pim), block)
            engine = chosen(route)
            for unit in (unit for step in route.steps for unit in step):
                flops, traffic = route.op_per_byte(unit, 0)
                np.testing.assert_array_equal(engine[unit.name], np.broadcast_to(flops / traffic < crossing, 199))
    projection = chosen(Route((xpu, pim), blocks("llama-2-7b", decode(sizes, 500.0))[1]))["ffn.down_proj"]
    first = sizes[np.argmin(projection)]
    assert 38 < first < 42  # about one Op/B a sequence


def test_attention_of_answers_stays_and_that_of_prompts_goes(engines: Engines, blocks: Any) -> None:
    """Op/B of decoding attention does not grow with the batch; with GQA it is that of a group of heads."""
    sizes = np.array([1.0, 64.0, 4096.0])
    for of in ("llama-2-7b", "mixtral-8x7b"):
        engine = chosen(Route(engines("duplex-node", FUSED), blocks(of, prefill(1, 2048) + decode(sizes, 3000.0))[1]))
        assert np.all(engine["attention.scores.decode"] == 1)
        assert np.all(engine["attention.scores.prefill"] == 0)


def test_what_has_no_flops_goes_where_bytes_go_fastest(engines: Engines, blocks: Any) -> None:
    embedding, layer, _ = blocks("glam-143b", decode(8, 700))
    assert chosen(Route(engines("duplex-node"), embedding)) == {"embedding": 1}
    assert chosen(Route(engines("duplex-node"), layer))["0.attention.cache"] == 1
    assert chosen(Route(engines("box"), embedding)) == {"embedding": 0}
    assert chosen(Route(engines("box", "devices.box.tiers.ddr.bandwidth=4 TB/s"), embedding)) == {"embedding": 1}


@settings(max_examples=30)
@given(st.data())
def test_it_attains_the_highest_rate_of_all(engines: Engines, blocks: Any, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(["duplex-node", "box"]))
    count = np.array(data.draw(st.lists(st.integers(1, 5000), min_size=1, max_size=4)), dtype=float)
    batch = data.draw(st.sampled_from([(), prefill(2, 64)])) + decode(count, 700)
    route = Route(engines(name)[:: data.draw(st.sampled_from([1, -1]))], blocks("mixtral-8x7b", batch)[1])
    engine = chosen(route)
    for unit in (unit for step in route.steps for unit in step):
        attained = []
        for place, target in enumerate(route.engines):
            peak, bandwidth = rates(target)
            flops, traffic = route.op_per_byte(unit, place)
            attained.append(np.broadcast_to(np.minimum(peak, flops / traffic * bandwidth), len(count)))
        taken = np.broadcast_to(engine[unit.name], len(count))
        best = np.take_along_axis(np.array(attained), taken[np.newaxis], axis=0)[0]
        np.testing.assert_allclose(best, np.max(attained, axis=0), rtol=1e-12)


def test_more_devices_attain_more(engines: Engines, blocks: Any) -> None:
    """2 x 9 TB/s are more than 4 x 3 TB/s, and less than 8 x 3."""
    layer = blocks("llama-2-7b", decode(1, 700))[1]
    for count, expected in ((4, 1), (8, 0)):
        route = Route(engines("pair", f"devices.fast.count={count}"), layer)
        assert chosen(route)["ffn.down_proj"] == expected


@pytest.mark.parametrize("count", [1, 40, 3000])
def test_a_number_chooses_as_its_point_in_an_array_does(engines: Engines, blocks: Any, name: str, count: int) -> None:
    sizes = np.array([1.0, 40.0, 3000.0])
    many = chosen(Route(engines(name), blocks("mixtral-8x7b", prefill(1, 64) + decode(sizes, 700))[1]))
    alone = chosen(Route(engines(name), blocks("mixtral-8x7b", prefill(1, 64) + decode(count, 700))[1]))
    for unit, engine in alone.items():
        assert engine == np.broadcast_to(many[unit], 3)[list(sizes).index(count)]
