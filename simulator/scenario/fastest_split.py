"""The split of a model over its devices that serves a static batch fastest, of all that fit."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import numpy as np

from simulator.errors import CapacityError, ConfigError
from simulator.mapping.engines import engine_names
from simulator.mapping.form import MappingForm
from simulator.scenario.batch_detail import Lengths
from simulator.scenario.batch_parts import parts_of, times_of
from simulator.scenario.form import Scenario
from simulator.scenario.parts import at_key, deployment, machine, model

KEYS = ("tensor", "pipeline", "data", "context")
TIMES = {"request": "e2e_s", "prefill": "ttft_s", "decode": "tbt_s"}
"""What each phase is fastest by."""


def split_fastest(scenario: Scenario, work: Lengths) -> Scenario:
    """The scenario with `parallel: auto` replaced by the split that takes the least time for its phase.

    Tried are all `tensor x pipeline x data x context` that give the number of devices, with experts of each replica
    and, of a mixture of experts, whole ones over all devices; what the mapping states stays. Of equals the first
    counts.

    Raises:
        ConfigError: no split is possible; tells why the last was not.
        CapacityError: none fits.
    """
    if scenario.mapping.parallel is None:
        return scenario
    best, least = None, np.inf
    problem: ConfigError | CapacityError | None = None
    splits = list(_splits(scenario))
    stated = [key for key in KEYS if key in scenario.mapping.model_fields_set]
    if len(splits) <= 1 and stated:
        found, expected = f"'auto' beside {', '.join(stated)}", "null: these leave one split, or none"
        raise ConfigError(path=("mapping", "parallel"), found=found, expected=expected)
    for mapping in splits:
        case = scenario.model_copy(update={"mapping": mapping})
        try:
            seconds = _seconds(case, work)
        except CapacityError as error:
            problem = error
        except ConfigError as error:
            problem = problem or error
        else:
            if seconds < least:
                best, least = case, seconds
    if best is None:
        assert problem  # there is one split at least
        raise problem
    return best


def _splits(scenario: Scenario) -> Iterator[MappingForm]:
    """The mapping with each split of its devices that it leaves open."""
    form, system = scenario.mapping.model_copy(update={"parallel": None}), machine(scenario)
    with at_key("mapping"):
        engine = engine_names(system, form.engines, form.dispatch is not None, None)[0]
    devices = form.devices or system.count(engine.partition(".")[0])
    divisors = [number for number in range(1, devices + 1) if devices % number == 0]
    stated = {key: getattr(form, key) for key in KEYS if key in form.model_fields_set}
    open_experts = model(scenario).moe and form.experts is None and form.expert is None
    for context, tensor, pipeline in product(divisors, repeat=3):
        inside = tensor * pipeline * context
        if devices % inside:
            continue
        split = {"tensor": tensor, "pipeline": pipeline, "data": devices // inside, "context": context}
        if any(split[key] != value for key, value in stated.items() if value is not None):
            continue
        if pipeline * context > 1 and (form.experts or form.expert):  # which neither stages nor such groups share
            continue
        yield form.model_copy(update=split)
        if open_experts and pipeline == context == 1:
            yield form.model_copy(update=split | {"experts": "whole"})


def _seconds(case: Scenario, work: Lengths) -> float:
    """How long the phase of a batch takes on a split.

    Raises:
        ConfigError: devices, layers or experts that it does not divide.
        CapacityError: it does not fit.
    """
    deployed = deployment(case)
    deployed.footprint(work.batch, work.input, work.output).check()
    parts = parts_of(deployed, work.phase, work.batch, work.input, work.output, many=False)
    return float(times_of(parts, work.phase, work.batch, work.output)[TIMES[work.phase]])
