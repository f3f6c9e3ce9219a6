"""The machine at hand, measured, made a machine, and asked what was not measured: a chain of products, and reads.

One thread computes, so that others who share the machine leave it a core. It is measured, made and asked in turns, each
from nothing: what drifts between a turn's measuring and its asking, a shared disk above all, drifts both ways over the
turns, and an error of the model does not. Bounds: 15 % for the products and for the reads, in the median of the turns.
Writes into folders of its own, which go at the end; their disk is the one that is measured.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from statistics import median

import simulator
from simulator.validation.fitted.check import Check

SIZE, BOUND, TURNS = 2**30, 0.15, 5


def turn() -> list[Check]:
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        rows = Path(folder) / "host.csv"
        simulator.measure("cpu", rows, threads=(1,))
        simulator.measure("disk", rows, size=SIZE)
        system = simulator.fit_machine(rows, Path(folder) / "host.yaml", threads=1)
        return simulator.check_machine(system, size=SIZE, threads=1)


if __name__ == "__main__":
    start = time.perf_counter()
    errors: dict[str, list[float]] = defaultdict(list)
    for _ in range(TURNS):
        for each in turn():
            print(
                f"{'  ' * each.part}{each.workload}: {each.predicted:.4g} s predicted, {each.measured:.4g} s measured "
                f"({each.of}; spread {each.spread:.0%}), {each.error:+.1%}",
                flush=True,
            )
            if not each.part:
                errors[each.workload].append(each.error)
    for workload, of in errors.items():
        print(f"{workload}, median of {TURNS} turns: {median(of):+.1%}")
    print(f"{time.perf_counter() - start:.0f} s in all")
    late = [f"{workload}: {median(of):+.1%}" for workload, of in errors.items() if abs(median(of)) > BOUND]
    sys.exit("; ".join(late) or 0)
