"""Laws of queues, and what every scheduler must keep, whatever the machine."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.mapping.form import Scheduler as Settings
from simulator.registry import registered
from simulator.scenario.evaluate import estimate
from simulator.serving.kv.blocks import Blocks
from simulator.serving.service.pool import Pool
from simulator.serving.service.sequence import Sequence
from simulator.workload.requests.request import Request
from tests.serving.service.test_pool import EIGHT, MACHINES, MODELS, SCHEDULERS, iterations, limits, serve, traces

OF = iterations(*MACHINES[2])
NUMBER, BATCHES = 12_000, 30
CERTAIN = 4.0
"""Standard errors: a test that holds fails once in ten thousand."""


def waits(arrivals: np.ndarray, outputs: list[int], priorities: list[int] | None = None) -> np.ndarray:
    """Waits in a queue before a machine that serves one at a time."""
    requests = [
        Request(str(i), float(at), 64, output, priority=priorities[i] if priorities else None)
        for i, (at, output) in enumerate(zip(arrivals, outputs, strict=True))
    ]
    _, ended = serve("vllm-v1", OF, Blocks(10_000), "priority" if priorities else "fcfs", 64, 1, requests)
    return np.array([each.scheduled - each.arrival for each in sorted(ended, key=lambda each: each.number)])


def seconds(outputs: list[int]) -> np.ndarray:
    """How long one request alone is served."""
    steps = np.cumsum([0.0, *(OF.decoding(1, 64 + i) for i in range(max(outputs)))])
    return OF.mixed(1, 64, 64 * 65 / 2, 0, 0, 0) + steps[np.array(outputs) - 1]


def check_mean(found: np.ndarray, expected: float) -> None:
    """The mean is within its confidence interval, by means of batches."""
    means = [batch.mean() for batch in np.array_split(found[len(found) // 20 :], BATCHES)]
    error = np.std(means, ddof=1) / np.sqrt(BATCHES)
    assert abs(np.mean(means) - expected) <= CERTAIN * error
    assert error < 0.1 * expected, "which tells something"


def test_one_at_a_time_is_m_d_1() -> None:
    service = seconds([1])[0]
    arrivals = np.cumsum(np.random.default_rng(3).exponential(service / 0.7, NUMBER))
    check_mean(waits(arrivals, [1] * NUMBER), 0.7 * service / (2 * (1 - 0.7)))


def test_answers_of_any_length_are_m_g_1() -> None:
    """Pollaczek and Khinchine's: of geometric answers, which is M/M/1 but for the time of a prompt."""
    random = np.random.default_rng(4)
    outputs = random.geometric(0.1, NUMBER).tolist()
    service = seconds(outputs)
    rate = 0.6 / service.mean()
    arrivals = np.cumsum(random.exponential(1 / rate, NUMBER))
    check_mean(waits(arrivals, outputs), rate * np.mean(service**2) / (2 * (1 - 0.6)))


def test_two_classes_wait_as_cobham_has_it() -> None:
    random = np.random.default_rng(5)
    service = seconds([1])[0]
    arrivals = np.cumsum(random.exponential(service / 0.6, NUMBER))
    priorities = (random.random(NUMBER) < 0.4).astype(int).tolist()
    found, urgent = waits(arrivals, [1] * NUMBER, priorities), np.array(priorities) == 1
    left, first = 0.6 * service / 2, 1 - 0.4 * 0.6
    check_mean(found[urgent], left / first)
    check_mean(found[~urgent], left / (first * (1 - 0.6)))


@settings(max_examples=10, deadline=None)
@given(st.integers(1, 700), st.integers(1, 200), st.sampled_from(MACHINES))
def test_a_request_alone_is_its_estimate(input: int, output: int, machine: tuple[str, ...]) -> None:
    _, (one,) = serve(
        "vllm-v1", iterations(*machine), Blocks(1000), "fcfs", 2048, 4, [Request("0", 1.0, input, output)]
    )
    how = {"runtime": machine[1], "kernels": machine[2] if machine[2:] else "roofline"}
    of = estimate(machine[0], MODELS[machine[3] if machine[3:] else EIGHT], 1, input, output, devices=1, **how)
    assert one.first - one.arrival == pytest.approx(of.ttft_s, rel=1e-9)
    assert one.last - one.arrival == pytest.approx(of.e2e_s, rel=1e-9)


@pytest.mark.parametrize("scheduler", SCHEDULERS)
@settings(max_examples=5, deadline=None)
@given(traces(), limits)
def test_it_never_idles_nor_starves_nor_overcommits(scheduler: str, requests: list[Request], limits: Any) -> None:
    size, tokens, most, total, _ = limits
    pool = Pool(
        OF,
        Blocks(total // size, size),
        registered("scheduler", scheduler.removesuffix("-swapping"))(Settings(tokens=tokens, max_sequences=most)),
    )
    ended: list[Sequence] = []
    decoded: list[float] = []

    def watch(pool: Pool, start: float, number: int, decoding: int, prompts: int) -> None:
        decoded.append((pool.now - start) * decoding)
        assert 0 <= pool.store.free <= pool.store.total
        assert len(pool.running) <= most

    pool.ended, pool.watch = ended.append, watch
    for number, request in enumerate(requests):
        pool.arrive(Sequence(request, number, request.arrival_s, 4096))
    pool.advance()
    covered, end = 0.0, 0.0
    for each in sorted(ended, key=lambda each: each.arrival):
        covered += max(each.last - max(each.arrival, end), 0.0)
        end = max(end, each.last)
    assert pool.busy == pytest.approx(covered, rel=1e-9), "it works while there is somebody"
    in_order = [each.scheduled for each in sorted(ended, key=lambda each: each.number)]
    assert in_order == sorted(in_order), "who came first is chosen first"
    if not pool.preemptions and scheduler not in ("vllm-v0", "vllm-v0-swapping", "sglang"):
        spent = sum(each.last - each.first for each in ended)
        assert sum(decoded) == pytest.approx(spent, rel=1e-9), "Little's law of those that decode"
