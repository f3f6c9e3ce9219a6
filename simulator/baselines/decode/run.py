"""How a `decode` experiment runs: an estimate in closed form for each length of each run."""

from __future__ import annotations

from collections.abc import Mapping
from math import nan
from typing import Any

from simulator.baselines.decode.form import DecodeExperiment
from simulator.baselines.decode.outcome import VALUES, DecodeOutcome
from simulator.baselines.experiment import Progress, part_of
from simulator.errors import CapacityError
from simulator.hardware import System, load_system
from simulator.registry import register
from simulator.serving.estimate import estimate
from simulator.workload import Model, load_model


@register("experiment", "decode")
class DecodeKind:
    """Estimates each length of each run."""

    form = DecodeExperiment

    @staticmethod
    def check(experiment: DecodeExperiment) -> None:
        for name, run in experiment.runs.items():
            with part_of("runs", name):
                system, model = load_system(run.hardware, experiment.set), load_model(run.model)
                _times(system, model, next(run.points(name)))

    @staticmethod
    def run(experiment: DecodeExperiment, progress: Progress) -> DecodeOutcome:
        runs = experiment.runs
        systems = {run.hardware: load_system(run.hardware, experiment.set) for run in runs.values()}
        models = {run.model: load_model(run.model) for run in runs.values()}
        asked = [(point, run.speculative) for name, run in runs.items() for point in run.points(name)]
        points = []
        for point, speculative in asked:
            times = _times(systems[point["system"]], models[point["model"]], point)
            points.append({**point, **times, "speculative": speculative})
            progress(len(points), len(asked))
        configs = {name: system.config.data for name, system in systems.items()}
        return DecodeOutcome(
            points, {"systems": configs, "models": {name: model.model_dump() for name, model in models.items()}}
        )


def _times(system: System, model: Model, point: Mapping[str, Any]) -> dict[str, float | str]:
    """What one user of a batch sees; NaN where it does not fit, and why.

    `latency_s`: from the prompt to the last of n tokens; `tokens_per_s = n / latency`;
    `decode_tokens_per_s = (n - 1) / (latency - ttft)`, the rate once the first token is there: NaN for a single one.
    """
    output = point["output"]
    try:
        found = estimate(system, model, point["batch"], point["input"], output, devices=point["devices"])
    except CapacityError as error:
        return {**dict.fromkeys(VALUES, nan), "refused": str(error)}
    ttft, latency = found.ttft_s, found.e2e_s
    values = (ttft, latency, output / latency, (output - 1) / (latency - ttft) if output > 1 else nan)
    return {**dict(zip(VALUES, values, strict=True)), "refused": ""}
