"""Requests that a service simulates a second: chat-like ones on one H100, below its capacity and far beyond.

    .venv/bin/python -m benchmarks.service [--million]

Prompts and answers are log-normal, 1,000 and 250 tokens on the mean; Llama-3.1-8B, chunked prefill under vLLM's budget
of 2,048 tokens, blocks of 16; once with the roofline of kernels, once with their models. With prefix caching, a third
of the requests begin with one of 20 prompts of 500 tokens, and a third are of sessions. Then Llama-3.1-70B on an SN40L
node, whose programs are compiled before. Seconds are those of one core (of the process); making of the requests is
counted. Of a long run a request in its last tenth is set beside one in its first: its cost should not grow.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

import numpy as np

from simulator.scenario.form import Scenario
from simulator.scenario.parts import deployment
from simulator.scenario.requests.service import SEQUENCES, run, service_of
from simulator.serving.iteration.iterations import Iterations
from simulator.serving.stages import Stages
from simulator.workload.requests.request import Request

SEED = 1
CHUNK = 4096
LONG = 100_000
"""Requests, of which a tenth is long beside those that a service reads ahead."""


def lognormal(random: np.random.Generator, mean: float, number: int, most: int) -> list[int]:
    draws = random.lognormal(np.log(mean) - 0.5, 1.0, number)
    return [int(each) for each in np.clip(np.rint(draws), 1, most)]


def chat(number: int, rate: float, prefixes: bool = False) -> Iterator[Request]:
    """So many requests at a rate, as a stream."""
    random = np.random.default_rng(SEED)
    now, done = 0.0, 0
    while done < number:
        count = min(CHUNK, number - done)
        gaps = random.exponential(1 / rate, count)
        inputs, outputs = lognormal(random, 1000, count, 30_000), lognormal(random, 250, count, 8_000)
        kinds = random.integers(0, 60, count).tolist()
        for i, (gap, input, output, kind) in enumerate(zip(gaps.tolist(), inputs, outputs, kinds, strict=True)):
            now += gap
            if prefixes and kind < 20:
                yield Request(str(done + i), now, 500 + input, output, prefix_id=f"system {kind}", prefix_tokens=500)
            elif prefixes and kind < 40:
                session = f"session {(done + i) // 40}-{kind}"
                yield Request(str(done + i), now, input, output, session_id=session, context_tokens=0)
            else:
                yield Request(str(done + i), now, input, output)
        done += count


def clocked(requests: Iterator[Request], every: int, seconds: list[float]) -> Iterator[Request]:
    """The same, with the seconds of the process so far before each so many of them."""
    for place, request in enumerate(requests):
        if place % every == 0:
            seconds.append(time.process_time())
        yield request


ON_H100 = {"hardware": "h100-sxm", "model": "llama-3.1-8b"}
ON_SN40L = {"hardware": "sn40l-node", "model": "llama-3.1-70b"}
ROOFLINE = {"devices": 1}
MODELLED = {"devices": 1, "kernels": "modelled", "runtime": "vllm-v1"}
IDEAL = {"runtime": "ideal"}


def served(
    number: int, rate: float, store: str = "blocks", prefixes: bool = False,
    timed: Mapping[str, Any] = ROOFLINE, on: Mapping[str, Any] = ON_H100,
) -> None:  # fmt: skip
    """Serve them, and print how fast that was; `timed`: what of a mapping says how long kernels take."""
    scheduler = {"kind": "vllm-v1", "tokens": 2048}
    mapping = {"scheduler": scheduler, "kv_store": {"kind": store, "block": 16}, **timed}
    parts = {**on, "mapping": mapping, "workload": {"kind": "requests"}}
    deployed = deployment(Scenario.model_validate(parts), requests=True)
    iterations = Iterations(Stages(deployed).compiled_for(SEQUENCES, 1000, 250))
    if deployed.whole_layers:  # its programs
        for decoding in (0, 1):
            iterations.mixed(1, 8, 36.0, 0, decoding, 1000 * decoding)
        iterations.decoding(1, 1000)
    marks: list[float] = []
    start = time.process_time()
    requests = clocked(chat(number, rate, prefixes), number // 10, marks)
    result = run(lambda ended: service_of(deployed, ended, [iterations]), requests)
    end = time.process_time()
    seconds, tenths = end - start, [b - a for a, b in pairwise([*marks, end])]
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    metrics = result.metrics()
    print(
        f"{number:>9,} requests at {rate:>4g}/s, {on['hardware']}, {store:<7} {timed.get('kernels', 'roofline')}:",
        f"{number / seconds:>8,.0f} requests a second,",
        f"last tenth {tenths[-1] / tenths[0]:.2f} of the first," if number >= LONG else "",
        f"{memory:.0f} MiB;",
        f"busy {metrics['busy']:.2f}, hits {metrics['hit_rate']:.2f}, TTFT p50 {metrics['ttft_p50_s']:.3f} s,",
        f"{metrics['iterations'] / number:.1f} iterations a request, {metrics['preemptions']:.0f} preemptions",
        flush=True,
    )


if __name__ == "__main__":
    served(500, 10)  # what is imported and compiled once
    for timed in (ROOFLINE, MODELLED):
        for rate in (2, 10, 18, 40):
            served(10_000, rate, timed=timed)
        for rate in (2, 10, 18):
            served(10_000, rate, "prefix", prefixes=True, timed=timed)
    served(10_000, 6, timed=IDEAL, on=ON_SN40L)
    if "--million" in sys.argv:
        for number in (LONG, 10 * LONG):
            served(number, 10)
