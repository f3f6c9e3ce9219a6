"""What the points of a sweep do, part by part: the prefill, a decode step, all of them; their times and energy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from simulator.core import Plan, Resource, closed_form
from simulator.core.steps import Steps, even_steps
from simulator.hardware import System
from simulator.mapping.passes import Passes, mean_context
from simulator.serving import generation
from simulator.workload import Model


class Part(NamedTuple):
    """Seconds and total demands of a prefill, a decode step, or all decode steps of a point; `plan`: of one pass."""

    seconds: Any
    demand: Mapping[Resource, Any]
    plan: Plan


def parts_of(passes: Passes, model: Model, phase: str, input: Any, output: Any, varied: bool) -> dict[str, Part]:
    """What a point does, by name; the `steps` of a request one by one, or of many points at once in even runs."""
    found = {}
    if phase != "decode":
        found["prefill"] = _part(passes.first)
    if phase != "prefill":
        found["decode"] = _part(passes.step(mean_context(input, output)))
    if phase == "request" and varied:
        bends = {layer.window - 1.0 for layer in model.decoder if layer.window}
        found["steps"] = _together(even_steps(passes.step, input, output - 1, tuple(bends)), found["decode"].plan)
    elif phase == "request":
        run = generation.generated(passes, int(input), int(output))
        demand = run.steps.demand().items() if run.steps else ()
        number = len(run.step_times)
        total = {resource: generation.summed(each, number) for resource, each in demand}
        found["steps"] = Part(float(np.sum(run.step_times)), total, found["decode"].plan)
    return found


def _part(plan: Plan) -> Part:
    return Part(closed_form(plan).time, plan.demand(), plan)


def _together(runs: Sequence[Steps], step: Plan) -> Part:
    demand: dict[Resource, Any] = {}
    for run in runs:
        for resource, units in run.demand().items():
            demand[resource] = demand.get(resource, 0.0) + units
    return Part(sum((run.time() for run in runs), start=0.0), demand, step)


def times(parts: Mapping[str, Part], phase: str, batch: Any, output: Any, points: int) -> dict[str, Any]:
    """Seconds of the parts and of the whole request, NaN where the phase has none; tokens a second of all sequences."""
    unknown = np.full(points, np.nan)
    ttft, tbt = (
        np.broadcast_to(parts[name].seconds, points) if name in parts else unknown for name in ("prefill", "decode")
    )
    found = {"ttft_s": ttft, "tbt_s": tbt, "e2e_s": unknown}
    if phase == "decode":
        return found | {"tokens_per_s": batch / tbt}
    if phase == "prefill":
        return found | {"tokens_per_s": batch / ttft}
    whole = ttft + parts["steps"].seconds
    return found | {"e2e_s": whole, "tokens_per_s": batch * output / whole}


def energies(
    system: System,
    parts: Mapping[str, Part],
    times: Mapping[str, Any],
    phase: str,
    batch: Any,
    output: Any,
    points: int,
) -> dict[str, Any]:
    """Joules a token, and watts: of the step, of the prefill, or of the whole request."""
    done = ("prefill", "steps") if phase == "request" else (phase,)
    seconds = times["e2e_s"] if phase == "request" else times["tbt_s"] if phase == "decode" else times["ttft_s"]
    powers = [(system.machine.static_power, system.machine.nodes)]
    powers += [(device.static_power, system.count(name)) for name, device in system.machine.devices.items()]
    joules: Any = np.zeros(points)
    for watts, count in powers:
        joules = joules + (np.nan if watts is None else watts * count) * seconds
    for name in done:
        for resource, units in parts[name].demand.items():
            each: Any = np.nan if resource.energy is None else resource.energy
            if np.any(units) and np.any(each != 0):
                joules = joules + units * resource.count * each
    tokens = batch * (output if phase == "request" else 1.0)
    return {"energy_per_token_j": joules / tokens, "power_w": joules / seconds}
