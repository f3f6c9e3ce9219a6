"""The Pareto front of 1,000,000 points in three objectives, for four shapes of the cloud.

Bound: 4 times what 1,000 `numpy.multiply` passes over 1,000,000 doubles take in the same run (a ruler for the machine).
A stream of the same points, 10,000 at a time, must give the same front.
"""

from __future__ import annotations

import sys
import time

import numpy as np
from numpy.typing import NDArray

from simulator.study.questions.pareto import Sense, front, merge

POINTS, CHUNK, BOUND = 1_000_000, 10_000, 4.0
SENSES: tuple[Sense, ...] = ("max", "min", "min")


def ruler() -> float:
    a = np.ones(1_000_000)
    out = np.empty_like(a)
    start = time.perf_counter()
    for _ in range(1000):
        np.multiply(a, 1.0001, out=out)
    return time.perf_counter() - start


def clouds() -> dict[str, NDArray[np.float64]]:
    """In turn: few points on the front, many equal ones, one in six, and all of them."""
    rng = np.random.default_rng(1)
    turned = np.array([-1.0, 1.0, 1.0])  # drawn as costs
    drawn = np.abs(rng.normal(size=(POINTS, 3)))
    on_a_sphere = drawn / np.linalg.norm(drawn, axis=1)[:, None]
    return {
        "uniform": rng.random((POINTS, 3)) * turned,
        "30 levels": rng.integers(0, 30, (POINTS, 3)) * turned,
        "near a sphere": (1 - on_a_sphere * rng.uniform(0.99, 1, (POINTS, 1))) * turned,
        "on a sphere": (1 - on_a_sphere) * turned,
    }


def streamed(values: NDArray[np.float64]) -> NDArray[np.float64]:
    kept = values[:0]
    for start in range(0, POINTS, CHUNK):
        chunk = values[start : start + CHUNK]
        old, new = merge(kept, chunk, SENSES)
        kept = np.concatenate([kept[old], chunk[new]])
    return kept


if __name__ == "__main__":
    unit, slowest, wrong = ruler(), 0.0, []
    for name, values in clouds().items():
        start = time.perf_counter()
        mask = front(values, SENSES)
        took = time.perf_counter() - start
        slowest = max(slowest, took / unit)
        print(f"{name}: {took:.2f} s = {took / unit:.2f} rulers, {mask.sum():,} points on the front")
        if mask.sum() < CHUNK:
            start = time.perf_counter()
            wrong += [] if np.array_equal(streamed(values), values[mask]) else [f"{name}: a stream gives another front"]
            print(f"  as a stream: {time.perf_counter() - start:.2f} s")
    late = [f"{slowest:.1f} rulers, more than {BOUND:g}"] if slowest > BOUND else []
    sys.exit("; ".join(late + wrong) or 0)
