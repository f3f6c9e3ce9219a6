"""A static batch in closed form: the times, demands and energy of its prefill and of its decode steps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np

from simulator.core import Plan, Resource, add, closed_form
from simulator.core.account import Term, energy, joules, over_steps
from simulator.core.resource import plain
from simulator.core.steps import Steps, even_steps
from simulator.hardware.energy import static_power
from simulator.mapping.compose import check_batch
from simulator.mapping.deployment import Deployment
from simulator.mapping.passes import Passes, mean_context
from simulator.scenario.parts import at_key
from simulator.serving.generation import generated

Phase: TypeAlias = Literal["prefill", "decode", "request"]


class Part(NamedTuple):
    """Seconds and total demands of a prefill, a decode step, or all decode steps of a replica.

    `plan` is of one pass, which gives each sequence so many `tokens` on average.
    """

    seconds: Any
    demand: Mapping[Resource, Any]
    plan: Plan
    tokens: float = 1.0


def parts_of(deployed: Deployment, phase: Phase, batch: Any, input: Any, output: Any, many: bool) -> dict[str, Part]:
    """What a case does, by name; the `steps` of a request one by one, or of many cases at once in even runs."""
    with at_key("mapping"):
        check_batch(deployed)
    passes = deployed.passes(plain(batch), plain(input), plain(output))
    parts = {}
    if phase != "decode":
        parts["prefill"] = _part(passes.first)
    if phase != "prefill":
        parts["decode"] = _part(passes.step(mean_context(input, output)), passes.tokens)
    if phase == "request" and many:
        bends = {cut.limit - 1.0 for cut in deployed.model.cuts}
        parts["steps"] = _even(even_steps(passes.step, input, output - 1, tuple(bends)), parts["decode"].plan)
    elif phase == "request":
        parts["steps"] = _each(passes, int(input), int(output), parts["decode"].plan)
    return parts


def _part(plan: Plan, tokens: float = 1.0) -> Part:
    return Part(closed_form(plan).time, plan.demand(), plan, tokens)


def _each(passes: Passes, input: int, output: int, step: Plan) -> Part:
    """All steps of one case, each at its own context."""
    run = generated(passes, input, output)
    total = over_steps([(run.steps, len(run.step_times))] if run.steps else [])
    return Part(float(np.sum(run.step_times)), total, step)


def _even(runs: Sequence[Steps], step: Plan) -> Part:
    """All steps of many cases, in runs whose times are affine in the context."""
    return Part(sum((run.time() for run in runs), start=0.0), _total(run.demand() for run in runs), step)


def times_of(parts: Mapping[str, Part], phase: Phase, batch: Any, output: Any) -> dict[str, Any]:
    """Seconds of the parts and of the whole request, NaN where the phase has none; tokens a second of all sequences."""
    ttft, tbt = (parts[n].seconds / parts[n].tokens if n in parts else np.nan for n in ("prefill", "decode"))
    if phase == "request":
        e2e = ttft + parts["steps"].seconds
        return {"ttft_s": ttft, "tbt_s": tbt, "e2e_s": e2e, "tokens_per_s": batch * output / e2e}
    return {
        "ttft_s": ttft, "tbt_s": tbt, "e2e_s": np.nan, "tokens_per_s": batch / (tbt if phase == "decode" else ttft)
    }  # fmt: skip


def terms_of(deployed: Deployment, parts: Mapping[str, Part], phase: Phase) -> tuple[Term, ...]:
    """The energy of the step, of the prefill or of the whole request, term by term, over all devices."""
    demand = _demand(parts, phase)
    seconds = sum((part.seconds for part in timed(parts, phase)), start=0.0)
    return (*energy(demand, deployed.parallel.copies), *energy(static_power(deployed.system, seconds)))


def error_of(deployed: Deployment, parts: Mapping[str, Part], phase: Phase) -> Any:
    """The share by which the time of the phase may be off, where models time its kernels; else NaN."""
    known = deployed.engine.models
    if known is None:
        return np.nan
    seconds = sum((part.seconds for part in timed(parts, phase)), start=0.0)
    return known.error(deployed.engine.name, _demand(parts, phase), seconds)


def energies_of(
    deployed: Deployment, parts: Mapping[str, Part], phase: Phase, batch: Any, output: Any
) -> dict[str, Any]:
    """Joules a token, and watts; NaN where the machine lacks a figure."""
    total = joules(terms_of(deployed, parts, phase))
    known = np.nan if total is None else total
    tokens = batch * (output if phase == "request" else parts[phase].tokens)
    seconds = sum((part.seconds for part in timed(parts, phase)), start=0.0)
    return {"energy_per_token_j": known / tokens, "power_w": known / seconds}


def _demand(parts: Mapping[str, Part], phase: Phase) -> dict[Resource, Any]:
    """Total demands of the phase on one replica."""
    return _total(part.demand for part in timed(parts, phase))


def _total(demands: Iterable[Mapping[Resource, Any]]) -> dict[Resource, Any]:
    """What several demand of each resource together."""
    total: dict[Resource, Any] = {}
    for demand in demands:
        add(total, demand)
    return total


def timed(parts: Mapping[str, Part], phase: Phase) -> list[Part]:
    """The parts that make up the phase."""
    return [parts[name] for name in (("prefill", "steps") if phase == "request" else (phase,))]
