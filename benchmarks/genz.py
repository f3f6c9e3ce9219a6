"""GenZ (PyPI genz-llm 0.0.16) beside tiersim: the same 1,000 points of one decode step, in one run, and what they say.

    python benchmarks/genz.py PYTHON       # of an environment of its own with `pip install genz-llm==0.0.16`

Llama-3-70B in bf16 on 8 GPUs, 8 sequences with a context of 4,096 tokens; peak FLOP/s, HBM and link bandwidth vary. All
efficiencies are 1 and launches take no time, as in GenZ, whose ring starts in 5 us: here twice 2.5. GenZ leaves two CSV
files a point in /tmp/genz. A point is timed in seconds of the processor, the median, so that what else runs on the
machine favours neither. Bounds: a point at least 10,000 times faster where only evaluation counts, and the same times
within 3 %.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

POINTS, MANY, ALONE, ROUNDS, RATIO, APART = 1000, 1_000_000, 50, 11, 10_000, 0.03
GENZ = """
import sys, time
import numpy as np
from GenZ import decode_moddeling
from GenZ.system import System
from GenZ.unit import Unit

def step(peak, hbm, link):  # its bandwidths are in GiB/s
    system = System(Unit(), flops=peak / 1e12, offchip_mem_bw=hbm / 2**30, off_chip_mem_size=80 * 1024,
                    interchip_link_bw=link / 2**30, interchip_link_latency=0)
    found = decode_moddeling(model="meta-llama/Llama-3.1-70B", batch_size=8, input_tokens=4096, output_tokens=0, Bb=1,
                             system_name=system, bits="bf16", tensor_parallel=8)
    return found["Latency"] / 1e3

points = np.load(sys.argv[1])
step(*points[0])
seconds, clock = [], [time.process_time()]
for point in points:
    seconds.append(step(*point))
    clock.append(time.process_time())
print(np.median(np.diff(clock)))
np.save(sys.argv[2], seconds)
"""


def drawn(points: int) -> NDArray[np.float64]:
    """FLOP/s, B/s of HBM, B/s of links, of shape (points, 3): compute binds at some, HBM at most."""
    rng = np.random.default_rng(1)
    powers = ((13, 15), (12, 12.6), (11, 12))
    return np.stack([10 ** rng.uniform(low, high, points) for low, high in powers], axis=1)


def steps(points: NDArray[np.float64]) -> NDArray[np.float64]:
    from simulator.core import closed_form
    from simulator.hardware import load_system
    from simulator.mapping.lowering import model_plan
    from simulator.mapping.target import target
    from simulator.workload import decode, load_model

    gpu, link = "devices.gpu.engines.gpu", "links.gpu<->gpu"
    perfect = [f"{gpu}.efficiency=1", f"{gpu}.reads.hbm.efficiency=1", f"{link}.efficiency=1"]
    system = load_system("dgx-a100", [*perfect, f"{gpu}.launch_overhead=0 s", f"{link}.latency=2.5 us"])
    varied = {f"{gpu}.peak.bf16": points[:, 0], "devices.gpu.tiers.hbm.bandwidth": points[:, 1],
              f"{link}.bandwidth": points[:, 2]}  # fmt: skip
    plan = model_plan(target(system.at(varied)), load_model("llama-3-70b"), decode(8, 4096))
    found: NDArray[np.float64] = np.asarray(closed_form(plan).time)
    return found


def clock(points: NDArray[np.float64], batch: int, rounds: int) -> float:
    """Seconds a point in batches of that many, lowered anew each time: the median."""
    took = []
    for i in range(rounds):
        start = time.process_time()
        steps(points[i * batch % len(points) :][:batch])
        took.append(time.process_time() - start)
    return float(np.median(took)) / batch


def whole(*command: str) -> tuple[float, str]:
    """Seconds from the start of a process to its end, and what it says."""
    start = time.perf_counter()
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return time.perf_counter() - start, said


def compared(python: str) -> list[str]:
    points = drawn(POINTS)
    with TemporaryDirectory() as folder:
        given, theirs, ours = (str(Path(folder) / f"{name}.npy") for name in ("points", "theirs", "ours"))
        np.save(given, points)
        their_whole, said = whole(python, "-c", GENZ, given, theirs)
        our_whole, _ = whole(sys.executable, str(Path(__file__).resolve()), given, ours)
        ratios = np.load(ours) / np.load(theirs)
    their_point = float(said.split()[-1])
    steps(points)
    alone, at_once, many = clock(points, 1, ALONE), clock(points, POINTS, ROUNDS), clock(drawn(MANY), MANY, ROUNDS)
    for name, took in (("one at a time", alone), ("1,000 at once", at_once), ("1,000,000 at once", many)):
        ratio = f"{their_point / took:,.0f} x"
        print(f"a point: GenZ {their_point * 1e3:.1f} ms, tiersim {took * 1e6:.3g} us ({name}): {ratio}")
    print(f"1,000 points, from start to end: GenZ {their_whole:.1f} s, tiersim {our_whole:.2f} s: "
          f"{their_whole / our_whole:.0f} x")  # fmt: skip
    print(f"time of a step, tiersim / GenZ: {np.median(ratios):.3f}, from {ratios.min():.3f} to {ratios.max():.3f}")
    failed = [] if their_point / at_once >= RATIO else [f"less than {RATIO:,} x"]
    return failed + ([] if np.abs(ratios - 1).max() <= APART else [f"more than {APART:.0%} apart"])


if __name__ == "__main__":
    if len(sys.argv) == 3:
        np.save(sys.argv[2], steps(np.load(sys.argv[1])))
    elif len(sys.argv) == 2:
        sys.exit("; ".join(compared(sys.argv[1])) or 0)
    else:
        print("left out: it needs the Python of an environment with genz-llm")
