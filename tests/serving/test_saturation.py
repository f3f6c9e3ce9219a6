"""Whether a machine keeps up: how often a settled queue is taken for one that grows, and how surely one that grows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, t

from simulator.hardware import load_system
from simulator.serving.loop import run
from simulator.serving.open_loop import StageTimes, chosen, serve
from simulator.serving.saturation import BATCHES, LEAST, LEVEL, STUDENT, grows, saturation, sustained
from simulator.serving.served import Served
from simulator.serving.stages import Stages
from simulator.workload import load_model
from simulator.workload.requests.arrivals import Requests, requests
from simulator.workload.requests.lengths import Lengths
from tests.deployed import deployment

RUNS = 500
STAGE = 1.0


def served_one_by_one(rate: float, number: int, seed: int) -> Served:
    """A queue M/D/1: one request at a time, each served for a second, by the loop itself."""
    arriving = requests(Lengths(1, 1), number, rate, "poisson", seed)
    return run(arriving, 1, lambda sequences, context, stage: np.ones(len(context)), lambda *_: STAGE)


def waits(rate: float, number: int, runs: int = RUNS) -> np.ndarray:
    """The waits of many queues M/D/1 of service time 1, by Lindley's recursion, shape (runs, number)."""
    gaps = np.random.default_rng([number, int(1000 * rate)]).exponential(1 / rate, (runs, number))
    walk = np.cumsum(np.concatenate([np.zeros((runs, 1)), STAGE - gaps[:, 1:]], axis=1), axis=1)
    return walk - np.minimum.accumulate(walk, axis=1)


def growing(rate: float, number: int) -> int:
    return sum(grows(each, STAGE) for each in waits(rate, number))


def test_student() -> None:
    assert pytest.approx(t.ppf(1 - LEVEL, BATCHES - 1), rel=1e-8) == STUDENT


def test_the_loop_waits_as_lindley_has_it() -> None:
    served = served_one_by_one(0.7, 300, 3)
    arrival = requests(Lengths(1, 1), 300, 0.7, "poisson", 3).arrival
    walk = np.cumsum(np.concatenate([[0.0], STAGE - np.diff(arrival)]))
    assert served.queued == pytest.approx(walk - np.minimum.accumulate(walk), abs=1e-9)


@pytest.mark.parametrize("rate", [0.3, 0.6, 0.8, 0.9])
@pytest.mark.parametrize("number", [LEAST, 400, 1600])
def test_a_settled_queue_is_seldom_taken_for_one_that_grows(rate: float, number: int) -> None:
    """No more often than the level says, within what chance gives in so many runs (0.1 %)."""
    assert growing(rate, number) <= binom.ppf(0.999, RUNS, LEVEL)


@pytest.mark.parametrize(("rate", "number"), [(1.5, 400), (1.2, 1600), (3.0, LEAST)])
def test_a_queue_that_grows_is_seen_to(rate: float, number: int) -> None:
    assert growing(rate, number) >= 0.95 * RUNS


@given(seed=st.integers(0, 2**32 - 1), rate=st.floats(0.2, 0.7))
@settings(max_examples=25, deadline=None)
def test_a_longer_run_tells_the_same(seed: int, rate: float) -> None:
    verdicts = [saturation(served_one_by_one(rate, n, seed), rate, 1.0).keeps_up for n in (100, 200, 400, 1000)]
    assert verdicts.count(False) <= 1, verdicts  # each errs once in a hundred runs, at most
    assert verdicts[-1] is True


@given(seed=st.integers(0, 2**32 - 1), rate=st.floats(1.5, 5.0))
@settings(max_examples=15, deadline=None)
def test_an_overload_is_never_said_to_be_followed(seed: int, rate: float) -> None:
    for number in (20, LEAST, 400, 1000):
        seen = saturation(served_one_by_one(rate, number, seed), rate, 1.0)
        assert seen.keeps_up is (None if number < LEAST else False)
        assert bool(seen.undecided) == (seen.keeps_up is None)


@given(number=st.integers(1, LEAST - 1))
@settings(max_examples=20, deadline=None)
def test_of_few_requests_nothing_is_told(number: int) -> None:
    seen = saturation(served_one_by_one(0.5, number, 0), 0.5, 1.0)
    assert seen.keeps_up is None
    assert str(number) in seen.undecided
    assert seen.utilisation == 0.5


def test_a_wait_for_the_stage_under_way_is_no_queue() -> None:
    """Evenly spaced requests that drift against the stages wait longer and longer, but never a stage."""
    drift = np.linspace(0.0, 0.99, 400)
    assert not grows(drift, STAGE)
    assert grows(3 * drift, STAGE)


@pytest.mark.parametrize(("spread", "within"), [(0.0, 0.06), (0.3, 0.02)])
def test_what_is_sustained_is_what_an_overloaded_machine_serves(spread: float, within: float) -> None:
    """Of requests that always wait, as many end a second as in the closed loop.

    Those of equal length that join together stay together for ever, so that how a run begins decides by some percent.
    """
    one = load_system("dgx-h100", ["devices.gpu.count=1"])
    stages = Stages(deployment(one, load_model("llama-3-8b"), ("gpu.gpu",)))
    lengths, slots = Lengths(256, 32, spread), 16
    most = sustained(stages, lengths, slots, None)
    arriving: Requests = requests(lengths, 800, 2 * most)
    served = serve(StageTimes(stages, chosen(arriving, None, 0, slots)), arriving, slots)
    done = np.sort(served.done)
    low, high = 200, 700
    assert (high - low) / (done[high] - done[low]) == pytest.approx(most, rel=within)
    assert saturation(served, 2 * most, most).keeps_up is False
