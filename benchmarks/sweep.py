"""A decode step of Llama-3-70B on 8 GPUs at 1,000,000 design points that differ in rates alone.

Bounds: no more than 500 passes of `numpy.multiply` over as many doubles take in the same run, and 300 MiB.
"""

from __future__ import annotations

import resource
import sys
import time

import numpy as np

from simulator.core import closed_form
from simulator.hardware import load_system
from simulator.mapping.lowering import model_plan
from simulator.mapping.target import target
from simulator.workload import decode, load_model

POINTS, PASSES, BOUND_MIB, ROUNDS = 1_000_000, 500, 300.0, 3


def passes() -> float:
    a, b, out = np.full(POINTS, 1.5), np.full(POINTS, 2.5), np.empty(POINTS)
    start = time.perf_counter()
    for _ in range(PASSES):
        np.multiply(a, b, out=out)
    return time.perf_counter() - start


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def sweep() -> tuple[float, float]:
    """Seconds, and MiB more at the peak: the design points' own arrays, the lowering and the closed form."""
    system, model = load_system("dgx-a100"), load_model("llama-3-70b")
    model_plan(target(system), model, decode(8, 4096))  # imports what is imported late
    before, start = peak_mib(), time.perf_counter()
    rng = np.random.default_rng(1)
    points = {
        "devices.gpu.tiers.hbm.bandwidth": rng.uniform(1e12, 4e12, POINTS),
        "devices.gpu.engines.gpu.peak.bf16": rng.uniform(1e14, 1e15, POINTS),
        "links.gpu<->gpu.bandwidth": rng.uniform(1e11, 1e12, POINTS),
        "links.gpu<->gpu.latency": rng.uniform(1e-6, 2e-5, POINTS),
        "devices.gpu.engines.gpu.launch_overhead": rng.uniform(0, 5e-6, POINTS),
    }
    closed_form(model_plan(target(system.at(points)), model, decode(8, 4096)))
    return time.perf_counter() - start, peak_mib() - before


if __name__ == "__main__":
    took, memory = sweep()
    took = min([took] + [sweep()[0] for _ in range(ROUNDS - 1)])
    limit = min(passes() for _ in range(ROUNDS))
    print(f"{POINTS:,} points in {took:.2f} s ({POINTS / took / 1e6:.1f} M points/s), {memory:.0f} MiB; "
          f"{PASSES} passes take {limit:.2f} s: {took / limit:.2f} of it")  # fmt: skip
    sys.exit(0 if took <= limit and memory <= BOUND_MIB else "beyond the bound")
