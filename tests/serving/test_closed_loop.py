"""A closed loop laid out at once, against one stepped stage by stage; and what its requests saw."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.hardware import load_system
from simulator.mapping.stage import FEATURES
from simulator.serving.closed_loop import Layout, layout, load, timed
from simulator.serving.served import percentile, ranked, weighted_percentile
from simulator.serving.stages import Stages
from simulator.workload import load_model
from simulator.workload.requests.lengths import Lengths
from simulator.workload.routing.routers import uniform
from tests.deployed import deployment


@cache
def stages(model: str = "mixtral-8x7b", machine: str = "duplex-node", **how: Any) -> Stages:
    return Stages(deployment(load_system(machine), load_model(model), **how))


FULL = {"dispatch": "static_by_layer", "together": True, "split": "greedy", "experts": "tensor"}


def stepped(found: Layout, nodes: int) -> np.ndarray[Any, Any]:
    """Features of each stage and node, request by request and stage by stage."""
    x = np.zeros((found.stages, nodes, len(FEATURES)))
    for slot, join, input, output in zip(found.slot, found.join, found.input, found.output, strict=True):
        for stage in range(max(join, 0), min(join + output, found.stages)):
            node = x[stage, slot % nodes]
            if stage == join:
                node[:3] += 1, input, input * (input + 1) / 2
            else:
                node[3:5] += 1, input + stage - join - 1
    return x


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 40), st.integers(1, 30), st.integers(1, 9), st.floats(0.5, 4), st.sampled_from([0.0, 0.4]),
    st.integers(1, 3), st.integers(0, 9),
)  # fmt: skip
def test_a_layout_is_what_stepping_gives(
    input: int, output: int, slots: int, rounds: float, spread: float, nodes: int, seed: int
) -> None:
    found = layout(Lengths(input, output, spread), slots, rounds, seed)
    x = found.features(nodes)
    assert x == pytest.approx(stepped(found, nodes))
    assert (x[..., 0].sum(axis=1) + x[..., 3].sum(axis=1) == slots).all(), "every place gives a token in each stage"
    assert found.features(1)[:, 0] == pytest.approx(x.sum(axis=1))


@pytest.mark.parametrize(("slots", "output"), [(32, 256), (64, 512), (128, 2048)])
def test_so_many_stages_are_mixed_as_random_phases_give(slots: int, output: int) -> None:
    found = layout(Lengths(512, output, 0.4), slots, 40)
    assert found.mixed.mean() == pytest.approx(1 - (1 - 1 / output) ** slots, rel=0.1)


def test_the_first_stages_are_in_the_steady_state() -> None:
    x = layout(Lengths(256, 256, 0.4), 512, 8).features(1)[:, 0]
    first, last = x[:256].mean(axis=0), x[-256:].mean(axis=0)
    assert first[3:] == pytest.approx(last[3:], rel=0.05)


def served(model: str = "mixtral-8x7b", seed: int = 0, **how: Any) -> Any:
    on = stages(model, **how)
    moe = load_model(model).moe
    router = uniform(moe.experts, moe.top_k) if moe else None
    return timed(on, load(layout(Lengths(300, 40, 0.4), 16, 5, seed), router, on.layers, seed))


def test_what_requests_saw_adds_up() -> None:
    run = served(**FULL)
    seen, found = run.served, run.layout
    assert seen.tokens == 16 * found.stages
    assert seen.seconds == pytest.approx(run.seconds.sum())
    whole = (found.join >= 0) & (found.join + found.output <= found.stages)
    for place, (join, output) in enumerate(zip(found.join[whole], found.output[whole], strict=True)):
        assert seen.ttft[place] == run.seconds[join]
        assert seen.e2e[place] == pytest.approx(run.seconds[join : join + output].sum())
    every = np.repeat(seen.gaps, seen.often.astype(int))
    for percent in (10, 50, 90, 99):
        assert seen.tbt(percent) == np.sort(every)[max(int(np.ceil(percent / 100 * len(every))) - 1, 0)]


def test_equal_seeds_give_equal_bits_and_others_do_not() -> None:
    one, same, other = served(**FULL), served(**FULL), served(seed=1, **FULL)
    assert (one.seconds == same.seconds).all()
    assert len(one.seconds) != len(other.seconds) or (one.seconds != other.seconds).any()


def test_a_dense_model_has_no_experts() -> None:
    run = served("llama-2-7b", dispatch="static_by_layer")
    assert not run.experts.any()


@given(st.lists(st.tuples(st.floats(0, 1e3), st.integers(1, 5)), min_size=1, max_size=20), st.floats(0, 100))
def test_a_weighted_percentile_is_that_of_the_repeated_values(pairs: list[tuple[float, int]], percent: float) -> None:
    values, often = np.array([v for v, _ in pairs]), np.array([n for _, n in pairs], dtype=float)
    every = np.sort(np.repeat(values, often.astype(int)))
    found = weighted_percentile(*ranked(values, often), percent)
    below, upto = (every < found).mean(), (every <= found).mean()
    assert below <= percent / 100 + 1e-9
    assert upto >= percent / 100 - 1e-9


def test_percentiles_of_nothing_are_no_number() -> None:
    assert np.isnan(percentile(np.empty(0), 50))
    assert np.isnan(weighted_percentile(*ranked(np.empty(0), np.empty(0)), 50))
