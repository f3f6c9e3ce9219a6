"""The event engine against bare SimPy: 10 activities at once on 4 resources, each on 2 of them.

Bound: at least 1/30 of the rate of SimPy timeouts, both by 10 processes.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable, Generator

import simpy

from simulator.core import Activity, Resource
from simulator.core.events import EventLoop

CONCURRENT, EVENTS, KINDS, ROUNDS = 10, 20_000, 200, 5
BOUND = 30.0


def processes(wait: Callable[[int], simpy.Event]) -> list[Generator[simpy.Event, object, None]]:
    """Processes that each wait for one thing after another, by number."""

    def process(i: int) -> Generator[simpy.Event, object, None]:
        for j in range(EVENTS // CONCURRENT):
            yield wait((i * 37 + j) % KINDS)

    return [process(i) for i in range(CONCURRENT)]


def timeouts() -> None:
    rng = random.Random(1)
    environment = simpy.Environment()
    delays = [rng.uniform(0.5, 2.0) for _ in range(KINDS)]
    for process in processes(lambda kind: environment.timeout(delays[kind])):
        environment.process(process)
    environment.run()


def activities() -> None:
    rng = random.Random(1)
    resources = [Resource(f"r{i}", 1.0) for i in range(4)]
    works = [Activity("a", {r: rng.uniform(0.5, 2.0) for r in rng.sample(resources, 2)}) for _ in range(KINDS)]
    loop = EventLoop()
    for process in processes(lambda kind: loop.run(works[kind])):
        loop.process(process)
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
