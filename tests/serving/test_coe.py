from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.core import Activity, Resource, paced
from simulator.errors import CapacityError
from simulator.serving.coe import Service, serve
from simulator.workload.trace import cyclic, zipf

R, E, S = 2.0, 3.0, 5.0
SERVICE = Service(
    router=paced("router", R),
    expert=paced("expert", E),
    switch=Activity("switch", {Resource("ddr->hbm", 1.0): S}),
    expert_bytes=10,
    cache_bytes=40,
    home_bytes=1000,
)


def test_every_miss_costs_a_switch() -> None:
    got = serve(SERVICE, 5, cyclic(5, 40).choices.tolist(), batch=8)
    assert got.misses.tolist() == [8] * 5
    assert got.latency == pytest.approx(R + 8 * (E + S))
    assert got.switch == pytest.approx(8 * S)
    assert got.router + got.switch + got.expert == pytest.approx(got.latency)


def test_experts_that_fit_are_copied_once() -> None:
    got = serve(SERVICE, 4, cyclic(4, 40).choices.tolist(), batch=1)
    assert got.misses.tolist() == [1] * 4 + [0] * 36
    assert got.latency[4:] == pytest.approx(R + E)


def test_belady_misses_less_than_lru_on_a_zipf_trace() -> None:
    choices = zipf(20, 2000, exponent=1.0, seed=1).choices.tolist()
    misses = {p: serve(replace(SERVICE, policy=p), 20, choices, batch=1).misses.sum() for p in ("lru", "belady")}
    assert misses["belady"] < 0.9 * misses["lru"]


@pytest.mark.parametrize(("run", "copy"), [(3.0, 5.0), (5.0, 3.0)])
def test_prefetch_on_a_known_trace_turns_a_sum_into_a_maximum(run: float, copy: float) -> None:
    service = replace(
        SERVICE,
        router=Activity("none"),
        expert=paced("expert", run),
        switch=Activity("switch", {Resource("ddr->hbm", 1.0): copy}),
    )
    choices = cyclic(10, 100).choices.tolist()
    assert serve(service, 10, choices, batch=1).latency == pytest.approx(run + copy)
    ahead = serve(replace(service, prefetch="trace"), 10, choices, batch=1)
    assert ahead.latency[0] == pytest.approx(run + copy)
    assert ahead.latency[1:] == pytest.approx(max(run, copy))
    routed = serve(replace(service, prefetch="batch"), 10, choices, batch=10)
    assert routed.latency == pytest.approx(run + copy + 9 * max(run, copy))


def test_prompts_grouped_by_expert_switch_less() -> None:
    choices = [0, 1, 0, 1, 0, 1]
    tight = replace(SERVICE, cache_bytes=10)
    assert serve(tight, 2, choices, batch=6).misses.sum() == 6
    assert serve(replace(tight, group=True), 2, choices, batch=6).misses.sum() == 2


@given(
    st.lists(st.integers(0, 9), min_size=1, max_size=60),
    st.integers(1, 8),
    st.sampled_from(["none", "batch", "trace"]),
    st.sampled_from(["lru", "fifo", "lfu", "belady"]),
)
def test_time_is_conserved_and_prefetch_never_hurts(choices: list[int], batch: int, prefetch: str, name: str) -> None:
    plain = serve(replace(SERVICE, policy=name), 10, choices, batch)
    ahead = serve(replace(SERVICE, policy=name, prefetch=prefetch), 10, choices, batch)  # type: ignore[arg-type]
    assert plain.latency.sum() == pytest.approx(len(plain.latency) * R + len(choices) * E + plain.misses.sum() * S)
    assert np.all(ahead.router + ahead.switch + ahead.expert == pytest.approx(ahead.latency))
    assert ahead.latency.sum() >= len(plain.latency) * R + len(choices) * E - 1e-9
    if name == "lru" and prefetch != "none":
        assert ahead.latency.sum() <= plain.latency.sum() + 1e-9 + S * max(ahead.misses.sum() - plain.misses.sum(), 0)


def test_what_cannot_fit_is_refused_with_the_bytes() -> None:
    with pytest.raises(CapacityError, match="101 experts in their home: needs 1,010 B, there are 1,000 B"):
        serve(SERVICE, 101, [0], batch=1)
    with pytest.raises(CapacityError, match="2 experts in the fast tier"):
        serve(replace(SERVICE, cache_bytes=19, prefetch="batch"), 5, [0], batch=1)
