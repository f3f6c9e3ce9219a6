"""The machine at hand, measured, made a machine, and asked what was not measured: a chain of products, and reads.

One thread computes, so that others who share the machine leave it a core. Bounds: 15 % for the products, 15 % for the
reads, of what both take when they are measured right after. Writes into a folder of its own, which goes at the end; its
disk is the one that is measured.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import simulator

SIZE, BOUND = 2**30, 0.15

if __name__ == "__main__":
    start = time.perf_counter()
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        rows = Path(folder) / "host.csv"
        simulator.measure("cpu", rows, threads=(1,))
        simulator.measure("disk", rows, size=SIZE)
        system = simulator.fit_machine(rows, Path(folder) / "host.yaml", threads=1)
        checks = simulator.check_machine(system, size=SIZE, threads=1)
    for each in checks:
        print(
            f"{'  ' * each.part}{each.workload}: {each.predicted:.4g} s predicted, {each.measured:.4g} s measured "
            f"({each.of}; spread {each.spread:.0%}), {each.error:+.1%}"
        )
    print(f"{time.perf_counter() - start:.0f} s in all")
    late = [f"{each.workload}: {each.error:+.1%}" for each in checks if not each.part and abs(each.error) > BOUND]
    sys.exit("; ".join(late) or 0)
