"""Streaming fusion at 1,000 design points: a decode step of 16 sequences by Llama-3.1-405B on 16 SN40L sockets.

SRAM x PCUs x HBM bandwidth: each point is a machine and a partition of its own, of one kernel a layer or more; two
processes. Bounds: 30 s in all, and 1 s for one partition with nothing kept from before. Beside them, in the same run:
passes of `numpy.multiply` over a million doubles.
"""

from __future__ import annotations

import sys
import time
from itertools import product

import numpy as np
from joblib import Parallel, delayed

from simulator.core import closed_form
from simulator.hardware import load_system
from simulator.mapping.dataflow.cuts import cuts
from simulator.mapping.dataflow.demands import all_demands
from simulator.mapping.dataflow.partition import partition
from simulator.mapping.lowering import model_plan
from simulator.mapping.target import Target, target
from simulator.workload import OperatorGraph, decode, load_model, operator_graph

SRAM, PCUS, HBM = (np.geomspace(low, high, 10) for low, high in ((16, 1040), (130, 2080), (0.9e12, 7.2e12)))
BATCH = 16
PROCESSES, CHUNK, PASSES = 2, 100, 200
SWEEP_S, COLD_S = 30.0, 1.0

Point = tuple[float, float, float]


def graph() -> OperatorGraph:
    return operator_graph(load_model("llama-3.1-405b"), decode(BATCH, 8192))


def machine(point: Point) -> Target:
    sram, pcus, hbm = point
    figures = {
        "tiers.sram.capacity": f"{sram} MiB",
        "engines.rdu.fabric.pcus": round(pcus),
        "engines.rdu.peak.bf16": f"{638 / 1040 * round(pcus)} TFLOP/s",
        "tiers.hbm.bandwidth": f"{hbm} B/s",
    }
    return target(load_system("sn40l-rack16", [f"devices.socket.{key}={value}" for key, value in figures.items()]))


def times(points: list[Point]) -> list[tuple[float, int]]:
    """Seconds of a step, and the kernels of a layer, at each point.

    The graph is built once; so are the demands of its kernels, which no machine changes.
    """
    found, blocks = [], graph().blocks
    for point in points:
        runner = machine(point)
        parts = [partition(runner, block) for block in blocks]
        seconds = sum(part.seconds * block.repeat for part, block in zip(parts, blocks, strict=True))
        found.append((seconds, len(parts[1].pipelines)))
    return found


def passes() -> float:
    a, out = np.full(1_000_000, 1.5), np.empty(1_000_000)
    start = time.perf_counter()
    for _ in range(PASSES):
        np.multiply(a, a, out=out)
    return (time.perf_counter() - start) / PASSES


def cold() -> float:
    """Seconds of the slowest block of a pass, with nothing kept from before."""
    runner, took = machine((520, 1040, 1.8e12)), []
    for block in graph().blocks:
        cuts.cache_clear()
        all_demands.cache_clear()
        start = time.perf_counter()
        partition(runner, block)
        took.append(time.perf_counter() - start)
    return max(took)


if __name__ == "__main__":
    points = list(product(SRAM, PCUS, HBM))
    chunks = [points[i : i + CHUNK] for i in range(0, len(points), CHUNK)]
    alone = cold()
    start = time.perf_counter()
    found = [pair for part in Parallel(PROCESSES)(delayed(times)(chunk) for chunk in chunks) for pair in part]
    took, unit = time.perf_counter() - start, passes()
    step = float(closed_form(model_plan(machine(points[0]), load_model("llama-3.1-405b"), decode(BATCH, 8192))).time)
    assert abs(step / found[0][0] - 1) < 1e-9, "the sweep does not time the plan of the model"
    most = max(kernels for _, kernels in found)
    print(f"{len(points):,} points in {took:.1f} s on {PROCESSES} cores ({took / len(points) / unit:.0f} passes each), "
          f"1 to {most} kernels a layer; a cold partition {alone:.2f} s ({alone / unit:.0f} passes)")  # fmt: skip
    sys.exit(0 if took <= SWEEP_S and alone <= COLD_S else f"more than {SWEEP_S:.0f} s, or {COLD_S:.0f} s cold")
