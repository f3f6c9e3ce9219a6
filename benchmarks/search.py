"""How much of the Pareto front searches find within 5 % of the points, beside random search.

Three spaces of 21,600 to 54,000 machines made up for this (rooflines: tokens/s, area and J/token, under limits of time,
power, area and memory), small enough to enumerate. The hypervolume is taken from the best to the worst of each
objective on the front of all points; medians of 5 seeds. Bounds: local search reaches 95 % of it, and more than random
search. `python benchmarks/search.py METHOD` runs one more, as a plugin has it.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from math import prod
from typing import Any, NamedTuple

import numpy as np

from simulator.study.questions.pareto import Sense, front, hypervolume, normalised
from simulator.study.search import search
from simulator.study.space.columns import Columns

SHARE, GOAL, SEEDS, BATCH = 0.05, 0.95, 5, 32
METHODS = ("local", "tpe", "random", "sobol", "latin", "nsga2", "nsga3")
OBJECTIVES: dict[str, Sense] = {"tokens_per_s": "max", "area_mm2": "min", "energy_j": "min"}


class Lattice(NamedTuple):
    """Levels of each axis, the metrics of points, and which of them are feasible."""

    axes: dict[str, Any]
    evaluate: Callable[[Columns], Columns]
    feasible: Callable[[Columns], Any]

    @property
    def sizes(self) -> tuple[int, ...]:
        return tuple(len(levels) for levels in self.axes.values())

    def at(self, indices: Any) -> Columns:
        return {name: levels[each] for (name, levels), each in zip(self.axes.items(), indices.T, strict=True)}


def metrics(batch: Any, time: Any, area: Any, joules: Any) -> dict[str, Any]:
    return {"tokens_per_s": batch / time, "area_mm2": area, "energy_j": joules / batch, "tbt_s": time,
            "power_w": joules / time}  # fmt: skip


def devices_and_links() -> Lattice:
    """A dense model over devices: compute, bandwidth and links; SRAM makes GEMMs efficient."""
    axes = {
        "bandwidth": np.geomspace(1e12, 8e12, 8),
        "peak": np.geomspace(1e14, 2e15, 8),
        "sram": 2.0 ** np.arange(5, 9),
        "batch": 2.0 ** np.arange(8),
        "devices": 2.0 ** np.arange(4),
        "link": np.geomspace(1e11, 8e11, 4),
    }

    def evaluate(c: Columns) -> Columns:
        b, n = c["batch"], c["devices"]
        flops, size = 140e9 * b, 140e9 + 1.3e9 * b
        compute = flops / (0.7 * c["peak"] * n * np.sqrt(c["sram"] / 256))
        reduce = np.where(n > 1, 160 * (6e-6 + b * 32768 * (n - 1) / n / c["link"]), 0)
        time = np.maximum(compute, size / (0.8 * c["bandwidth"] * n)) + reduce + 2e-3
        part = c["peak"] / 4e12 + 1.2 * c["sram"] + c["bandwidth"] / 4e10 + c["link"] / 1.7e10 + 60
        joules = 0.6e-12 * flops + 32e-12 * size + n * ((60 + 0.08 * part) * time + 20 * reduce)
        fits = size / n < 24e9 * np.ceil(c["bandwidth"] / 0.8e12)
        return {**metrics(b, time, n * part, joules), "fits": fits}

    return Lattice(
        axes, evaluate, lambda m: m["fits"] & (m["tbt_s"] < 0.1) & (m["power_w"] < 5e3) & (m["area_mm2"] < 5e3)
    )


def compute_in_memory() -> Lattice:
    """An xPU beside compute in the memory, by policy: none, the faster for each part, both at once."""
    axes = {
        "peak": np.geomspace(5e13, 1e15, 6),
        "bandwidth": np.geomspace(0.8e12, 6e12, 5),
        "times": 2.0 ** np.arange(5),
        "pim": np.geomspace(1e12, 3e14, 6),
        "batch": 2.0 ** np.arange(8),
        "policy": np.arange(3),
    }

    def evaluate(c: Columns) -> Columns:
        b, policy = c["batch"], c["policy"]
        parts: dict[str, tuple[Any, Any]] = {
            "dense": (20e9 * b, 10e9),
            "experts": (25e9 * b, 45e9 * (1 - 0.75**b)),
            "attention": (8e9 * b, 1e9 * b),
        }
        xpu = {k: np.maximum(f / c["peak"] / 0.7, s / c["bandwidth"] / 0.85) + 2e-5 for k, (f, s) in parts.items()}
        pim = {k: np.maximum(f / c["pim"], s / c["bandwidth"] / c["times"]) + 6e-5 for k, (f, s) in parts.items()}
        alone = xpu["experts"] + xpu["attention"]
        faster = sum(np.minimum(xpu[k], pim[k]) for k in ("experts", "attention"))
        both = 1 / (1 / xpu["experts"] + 1 / pim["experts"]) + pim["attention"]
        time = xpu["dense"] + np.choose(policy, [alone, faster, both])
        inside = np.choose(policy, [0.0, 0.6, 0.8])
        area = c["peak"] / 3.3e12 + c["bandwidth"] / 3.3e10 + 80
        area = area + (policy > 0) * (c["pim"] / 1.1e12 + c["times"] * c["bandwidth"] / 2.5e11)
        flops, size = (sum(part[i] for part in parts.values()) for i in range(2))
        joules = flops * (0.6e-12 + 0.5e-12 * inside) + size * (32e-12 - 19e-12 * inside) + (50 + 0.12 * area) * time
        return metrics(b, time, area, joules)

    return Lattice(axes, evaluate, lambda m: (m["tbt_s"] < 0.06) & (m["power_w"] < 700) & (m["area_mm2"] < 700))


def phone_flash() -> Lattice:
    """A phone that reads what is active from flash, with less memory than the model has weights."""
    axes = {
        "flash": np.geomspace(1e9, 16e9, 5),
        "chunk": 2.0 ** np.arange(12, 17),
        "dram": np.array([1e9, 2e9, 3e9, 4e9, 6e9, 8e9]),
        "bandwidth": np.geomspace(25e9, 130e9, 5),
        "npu": np.geomspace(2e12, 40e12, 4),
        "bits": np.array([4.0, 8, 16]),
        "predictor": np.arange(3),
        "prefetch": np.arange(2),
    }

    def evaluate(c: Columns) -> Columns:
        size, active = 7e9 * c["bits"] / 8, np.choose(c["predictor"], [0.5, 0.2, 0.08])
        missed = size * active * (1 - np.minimum(1, (c["dram"] - 0.4e9) / size)) ** 1.2 * (1 + c["chunk"] / 2e5)
        reads = missed / np.minimum(c["flash"], 32 * c["chunk"] / 8e-5)
        compute = 14e9 * active * np.sqrt(c["bits"] / 8) / c["npu"] + np.choose(c["predictor"], [0, 2e-3, 6e-3])
        rest = 1.1 * size * active / c["bandwidth"] + compute
        time = np.where(c["prefetch"] == 1, 1.05 * np.maximum(reads, rest) + 1e-3, reads + rest)
        area = c["flash"] / 7e8 + c["dram"] / 1.7e8 + c["bandwidth"] / 4e9 + c["npu"] / 5.6e11 + 4
        joules = 120e-12 * missed + 40e-12 * size * active + 1.4e-3 * active * c["bits"] + (0.4 + 0.01 * area) * time
        loss = (16 - c["bits"]) / 600 + np.choose(c["predictor"], [0, 0.01, 0.03])
        return {**metrics(1.0, time, area, joules), "loss": loss}

    return Lattice(axes, evaluate, lambda m: (m["loss"] <= 0.045) & (m["area_mm2"] < 110) & (m["tbt_s"] < 1))


def compared(space: Lattice, methods: list[str]) -> dict[str, float]:
    """The median share of the hypervolume of all points that each method reaches."""
    points, senses = prod(space.sizes), list(OBJECTIVES.values())
    every = space.evaluate(space.at(np.stack(np.unravel_index(np.arange(points), space.sizes), axis=1)))
    feasible = space.feasible(every)
    values = np.stack([every[name][feasible] for name in OBJECTIVES], axis=1)
    values = values[front(values, senses)]
    low, high = values.min(axis=0), values.max(axis=0)
    best, worst = (np.where([s == sense for s in senses], low, high) for sense in ("min", "max"))
    whole = hypervolume(normalised(values, senses, best, worst), ["min"] * 3, np.ones(3))
    print(
        f"{points:,} points, {feasible.sum():,} feasible, {len(values)} on the front; {int(SHARE * points):,} evaluated"
    )
    found = {}
    for method in methods:
        start = time.perf_counter()
        runs = [
            search(space, space.evaluate, OBJECTIVES, space.feasible, method, int(SHARE * points), BATCH, seed)
            for seed in range(SEEDS)
        ]
        took = (time.perf_counter() - start) / SEEDS
        median = np.median([run.progress(best, worst) / whole for run in runs], axis=0)
        at = [f"{median[int(share * points) - 1]:.1%} at {share:.0%}" for share in (0.01, 0.02, SHARE)]
        print(f"  {method:7s} {', '.join(at)}; {took:.1f} s a run", flush=True)
        found[method] = float(median[-1])
    return found


if __name__ == "__main__":
    short = []
    for make in (devices_and_links, compute_in_memory, phone_flash):
        print(make.__name__.replace("_", " "), end=": ")
        share = compared(make(), [*METHODS, *sys.argv[1:]])
        if share["local"] < GOAL or share["local"] <= share["random"]:
            short.append(f"{make.__name__}: local {share['local']:.1%}, random {share['random']:.1%}")
    sys.exit("; ".join(short) or 0)
