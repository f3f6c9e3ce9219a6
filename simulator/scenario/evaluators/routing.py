"""Routed experts: how unevenly the tokens of a step fall on them, and what two engines gain that share them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from math import nan
from typing import Any, ClassVar, Literal

import numpy as np

from simulator.errors import ConfigError, one_of
from simulator.mapping.two_engines.shared_experts import SharedExperts, shared_experts
from simulator.registry import names, register
from simulator.scenario.cases import Columns
from simulator.scenario.evaluator import EachAlone
from simulator.scenario.form import Scenario, Workload
from simulator.scenario.metric import Metric
from simulator.scenario.parts import at_key, machine, model
from simulator.units import Count, Seed
from simulator.workload.routing.draws import counts
from simulator.workload.routing.forms import RouterForm
from simulator.workload.routing.measured import load_measured
from simulator.workload.routing.skew import busiest_over_mean, effective_experts, even, gini, idle


class Routing(Workload):
    """Tokens that each pick experts of a layer, drawn for many steps and layers."""

    kind: Literal["routing"]
    router: RouterForm | None = None
    """Who picks: a law, or what was counted in a recording."""
    tokens: Count = 512
    """Tokens of a step."""
    draws: Count = 25
    """Steps that are drawn, each anew for every layer."""
    layers: Count = 1
    """Layers, each with a popularity of its own where the router draws it."""
    seed: Seed = 0
    """Of the draws."""


@register("evaluator", "routing")
class RoutingEvaluator(EachAlone):
    """Draws the tokens of each expert, and says how uneven they are; means over draws and layers.

    With `mapping.expert`, also of the devices that hold the experts, a block of them each. With a machine and a model,
    also what its two engines gain that share experts as large as the model's by `mapping.split`, all of them in one
    device: the time on the faster engine over that of both; and what they would gain if all experts had alike.
    """

    form = Routing
    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric("experts", "1", None, "experts"),
        Metric("top_k", "1", None, "experts", per="token"),
        Metric("busiest_over_mean", "1", "min", "busiest expert / mean"),
        Metric("busiest_over_mean_p95", "1", "min", "busiest expert / mean, p95"),
        Metric("idle", "1", "min", "idle experts"),
        Metric("effective_experts", "1", "max", "experts that would be as uneven"),
        Metric("gini", "1", "min", "Gini's coefficient"),
        Metric("busiest_device_over_mean", "1", "min", "busiest device / mean"),
        Metric("sharing_speedup", "1", "max", "speed-up by a second engine"),
        Metric("sharing_speedup_even", "1", "max", "speed-up by a second engine, even experts"),
    )
    needs: ClassVar[Collection[str]] = ("hardware", "model")
    optional: ClassVar[Collection[str]] = ("hardware", "model")
    mapping: ClassVar[Collection[str]] = ("engines", "split", "expert")
    files: ClassVar[Mapping[str, Callable[[str], Any]]] = {
        "workload.router.counts": lambda name: load_measured(name).model_dump()
    }

    @staticmethod
    def unread(scenario: Scenario) -> Mapping[str, str]:
        """What says how engines share experts, where there are no engines."""
        if scenario.hardware or scenario.model:
            return {}
        return dict.fromkeys(("mapping.engines", "mapping.split"), "routing without a machine and a model")

    @staticmethod
    def evaluate(scenario: Scenario, columns: Columns, cases: int, wanted: Collection[str]) -> Mapping[str, Any]:
        work, devices = scenario.workload, scenario.mapping.expert
        assert isinstance(work, Routing)
        if work.router is None:
            raise ConfigError("missing key", path="workload.router", expected="who picks the experts")
        router = work.router.router()
        if router.experts % (devices or 1):
            expected = f"a divisor of the {router.experts} experts"
            raise ConfigError(path="mapping.expert", found=devices, expected=expected)
        drawn = counts(router, np.full(work.draws, work.tokens), work.layers, work.seed).reshape(-1, router.experts)
        busiest = busiest_over_mean(drawn)
        on_device = drawn.reshape(len(drawn), devices, -1).sum(axis=-1) if devices else None
        shared = _shared(scenario, work.tokens)
        alike = even(work.tokens * router.top_k, router.experts)[np.newaxis]
        return {
            "experts": float(router.experts),
            "top_k": float(router.top_k),
            "busiest_over_mean": float(busiest.mean()),
            "busiest_over_mean_p95": float(np.quantile(busiest, 0.95)),
            "idle": float(idle(drawn).mean()),
            "effective_experts": float(effective_experts(drawn).mean()),
            "gini": float(gini(drawn).mean()),
            "busiest_device_over_mean": nan if on_device is None else float(busiest_over_mean(on_device).mean()),
            "sharing_speedup": shared.speedup(drawn) if shared else nan,
            "sharing_speedup_even": shared.speedup(alike) if shared else nan,
        }


def _shared(scenario: Scenario, most: int) -> SharedExperts | None:
    """Two engines that share experts of at most `most` tokens; None where the scenario has neither machine nor model.

    Raises:
        ConfigError: a machine without what it takes, or a model without a machine.
    """
    form = scenario.mapping
    if scenario.hardware is None and scenario.model is None:
        return None
    system, served = machine(scenario), model(scenario)
    if form.split == "none":
        raise ConfigError("missing key", path="mapping.split", expected=one_of(names("split")))
    with at_key("mapping"):
        return shared_experts(system, served, form.engines, form.split, most)
