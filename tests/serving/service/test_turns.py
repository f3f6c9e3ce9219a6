"""Models that take turns on a machine: a polling cycle, by queueing theory, and what a turn is."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import poisson

from simulator.core import Activity
from simulator.errors import CapacityError
from simulator.mapping.form import Scheduler as Settings
from simulator.registry import registered
from simulator.serving.kv.blocks import Blocks
from simulator.serving.service.pool import Pool
from simulator.serving.service.sequence import Sequence
from simulator.serving.service.turns import Home, Turns
from simulator.workload.requests.request import Request
from tests.serving.service.test_laws import NUMBER, OF, check_mean, seconds

SCHEDULERS = (
    "vllm-v1",
    "vllm-v0",
    "sarathi",
    "orca",
    "static",
    "trt-llm-no-evict",
    "trt-llm-max-utilisation",
    "sglang",
)


def pool(load: float, most: int, scheduler: str = "vllm-v1", capacity: float = 10.0) -> tuple[Pool, list[Sequence]]:
    ended: list[Sequence] = []
    made = registered("scheduler", scheduler)(Settings(tokens=64, max_sequences=most))
    home = Home("host", 1.0, capacity, Activity("load", {}, load))
    return Pool(OF, Blocks(10_000), Turns(made), ended=ended.append, home=home), ended


def serve(of: Pool, requests: list[Request]) -> None:
    for number, request in enumerate(requests):
        of.arrive(Sequence(request, number, request.arrival_s, 4096))
    of.advance()


def polled(rate: float, service: float, load: float) -> tuple[float, float]:
    """Of two queues with Poisson arrivals at `rate` each, served to the end in turn: the mean wait, and loads a second.

    A server that has emptied a queue goes to the other if somebody waits there, and else stays. The length j there is a
    Markov chain: m = j + Poisson(rate load) (1 + Poisson of the arrival that ends an idle time, or 1 where no
    load is needed) begin a busy period of k services, m/k e^-a a^(k-m)/(k-m)! with a = rate service k (Borel and
    Tanner), in which Poisson(a) come to the queue that was left, beside Poisson(rate load) of the load. The work of
    both is that of M/D/1 and that found at a time without service (Boxma and Groenendijk 1987), so that the mean wait
    is `2 rate service^2 / (2 (1 - rho)) + E[Y] / rho`.
    """
    most, rho = 120, 2 * rate * service
    number = np.arange(most)
    in_load = poisson.pmf(number, rate * load)

    def busy(m: int) -> np.ndarray:
        """Those that come to the other queue in a busy period that m begin."""
        k = np.arange(m, m + 4 * most)
        lasts = m / k * poisson.pmf(k - m, rate * service * k)
        return lasts @ poisson.pmf(number[None, :], rate * service * k[:, None])

    periods = np.array([busy(m) for m in range(1, most + 1)])

    def after_load(j: int) -> np.ndarray:
        begun = np.zeros(most)
        for joined in range(most - j):
            begun += in_load[joined] * periods[j + joined - 1]
        return np.convolve(begun, in_load)[:most]

    chain = np.array([0.5 * periods[0] + 0.5 * after_load(1), *(after_load(j) for j in range(1, most))])
    chain /= chain.sum(axis=1, keepdims=True)
    at = np.full(most, 1 / most)
    for _ in range(500):
        at = at @ chain
    loads = np.where(number > 0, 1.0, 0.5)
    found = np.where(number > 0, number, 1.0)
    work = at @ (loads * service * (found * load + rate * load**2))
    idle = at @ (loads * load + np.where(number > 0, 0.0, 1 / (2 * rate)))
    cycle = idle / (1 - rho)
    return rate * service**2 / (1 - rho) + work / idle / rho, float(at @ loads / cycle)


@pytest.mark.parametrize(("load", "rho"), [(0.5, 0.6), (20.0, 0.6)])
def test_two_models_in_turn_are_a_polling_cycle(load: float, rho: float) -> None:
    service, random = seconds([1])[0], np.random.default_rng(6)
    wait, loads = polled(rho / 2 / service, service, load * service)
    arrivals = np.cumsum(random.exponential(service / rho, NUMBER))
    asked = random.integers(0, 2, NUMBER)
    of, ended = pool(load * service, 1)
    serve(
        of,
        [
            Request(str(i), float(at), 64, 1, model="ab"[which])
            for i, (at, which) in enumerate(zip(arrivals, asked, strict=True))
        ],
    )
    found = np.array([each.scheduled - each.arrival for each in sorted(ended, key=lambda each: each.number)])
    check_mean(found, wait)
    assert of.work.loads / of.now == pytest.approx(loads, rel=0.05)


def test_models_of_which_nobody_waits_are_no_polling_cycle_but_one_queue() -> None:
    service = 1.0
    assert polled(0.35, service, 1e-9)[0] == pytest.approx(0.7 * service / (2 * (1 - 0.7)), rel=1e-6)


@pytest.mark.parametrize("scheduler", SCHEDULERS)
@settings(max_examples=8, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.floats(0, 0.2), st.integers(1, 300), st.integers(1, 40)),
        min_size=1,
        max_size=25,
    ),
    st.integers(1, 8),
)
def test_one_model_is_served_at_a_time_and_in_turn(
    scheduler: str, each: list[tuple[int, float, int, int]], most: int
) -> None:
    arrivals = np.cumsum([gap for _, gap, _, _ in each]).tolist()
    requests = [
        Request(str(i), at, input, output, max_tokens=40, model=f"m{which}")
        for i, (at, (which, _, input, output)) in enumerate(zip(arrivals, each, strict=True))
    ]
    of, ended = pool(0.05, most, scheduler)
    turns: list[str] = []

    def watch(at: Pool, start: float, number: int, decoding: int, tokens: int) -> None:
        assert {served.request.model for served in at.running} <= {at.loaded}
        if number == 0 and at.now > start and (not turns or turns[-1] != at.loaded) and at.loaded is not None:
            turns.append(at.loaded)

    of.watch = watch
    serve(of, requests)
    assert sorted(served.request.request_id for served in ended) == sorted(r.request_id for r in requests)
    spans = sorted((served.scheduled, served.last, served.request.model) for served in ended)
    for (_, last, model), (start, _, other) in pairwise(spans):
        assert model == other or start >= last + 0.05 * (1 - 1e-9), "a load lies between two models"
    assert of.work.loads == len(turns)
    if len({r.model for r in requests}) == 1:
        assert of.work.loads == 1


def test_more_models_than_their_tier_holds_are_refused() -> None:
    of, _ = pool(0.1, 4, capacity=2.0)
    with pytest.raises(CapacityError, match="the weights of 3 models in host"):
        serve(of, [Request(str(i), float(i), 10, 3, model=f"m{i}") for i in range(3)])
