"""Mappings on machines, as tests name them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from simulator.hardware import System, load_system
from simulator.mapping.deployment import Deployment, by_nodes, resolve
from simulator.mapping.footprint.footprint import Footprint
from simulator.mapping.form import MappingForm
from simulator.mapping.runtime.form import IDEAL, load_runtime
from simulator.mapping.runtime.machine import under_runtime
from simulator.workload import Model


def under(name: str, overrides: Sequence[str] = (), runtime: str | None = None) -> System:
    """A machine under a runtime: its own, unless said otherwise."""
    system = load_system(name, overrides)
    return under_runtime(system, load_runtime(runtime or system.machine.runtime or IDEAL))


def deployment(system: System, model: Model, engines: tuple[str, ...] = (), **how: Any) -> Deployment:
    """Requests on these engines, or on all of the machine, with whole experts unless said otherwise."""
    names = engines or tuple(system.engines)
    dispatch = "xpu_only" if len(names) > 1 else None
    form = MappingForm(**{"engines": names, "dispatch": dispatch, "experts": "whole", **how})
    return resolve(by_nodes(form, system), system, model)


def kept(system: System, model: Model, batch: int, context: int, **mapping: Any) -> Footprint:
    """What a batch of sequences keeps whose prompts are computed elsewhere."""
    return resolve(MappingForm(**mapping), system, model).footprint(batch, 0, context)
