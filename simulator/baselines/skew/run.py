"""How a `skew` experiment runs: draws of each router for each number of tokens, and their statistics."""

from __future__ import annotations

from dataclasses import dataclass
from math import nan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.baselines.experiment import Progress, part_of
from simulator.baselines.skew.form import MeasuredRouter, Sharing, SkewExperiment
from simulator.baselines.skew.outcome import SkewOutcome
from simulator.errors import ConfigError
from simulator.hardware import load_system
from simulator.mapping.expert_costs import Costs, costs
from simulator.mapping.experts import Split, split
from simulator.mapping.target import Target, target
from simulator.registry import register
from simulator.workload import Model, load_model
from simulator.workload.draws import counts
from simulator.workload.skew import busiest_over_mean, effective_experts, gini, idle

Counts = NDArray[np.int32]


@register("experiment", "skew")
class SkewKind:
    """Draws the tokens of each expert, and says how uneven they are."""

    form = SkewExperiment

    @staticmethod
    def check(experiment: SkewExperiment) -> None:
        for name, form in experiment.routers.items():
            with part_of("routers", name):
                router = form.router()
            _check_devices(name, router.experts, form.devices)
        if experiment.sharing:
            with part_of("sharing"):
                _sharing(experiment.sharing)

    @staticmethod
    def run(experiment: SkewExperiment, progress: Progress) -> SkewOutcome:
        shared = _engines(experiment.sharing, max(experiment.tokens)) if experiment.sharing else None
        points: list[dict[str, Any]] = []
        for name, form in experiment.routers.items():
            router = form.router()
            _check_devices(name, router.experts, form.devices)
            point = {"router": name, "experts": router.experts, "top_k": router.top_k, "devices": form.devices or 1}
            for tokens in experiment.tokens:
                steps = np.full(experiment.draws, tokens)
                drawn = counts(router, steps, experiment.layers, experiment.seed).reshape(-1, router.experts)
                even = _even(tokens * router.top_k, router.experts)
                points.append({
                    **point,
                    "tokens": tokens,
                    **_statistics(drawn, form.devices),
                    "sharing_speedup": shared.speedup(drawn) if shared else nan,
                    "sharing_speedup_even": shared.speedup(even) if shared else nan,
                })  # fmt: skip
                progress(len(points), len(experiment.routers) * len(experiment.tokens))
        return SkewOutcome(points, _inputs(experiment))


def _statistics(drawn: Counts, devices: int | None) -> dict[str, float]:
    """Means over draws (and the 5 % that are most uneven), of counts of shape (draws, experts)."""
    busiest = busiest_over_mean(drawn)
    on_device = drawn.reshape(len(drawn), devices, -1).sum(axis=-1) if devices else None
    return {
        "busiest_over_mean": float(busiest.mean()),
        "busiest_over_mean_p95": float(np.quantile(busiest, 0.95)),
        "idle": float(idle(drawn).mean()),
        "effective_experts": float(effective_experts(drawn).mean()),
        "gini": float(gini(drawn).mean()),
        "busiest_device_over_mean": nan if on_device is None else float(busiest_over_mean(on_device).mean()),
    }


@dataclass(frozen=True)
class _Shared:
    """Two engines by what an expert costs on each, and how they share experts."""

    one: Costs
    other: Costs
    split: Split

    def speedup(self, drawn: Counts) -> float:
        """Mean time of all experts on the faster engine, over that of both engines at once, each with its experts.

        `mean(min(a(all), b(all))) / mean(max(a(own), b(others)))`, a and b the times of a set of experts on the one and
        the other engine. The engines do not slow each other down.
        """
        on_other = self.split(drawn, self.one.each[drawn], self.other.each[drawn])
        both = np.maximum(self.one.time(drawn, ~on_other), self.other.time(drawn, on_other))
        return float(np.minimum(self.one.time(drawn), self.other.time(drawn)).mean() / both.mean())


def _sharing(sharing: Sharing) -> tuple[Model, Target, Target]:
    """The model, and the engines that share its experts."""
    system, model = load_system(sharing.hardware), load_model(sharing.model)
    if model.moe is None:
        raise ConfigError(path="sharing.model", found=f"'{sharing.model}'", expected="a model with experts")
    high, low = (target(system, engine=engine) for engine in (sharing.high, sharing.low))
    return model, high, low


def _engines(sharing: Sharing, most: int) -> _Shared:
    model, high, low = _sharing(sharing)
    assert model.moe
    one, other = (costs(engine, model, most, 1, model.moe.experts) for engine in (high, low))
    return _Shared(one, other, split(sharing.split))


def _even(picks: int, experts: int) -> Counts:
    """All experts alike, as far as whole tokens go: shape (1, experts)."""
    return ((np.arange(experts) + picks) // experts).astype(np.int32)[np.newaxis]


def _check_devices(name: str, experts: int, devices: int | None) -> None:
    if devices and experts % devices:
        expected = f"a divisor of the {experts} experts"
        raise ConfigError(path=f"routers.{name}.devices", found=devices, expected=expected)


def _inputs(experiment: SkewExperiment) -> dict[str, Any]:
    """The files behind the numbers, as they were read."""
    measured = [router.read() for router in experiment.routers.values() if isinstance(router, MeasuredRouter)]
    inputs: dict[str, Any] = {"routing": {routing.name: routing.model_dump() for routing in measured}}
    if experiment.sharing:
        name, model = experiment.sharing.hardware, experiment.sharing.model
        inputs |= {"systems": {name: load_system(name).config.data}, "models": {model: load_model(model).model_dump()}}
    return inputs
