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
from simulator.scenario.evaluate import estimate
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
    """What a batch of b sequences gives; NaN where it does not fit, and why.

    `latency_s`: from the prompts to the last of the n tokens of each; `tokens_per_s = b n / latency`, of all sequences;
    `decode_tokens_per_s = b (n - 1) / (latency - ttft)`, the rate after the first tokens: NaN for a single one each.
    """
    batch, output = point["batch"], point["output"]
    try:
        found = estimate(system, model, batch, point["input"], output, devices=point["devices"])
    except CapacityError as error:
        return {**dict.fromkeys(VALUES, nan), "refused": str(error)}
    ttft, latency = found.ttft_s, found.e2e_s
    later = batch * (output - 1) / (latency - ttft) if output > 1 else nan
    values = (ttft, latency, found.tokens_per_s, later)
    return {**dict(zip(VALUES, values, strict=True)), "refused": ""}
