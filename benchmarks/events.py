"""The event engine against bare SimPy: 10 activities at once on 4 resources, each on 2 of them.

Bound: at least 1/30 of the rate of SimPy timeouts, both by 10 processes.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable

import simpy

from simulator.core import Activity, Resource
from simulator.core.events import EventLoop

CONCURRENT, EVENTS, ROUNDS = 10, 20_000, 5
BOUND = 30.0


def timeouts() -> None:
    environment = simpy.Environment()
    delays = [random.Random(1).uniform(0.5, 2.0) for _ in range(200)]

    def process(i: int):
        for j in range(EVENTS // CONCURRENT):
            yield environment.timeout(delays[(i * 37 + j) % 200])

    for i in range(CONCURRENT):
        environment.process(process(i))
    environment.run()


def activities() -> None:
    rng = random.Random(1)
    resources = [Resource(f"r{i}", 1.0) for i in range(4)]
    works = [Activity("a", {r: rng.uniform(0.5, 2.0) for r in rng.sample(resources, 2)}) for _ in range(200)]
    loop = EventLoop()

    def process(i: int):
        for j in range(EVENTS // CONCURRENT):
            yield loop.run(works[(i * 37 + j) % 200])

    for i in range(CONCURRENT):
        loop.process(process(i))
    loop.until_idle()


def seconds(run: Callable[[], None]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


if __name__ == "__main__":
    pairs = [(seconds(timeouts), seconds(activities)) for _ in range(ROUNDS)]
    bare, ours = (min(column) for column in zip(*pairs, strict=True))
    print(f"SimPy timeouts {EVENTS / bare:,.0f}/s; activities {EVENTS / ours:,.0f}/s; 1/{ours / bare:.1f} of it")
    sys.exit(0 if ours / bare <= BOUND else f"more than {BOUND:.0f} times slower")
