"""Continuous batching: the whole of Duplex's Fig 11, and one long run, in seconds and in simulated tokens a second.

Fig 11 is 135 points (5 systems, 3 models, 3 lengths, 3 batch sizes), each a steady state of 20 batches of requests, in
one process. The long run is Mixtral on the full Duplex, 4,096 tokens in, 512 out, batch 128, 10,000 requests. Bounds:
75 s and 5 s. Beside them, a ruler for the machine: seconds of 1,000 `numpy.multiply` passes over 1,000,000 doubles.
"""

from __future__ import annotations

import sys
import time

import numpy as np

from simulator.hardware import load_system
from simulator.mapping.deployment import by_nodes, resolve
from simulator.mapping.form import MappingForm
from simulator.serving.closed_loop import layout, load, timed
from simulator.serving.stages import Stages
from simulator.study.load import load_study
from simulator.study.results import results_of
from simulator.workload import load_model
from simulator.workload.requests.lengths import Lengths
from simulator.workload.routing.routers import uniform


def ruler() -> float:
    a = np.ones(1_000_000)
    out = np.empty_like(a)
    start = time.perf_counter()
    for _ in range(1000):
        np.multiply(a, 1.0001, out=out)
    return time.perf_counter() - start


def fig11() -> tuple[float, float]:
    start = time.perf_counter()
    points = results_of(load_study("duplex"), [("tokens_per_s", {"run": "fig11"})]).named("fig11")
    tokens = float((points["admitted"] * points["output"] * 20).sum())
    return time.perf_counter() - start, tokens


def long_run(requests: int = 10_000) -> tuple[float, float]:
    start = time.perf_counter()
    system, model = load_system("duplex-node"), load_model("mixtral-8x7b")
    form = MappingForm(dispatch="static_by_layer", together=True, split="greedy")
    stages = Stages(resolve(by_nodes(form, system), system, model))
    found = layout(Lengths(4096, 512, 0.4), 128, requests / 128)
    served = timed(stages, load(found, uniform(8, 2), stages.layers)).served
    return time.perf_counter() - start, served.tokens


if __name__ == "__main__":
    unit, late = ruler(), []
    for name, run, bound in (("Fig 11, 135 points", fig11, 75.0), ("10,000 requests", long_run, 5.0)):
        seconds, tokens = run()
        print(f"{name}: {seconds:.1f} s = {seconds / unit:.1f} rulers, {tokens / seconds:,.0f} simulated tokens/s")
        late += [f"{name}: more than {bound:.0f} s"] if seconds > bound else []
    sys.exit("; ".join(late) or 0)
