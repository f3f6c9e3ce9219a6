"""A decode step of Llama-3-70B on GPUs that differ in rates alone, its kernels timed by models: TP 8, 8 sequences.

Design points vary clock, peak, DRAM bandwidth, and the L2 rate with the clock; lowering is in it, one core. Bound:
8,000 passes of `numpy.multiply` over as many doubles; the roofline of the same step stands beside it.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import numpy as np

from simulator.scenario.evaluator import evaluated
from simulator.scenario.form import Scenario

POINTS, ROUNDS, PASSES = 262_144, 3, 8_000
STEP: dict[str, Any] = {
    "hardware": "dgx-h100", "model": "llama-3-70b",
    "workload": {"kind": "batch", "phase": "decode", "batch": 8, "input": 1024},
}  # fmt: skip
GPU = "hardware.devices.gpu"


def taken(kernels: str, columns: dict[str, np.ndarray]) -> float:
    """Processor seconds of all points, the least of some rounds."""
    scenario = Scenario.model_validate(STEP | {"mapping": {"tensor": 8, "kernels": kernels}})
    least = float("inf")
    for _ in range(ROUNDS):
        begun = time.process_time()
        metrics = evaluated(scenario, columns, ("tbt_s",))
        least = min(least, time.process_time() - begun)
        assert np.all(metrics["tbt_s"] > 0)
    return least


def main() -> int:
    rng = np.random.default_rng(1)
    columns = {
        f"{GPU}.tiers.hbm.bandwidth": 3.35e12 * rng.uniform(0.5, 2.0, POINTS),
        f"{GPU}.engines.gpu.peak.bf16": 989e12 * rng.uniform(0.5, 2.0, POINTS),
    }
    clock = {f"{GPU}.engines.gpu.chip.clock": 1.83e9 * rng.uniform(0.5, 2.0, POINTS)}
    modelled, roofline = taken("modelled", columns | clock), taken("roofline", columns)
    a = rng.uniform(1, 2, 8192)
    out = np.empty_like(a)
    rulers = []
    for _ in range(ROUNDS):
        begun = time.process_time()
        for _ in range(1000):
            np.multiply(a, a, out=out)
        rulers.append((time.process_time() - begun) / 1000 / len(a))
    passes = modelled / POINTS / min(rulers)
    print(f"modelled {POINTS / modelled:,.0f} points/s, {passes:,.0f} passes of numpy.multiply (bound {PASSES:,})")
    print(f"roofline {POINTS / roofline:,.0f} points/s, {roofline / POINTS / min(rulers):,.0f} passes")
    return int(passes > PASSES)


if __name__ == "__main__":
    sys.exit(main())
