"""Requests that arrive: jumps over stages against one stage at a time, and laws of queues."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.errors import ConfigError
from simulator.hardware import load_system
from simulator.serving.loop import run
from simulator.serving.open_loop import Chosen, StageTimes, chosen, serve, serve_each, spread
from simulator.serving.served import Served
from simulator.serving.stages import Stages
from simulator.workload import load_model
from simulator.workload.requests.arrivals import Requests, requests
from simulator.workload.requests.lengths import Lengths
from simulator.workload.routing.routers import uniform
from tests.deployed import deployment


def step(decoding: int, context: float, stage: int) -> float:
    return 0.01 + 1e-3 * decoding + 1e-6 * context + 1e-4 * (stage % 7)


def steps(decoding: int, context: np.ndarray, stage: int) -> np.ndarray:
    return np.array([step(decoding, c, stage + i) for i, c in enumerate(context)])


def one_by_one(asked: Requests, cap: int) -> tuple[list[float], list[float], list[float], list[float]]:
    """The same loop without jumps: joined, first and last token of each request, and every gap."""
    now, stage, waiting, active = 0.0, 0, list(range(len(asked))), {}
    joined, first, done = ([0.0] * len(asked) for _ in range(3))
    gaps: list[float] = []
    while waiting or active:
        joining = []
        while waiting and asked.arrival[waiting[0]] <= now and len(active) + len(joining) < cap:
            joining.append(waiting.pop(0))
        if not joining and not active:
            now = float(asked.arrival[waiting[0]])
            continue
        for request in joining:
            joined[request] = now
        context = float(sum(asked.input[r] + got - 1 for r, got in active.items()))
        took = mixed(asked, joining, len(active), context, stage) if joining else step(len(active), context, stage)
        now, stage = now + took, stage + 1
        gaps += [took] * len(active)
        for request in active:
            active[request] += 1
        for request in joining:
            first[request], active[request] = now, 1
        for request in [r for r, got in active.items() if got == asked.output[r]]:
            done[request] = now
            del active[request]
    return joined, first, done, gaps


def mixed(asked: Requests, joining: list[int], decoding: int, context: float, stage: int) -> float:
    return step(decoding, context, stage) + 1e-4 * float(asked.input[joining].sum())


arrivals = st.lists(st.tuples(st.floats(0, 0.3), st.integers(1, 50), st.integers(1, 120)), min_size=1, max_size=12)


@settings(max_examples=60, deadline=None)
@given(arrivals, st.integers(1, 5))
def test_a_jump_gives_what_stepping_gives(each: list[tuple[float, int, int]], cap: int) -> None:
    gap, input, output = (np.array(part) for part in zip(*each, strict=True))
    asked = Requests(np.cumsum(gap), input, output)
    found = run(asked, cap, steps, lambda j, d, c, s: mixed(asked, j, d, c, s))
    joined, first, done, gaps = one_by_one(asked, cap)
    assert found.queued == pytest.approx(np.array(joined) - asked.arrival, abs=1e-9)
    assert found.ttft == pytest.approx(np.array(first) - asked.arrival, abs=1e-9)
    assert found.e2e == pytest.approx(np.array(done) - asked.arrival, abs=1e-9)
    assert np.sort(np.repeat(found.gaps, found.often.astype(int))) == pytest.approx(np.sort(gaps), abs=1e-9)
    assert found.tokens == output.sum()
    assert (np.diff(joined) >= 0).all(), "first come, first served"


@cache
def times(machine: str = "duplex-node") -> StageTimes:
    model = load_model("mixtral-8x7b")
    how = {"dispatch": "static_by_layer", "together": True, "split": "greedy", "experts": "tensor"}
    on = Stages(deployment(load_system(machine), model, **(how if machine == "duplex-node" else {})))
    drawn = chosen(requests(Lengths(512, 64), 150, 1.0), uniform(8, 2), on.layers, 16)
    return StageTimes(on, drawn)


def at(rate: float, process: str = "poisson", machine: str = "duplex-node") -> Served:
    return serve(times(machine), requests(Lengths(512, 64), 150, rate, process), 16)


@pytest.mark.parametrize("process", ["poisson", "even"])
def test_more_requests_a_second_wait_longer(process: str) -> None:
    waits = [at(rate, process).queued.mean() for rate in (5.0, 40.0, 200.0)]
    assert waits == sorted(waits)
    assert waits[2] > 10 * waits[0]


def test_no_machine_makes_more_tokens_than_it_is_asked_for_nor_more_than_it_can() -> None:
    slow, fast = at(2.0), at(1000.0)
    assert slow.throughput == pytest.approx(2.0 * 64, rel=0.2)
    assert slow.tokens == fast.tokens == 150 * 64
    assert at(1000.0).throughput > at(1000.0, machine="duplex-h100").throughput


def test_littles_law() -> None:
    """Requests in flight, on average over the run, are the rate of arrivals times their mean time in the system."""
    seen = at(30.0)
    arrived = requests(Lengths(512, 64), 150, 30.0).arrival
    start, end = arrived[0], seen.done.max()
    moments = np.linspace(start, end, 20001)
    inside = (arrived[:, None] <= moments) & (moments < seen.done[:, None])
    assert inside.sum(axis=0).mean() == pytest.approx(len(arrived) / (end - start) * seen.e2e.mean(), rel=0.01)


def test_a_line_over_the_context_is_the_stage_itself() -> None:
    found = StageTimes(times().stages, Chosen(None, None))
    contexts = np.array([0.0, 100.0, 8000.0, 123456.0])
    for decoding in (1, 7, 16):
        direct = found.stages.shared(spread(1, 0, 0, 0, decoding, contexts), False)
        assert found.decoding(decoding, contexts, 0) == pytest.approx(direct, rel=1e-12)


def test_rates_and_numbers_are_checked() -> None:
    with pytest.raises(ConfigError, match="rate: found 0, expected requests a second, above 0"):
        requests(Lengths(8, 8), 4, 0)
    with pytest.raises(ConfigError, match="requests: found 0, expected 1 or more"):
        requests(Lengths(8, 8), 0, 1.0)


def test_arrivals_come_at_their_rate() -> None:
    found = requests(Lengths(8, 8), 4000, 5.0).arrival
    assert found[-1] / 4000 == pytest.approx(1 / 5.0, rel=0.1)
    assert np.diff(found).std() == pytest.approx(1 / 5.0, rel=0.1), "of an exponential law, as large as its mean"
    assert np.diff(requests(Lengths(8, 8), 40, 5.0, "even").arrival) == pytest.approx(0.2)


@settings(max_examples=60, deadline=None)
@given(arrivals, st.integers(1, 5))
def test_never_more_than_the_cap_and_all_in_flight_as_littles_law_has_it(
    each: list[tuple[float, int, int]], cap: int
) -> None:
    """As integrals: the requests that decode, over time, are the sum of what each spends between its tokens."""
    gap, input, output = (np.array(part) for part in zip(*each, strict=True))
    asked = Requests(np.cumsum(gap), input, output)
    most = []

    def joint(joining: list[int], decoding: int, context: float, stage: int) -> float:
        most.append(decoding + len(joining))
        return mixed(asked, joining, decoding, context, stage)

    found = run(asked, cap, steps, joint)
    assert max(most) <= cap
    assert found.often.max(initial=0) <= cap
    assert len(found.done) == len(asked) and np.isfinite(found.done).all(), "all end"
    assert (found.gaps * found.often).sum() == pytest.approx((found.e2e - found.ttft).sum(), abs=1e-9)


@given(arrivals, st.integers(1, 5))
@settings(max_examples=60, deadline=None)
def test_with_prompts_computed_elsewhere_each_still_gets_its_tokens_and_no_more(
    each: list[tuple[float, int, int]], cap: int
) -> None:
    gap, input, output = (np.array(part) for part in zip(*each, strict=True))
    seen = []

    def watched(decoding: int, context: np.ndarray, stage: int) -> np.ndarray:
        seen.extend(zip([decoding] * len(context), context, strict=True))
        return steps(decoding, context, stage)

    found = run(Requests(np.cumsum(gap), input, output), cap, watched, None)
    assert found.often.sum() == output.sum() - len(output)
    assert found.tokens == output.sum()
    assert all(input.min() * decoding <= context for decoding, context in seen)
    for place in np.flatnonzero(output == 1):
        assert found.e2e[place] == pytest.approx(found.queued[place]), "its first token is its last"


def test_no_requests_take_no_time() -> None:
    none = np.empty(0)
    found = run(Requests(none, none.astype(int), none.astype(int)), 4, steps, lambda *_: 1.0)
    assert (found.tokens, found.seconds, len(found.done)) == (0, 0, 0)
    assert np.isnan([found.throughput, found.tbt(50)]).all()


def test_runs_side_by_side_are_as_each_alone() -> None:
    runs = [requests(Lengths(512, 64), number, rate) for number, rate in ((150, 5.0), (40, 200.0), (1, 1.0))]
    for together, requested in zip(serve_each(times(), runs, 16), runs, strict=True):
        alone = serve(times(), requested, 16)
        assert together.e2e == pytest.approx(alone.e2e, rel=1e-9)
        assert together.ttft == pytest.approx(alone.ttft, rel=1e-9)
        assert together.often == pytest.approx(alone.often)
        assert together.gaps == pytest.approx(alone.gaps, rel=1e-9)


def test_what_was_kept_of_one_rate_changes_no_other() -> None:
    again = StageTimes(times().stages, times().drawn)
    fresh = serve(again, requests(Lengths(512, 64), 150, 40.0), 16)
    at(200.0)
    kept = at(40.0)
    assert (fresh.e2e == kept.e2e).all()
    assert (fresh.gaps == kept.gaps).all()
