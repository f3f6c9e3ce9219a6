"""What the points of a sweep do, part by part: the prefill, a decode step, all of them; their times and energy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from simulator.core import Plan, Resource, closed_form
from simulator.core.account import energy, joules, over_steps
from simulator.core.steps import Steps, even_steps
from simulator.hardware import System
from simulator.hardware.energy import static_power
from simulator.serving import generation
from simulator.workload import Model


class Part(NamedTuple):
    """Seconds and total demands of a prefill, a decode step, or all decode steps of a point; `plan`: of one pass."""

    seconds: Any
    demand: Mapping[Resource, Any]
    plan: Plan


def parts_of(
    passes: generation.Passes, model: Model, phase: str, input: Any, output: Any, varied: bool
) -> dict[str, Part]:
    """What a point does, by name; the `steps` of a request one by one, or of many points at once in even runs."""
    found = {}
    if phase != "decode":
        found["prefill"] = _part(passes.first)
    if phase != "prefill":
        found["decode"] = _part(passes.step(generation.mean_context(input, output)))
    if phase == "request" and varied:
        bends = {layer.window - 1.0 for layer in model.decoder if layer.window}
        found["steps"] = _together(even_steps(passes.step, input, output - 1, tuple(bends)), found["decode"].plan)
    elif phase == "request":
        run = generation.generated(passes, int(input), int(output))
        total = over_steps([(run.steps, len(run.step_times))] if run.steps else [])
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
) -> dict[str, Any]:
    """Joules a token, and watts: of the step, of the prefill, or of the whole request."""
    done = ("prefill", "steps") if phase == "request" else (phase,)
    seconds = times["e2e_s"] if phase == "request" else times["tbt_s"] if phase == "decode" else times["ttft_s"]
    terms = [term for name in done for term in energy(parts[name].demand)]
    spent = joules([*energy(static_power(system, seconds)), *terms])
    known = np.nan if spent is None else spent
    tokens = batch * (output if phase == "request" else 1.0)
    return {"energy_per_token_j": known / tokens, "power_w": known / seconds}
