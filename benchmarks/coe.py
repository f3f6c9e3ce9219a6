"""A Composition of 150 experts served 100,000 prompts, against bare SimPy timeouts in the same run.

Bound: 5 s.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Generator

import simpy

from simulator.core import Activity, Resource, paced
from simulator.serving.coe import Service, serve
from simulator.workload import GENERATORS

PROMPTS, EXPERTS = 100_000, 150
BOUND = 5.0


def bare(timeouts: int) -> float:
    environment = simpy.Environment()

    def process() -> Generator[simpy.Event, None, None]:
        for _ in range(timeouts):
            yield environment.timeout(1.0)

    environment.process(process())
    start = time.perf_counter()
    environment.run()
    return time.perf_counter() - start


if __name__ == "__main__":
    service = Service(
        router=paced("router", 0.067),
        expert=paced("expert", 0.067),
        switch=Activity("switch", {Resource("socket.ddr->socket.hbm", 1e12): 14e9}),
        expert_bytes=14_000_000_000,
        cache_bytes=510_000_000_000,
        home_bytes=12_288_000_000_000,
    )
    failed = False
    for kind, options in (("cyclic", {}), ("zipf", {"exponent": 1.0, "seed": 1})):
        choices = GENERATORS[kind](EXPERTS, PROMPTS, **options).choices.tolist()
        start = time.perf_counter()
        misses = int(serve(service, EXPERTS, choices, batch=1).misses.sum())
        took = time.perf_counter() - start
        per_timeout = bare(PROMPTS) / PROMPTS
        print(f"{kind}: {PROMPTS:,} prompts, {misses:,} misses: {took:.2f} s, "
              f"{took / PROMPTS / per_timeout:.0f} bare timeouts a prompt")  # fmt: skip
        failed |= took > BOUND
    sys.exit(f"more than {BOUND} s" if failed else 0)
