"""GEMMs of a decode step on GPUs that differ in rates alone: Llama-3-70B, TP 8, 8 sequences, one core.

200,000 design points vary clock, peak, DRAM bandwidth, and the L2 rate with the clock. Bound: 8,000 passes of
`numpy.multiply` over as many doubles, in chunks that stay in cache as a sweep has them.
"""

from __future__ import annotations

import sys
import time
from dataclasses import replace

import numpy as np

from simulator.hardware import load_system
from simulator.mapping.gpu.chip import chip_of
from simulator.mapping.gpu.gemm import GemmLibrary, gemm_seconds

POINTS, CHUNK, PASSES = 200_000, 8_192, 8_000
LIBRARY = GemmLibrary()
STEP = {  # (m, n, k) of a device, and how many a step has
    "qkv": ((8, 1280, 8192), 80),
    "output": ((8, 8192, 1024), 80),
    "gate_up": ((8, 7168, 8192), 80),
    "down": ((8, 8192, 3584), 80),
    "head": ((8, 16032, 8192), 1),
}


def main() -> int:
    rng = np.random.default_rng(1)
    chip = chip_of(load_system("h100-sxm"))
    rates = {name: rng.uniform(0.5, 2.0, POINTS) for name in ("clock", "bandwidth", "peak")}
    begun = time.process_time()
    for at in range(0, POINTS, CHUNK):
        clock, bandwidth, peak = (rates[name][at : at + CHUNK] for name in ("clock", "bandwidth", "peak"))
        point = replace(
            chip,
            clock=chip.clock * clock,
            bandwidth=chip.bandwidth * bandwidth,
            peak={"bf16": chip.peak["bf16"] * peak},
        )
        step = sum(times * gemm_seconds(*shape, point, LIBRARY, warm=False) for shape, times in STEP.values())
    taken = time.process_time() - begun
    assert np.all(step > 0)
    a, out = rates["clock"][:CHUNK], np.empty(CHUNK)
    begun = time.process_time()
    for _ in range(1000):
        np.multiply(a, a, out=out)
    ruler = (time.process_time() - begun) / 1000 / CHUNK
    passes = taken / POINTS / ruler
    print(f"{POINTS / taken:,.0f} points/s, {passes:,.0f} passes of numpy.multiply (bound {PASSES:,})")
    return int(passes > PASSES)


if __name__ == "__main__":
    sys.exit(main())
