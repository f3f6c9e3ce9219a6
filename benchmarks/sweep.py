"""Design points of a decode step on one core: Llama-3-70B on 8 GPUs, 8 sequences with a context of 4,096 tokens.

1,000,000 points that differ in rates alone, layers folded: the time of the step; with it the time of each operator and
what binds it, kept for each point; and all metrics of the evaluator. Then, once and with nothing kept from before,
2,000 points that differ in structure, each lowered by itself, 200 of them with partitions for a dataflow engine.

Bounds, with the lowering: 3,000,000 points/s, and 300,000 with operators, or as many as 300 and 3,000 passes of
`numpy.multiply` over that many doubles take in the same run; 300 MiB without operators; 60 s for the 2,000.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable
from itertools import product
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from simulator.core import Plan, Quantity, closed_form
from simulator.core.account import breakdown
from simulator.core.plan import point
from simulator.hardware import load_system
from simulator.mapping.lowering import model_plan
from simulator.mapping.target import target
from simulator.scenario.cases import Columns, with_values
from simulator.scenario.evaluator import evaluated
from simulator.scenario.evaluators.batch import FULL, BatchEvaluator
from simulator.scenario.form import Scenario
from simulator.workload import decode, load_model

POINTS, ROUNDS = 1_000_000, 3
STEP_S, STEP_PASSES, STEP_MIB = POINTS / 3e6, 300, 300.0
OPERATORS_S, OPERATORS_PASSES = POINTS / 3e5, 3000
STRUCTURAL_S = 60.0
STEP = {
    "model": "llama-3-70b", "workload.phase": "decode", "workload.batch": 8, "workload.input": 4096,
    "workload.output": 2, "mapping.runtime": "ideal",
}  # fmt: skip
MODELS = (
    "bloom-176b", "deepseek-v3", "glam-143b", "grok-1", "llama-2-7b", "llama-2-13b", "llama-2-70b", "llama-3-8b",
    "llama-3-70b", "llama-3.1-405b", "mistral-7b", "mixtral-8x7b", "mixtral-8x22b", "qwen3-235b-a22b", "yi-34b",
)  # fmt: skip
METRICS = [metric.name for metric in BatchEvaluator.metrics]

T = TypeVar("T")
Points = dict[str, NDArray[np.float64]]


def rates() -> Points:
    rng = np.random.default_rng(1)
    return {
        "devices.gpu.tiers.hbm.bandwidth": rng.uniform(1e12, 4e12, POINTS),
        "devices.gpu.engines.gpu.peak.bf16": rng.uniform(1e14, 1e15, POINTS),
        "links.gpu<->gpu.bandwidth": rng.uniform(1e11, 1e12, POINTS),
        "links.gpu<->gpu.latency": rng.uniform(1e-6, 2e-5, POINTS),
        "devices.gpu.engines.gpu.launch_overhead": rng.uniform(0, 5e-6, POINTS),
    }


def lower(points: Points) -> Plan:
    return model_plan(target(load_system("dgx-a100").at(points)), load_model("llama-3-70b"), decode(8, 4096))


def operators(plan: Plan) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    """Seconds of each distinct operator, and which of its resources binds it, by number: (operators, points)."""
    activities = [activity for activity, _ in plan.activities()]
    seconds = np.zeros((len(activities), POINTS))
    binds = np.zeros(seconds.shape, dtype=np.uint8)
    for activity, took, which in zip(activities, seconds, binds, strict=True):
        for number, busy in enumerate(activity.seconds().values()):
            np.copyto(which, number, where=busy > took)
            np.maximum(took, busy, out=took)
        took += activity.latency
    return seconds, binds


def agree(plan: Plan, step: Quantity, seconds: NDArray[np.float64], binds: NDArray[np.uint8]) -> bool:
    """Whether operators add up to the step, and at some points are what `breakdown` has."""
    times = np.array([times for _, times in plan.activities()], dtype=float)
    same = np.allclose(times @ seconds, step, rtol=1e-9, atol=0)
    for row in range(0, POINTS, POINTS // 10):
        for part, took, which in zip(breakdown(point(plan, row)), seconds[:, row], binds[:, row], strict=True):
            same &= abs(took / part.time - 1) < 1e-9 and list(part.activity.demand)[which] is part.bound_by
    return bool(same)


def structural() -> list[tuple[Scenario, Columns]]:
    """No two points share a lowering: the batch follows from the rest, and partitions hang on the HBM bandwidth."""
    designs = product(MODELS, ("bf16", "fp16", "fp32", "fp8", "int8"), (1, 2, 4, 8), ("unfused", "conventional"),
                      (1, 4, 16))  # fmt: skip
    points = list(designs)
    paths = ("model", "mapping.dtype", "mapping.devices", "mapping.fusion", "workload.batch")
    types = (object, object, int, object, int)
    columns = {p: np.array([each[i] for each in points], types[i]) for i, p in enumerate(paths)}
    bandwidths = {"hardware.devices.socket.tiers.hbm.bandwidth": np.linspace(0.9e12, 7.2e12, 200)}
    gpus = {"hardware": "dgx-h100", "mapping.runtime": "ideal", "workload.phase": "decode", "workload.input": 1024}
    bases = (gpus, STEP | {"hardware": "sn40l-node"})
    return list(zip((with_values(Scenario(), base) for base in bases), (columns, bandwidths), strict=True))


def passes() -> None:
    a, b, out = np.full(POINTS, 1.5), np.full(POINTS, 2.5), np.empty(POINTS)
    for _ in range(STEP_PASSES):
        np.multiply(a, b, out=out)


def clock(run: Callable[..., T], *arguments: Any) -> tuple[float, T]:
    start = time.perf_counter()
    found = run(*arguments)
    return time.perf_counter() - start, found


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def rate_only(failed: list[str]) -> None:
    lower({})  # imports what is imported late
    before = peak_mib()
    points = rates()
    columns = {f"hardware.{path}": values for path, values in points.items()}
    scenario = with_values(Scenario(), STEP | {"hardware": "dgx-a100"})
    without_bound = [name for name in METRICS if name != "bound_by"]
    rounds: list[tuple[float, ...]] = []
    memory = 0.0
    for _ in range(ROUNDS):
        lowered, plan = clock(lower, points)
        timed, step = clock(closed_form, plan)
        memory = memory or peak_mib() - before
        split, (seconds, binds) = clock(operators, plan)
        if not rounds and not agree(plan, step.time, seconds, binds):
            failed.append("the operators are not those of the step")
        del plan, seconds, binds
        alone, found = clock(evaluated, scenario, columns, without_bound)
        if set(found["error"]) != {""} or not np.allclose(found["tbt_s"], step.time, rtol=1e-12, atol=0):
            failed.append("the evaluator times another step")
        bound, _ = clock(evaluated, scenario, columns, METRICS)
        ruler, _ = clock(passes)
        rounds.append((timed, lowered + timed, timed + split, lowered + timed + split, alone, bound, ruler))
    timed, whole, split, kept, alone, bound, ruler = (min(column) for column in zip(*rounds, strict=True))
    print(f"{POINTS:,} points of rates alone; {STEP_PASSES} passes take {ruler:.2f} s; a step takes {memory:.0f} MiB")
    for name, took in (
        ("a step", timed), ("a step, with the lowering", whole), ("its operators and what binds each", split),
        ("its operators, with the lowering", kept), ("all metrics", alone), ("all metrics, and what binds most", bound),
    ):  # fmt: skip
        print(f"{name}: {took:.3f} s, {POINTS / took / 1e6:.2f} M points/s, {took / ruler * STEP_PASSES:.0f} passes")
    for name, took, limit, rulers in (
        ("a step", whole, STEP_S, 1), ("operators", kept, OPERATORS_S, OPERATORS_PASSES / STEP_PASSES),
    ):  # fmt: skip
        if took > max(limit, ruler * rulers):
            failed.append(f"{name}: {took:.2f} s, more than {limit:.2f} and than {rulers * STEP_PASSES:.0f} passes")
    if memory > STEP_MIB:
        failed.append(f"{memory:.0f} MiB, more than {STEP_MIB:.0f}")


def each_lowered(failed: list[str]) -> None:
    total = 0.0
    for scenario, columns in structural():
        took, found = clock(evaluated, scenario, columns)
        errors = found["error"].tolist()
        print(f"{len(errors):,} structures on {scenario.hardware}: {took:.1f} s, "
              f"{took / len(errors) * 1e3:.1f} ms each; {errors.count(FULL):,} too large for it")  # fmt: skip
        failed += sorted(set(errors) - {"", FULL})
        total += took
    if total > STRUCTURAL_S:
        failed.append(f"structures: {total:.0f} s, more than {STRUCTURAL_S:.0f}")


if __name__ == "__main__":
    failed: list[str] = []
    rate_only(failed)
    each_lowered(failed)
    sys.exit("; ".join(failed) or 0)
