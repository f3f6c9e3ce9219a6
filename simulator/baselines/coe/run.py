"""How a `coe` experiment runs: prompts served at each number of experts, on each machine, for each batch and length."""

from __future__ import annotations

from contextlib import suppress
from itertools import product
from typing import Any, Literal

import numpy as np

from simulator.baselines.coe.form import Calibration, CoeExperiment, Recorded, Trace
from simulator.baselines.coe.outcome import CoeOutcome
from simulator.baselines.experiment import Progress, part_of
from simulator.config.choose import check_name
from simulator.core import Activity, paced
from simulator.errors import CapacityError, ConfigError
from simulator.hardware import System, load_system
from simulator.mapping.deployment import resolve
from simulator.mapping.form import MappingForm
from simulator.mapping.placement import nodes_needed
from simulator.mapping.transfer import transfer
from simulator.registry import register
from simulator.serving.coe import Service, serve
from simulator.serving.generation import generated
from simulator.workload import GENERATORS, kv_bytes, load_model, load_trace, weight_bytes


@register("experiment", "coe")
class CoeKind:
    """Serves prompts at each number of experts, on each machine, for each batch and output length."""

    form = CoeExperiment

    @staticmethod
    def check(experiment: CoeExperiment) -> None:
        with part_of("model"):
            load_model(experiment.model)
        for name in experiment.systems:
            with part_of("systems", name), suppress(CapacityError):
                runner = _Runner(name, experiment)
                for batch, tokens in product(experiment.batches, experiment.tokens):
                    runner.service(batch, tokens)
                runner.nodes(1)
        if isinstance(experiment.trace, Recorded):
            _choices(experiment.trace, max(experiment.experts), 1)

    @staticmethod
    def run(experiment: CoeExperiment, progress: Progress) -> CoeOutcome:
        rows: list[dict[str, Any]] = []
        asked = [(n, b, t) for n in experiment.systems for b in experiment.batches for t in experiment.tokens]
        runners = {name: _Runner(name, experiment) for name in experiment.systems}
        total = len(asked) * len(experiment.experts)
        for name, batch, tokens in asked:
            service = runners[name].service(batch, tokens)
            for experts in experiment.experts:
                point = {"system": name, "batch": batch, "tokens": tokens, "experts": experts}
                rows.append(point | _serve(experiment, service, experts, batch))
                progress(len(rows), total)
        nodes = [
            {"system": name, "experts": experts, "nodes": runner.nodes(experts)}
            for name, runner in runners.items()
            for experts in experiment.nodes_for
        ]
        configs = {"systems": {name: runner.system.config.data for name, runner in runners.items()}}
        model = load_model(experiment.model).model_dump()
        return CoeOutcome(rows, nodes, {**configs, "model": model})


class _Runner:
    """One machine of the comparison, ready to serve."""

    def __init__(self, name: str, experiment: CoeExperiment) -> None:
        self.name, self.experiment, self.machine = name, experiment, experiment.systems[name]
        self.system: System = load_system(self.machine.hardware, self.machine.set)
        self.model = load_model(experiment.model)
        self.expert_bytes = experiment.bookkeeping.expert_bytes or weight_bytes(self.model)

    def service(self, batch: int, tokens: int) -> Service:
        machine, books = self.machine, self.experiment.bookkeeping
        reserved = batch * float(kv_bytes(self.model, float(books.kv_tokens)))
        reserved += self.expert_bytes if books.router_in_cache else 0.0
        cache, home = self._bytes("cache") - reserved, self._bytes("home")
        return Service(
            router=self._run("router", self.experiment.prompt.router_tokens),
            expert=self._run("expert", tokens),
            switch=transfer(self.system, self.expert_bytes, machine.home, machine.cache, machine.links, "switch"),
            expert_bytes=int(self.expert_bytes),
            cache_bytes=int(cache),
            home_bytes=int(home + (0 if books.inclusive else cache)),
            policy=self.experiment.policy,
            prefetch=self.experiment.prefetch,
            group=self.experiment.group,
        )

    def nodes(self, experts: int) -> int:
        return nodes_needed(experts * self.expert_bytes, self._bytes(self.machine.footprint))

    def _bytes(self, role: Literal["home", "cache"]) -> float:
        stated: float | None = getattr(self.machine, f"{role}_bytes")
        tier: str = getattr(self.machine, role)
        check_name(tier, self.system.tiers, ("systems", self.name, role))
        return self.system.capacity(tier) if stated is None else stated

    def _run(self, what: str, tokens: int) -> Activity:
        """One prompt on the router or on its expert: as calibrated, or from the operator graph."""
        calibration = self.experiment.calibration
        if calibration == "none":
            passes = resolve(MappingForm(), self.system, self.model).passes(1, self.experiment.prompt.tokens, tokens)
            return generated(passes, self.experiment.prompt.tokens, tokens).activity(what)
        self._check_calibrated(calibration)
        times = calibration.expert_time.get(self.machine.hardware, {})
        if tokens not in times:
            path = ("calibration", "expert_time", self.machine.hardware, str(tokens))
            raise ConfigError(path=path, found="nothing", expected="a time, or calibration: none")
        return paced(what, times[tokens])

    def _check_calibrated(self, calibration: Calibration) -> None:
        """Refuse times that were measured on something else."""
        way_out = "or calibration=none, which takes run times from the operator graph"
        if self.experiment.model != calibration.model:
            expected = f"'{calibration.model}', with which the run times were measured, {way_out}"
            raise ConfigError(path="model", found=f"'{self.experiment.model}'", expected=expected)
        changed = next((each for each in self.machine.set if each.startswith("devices.")), None)
        if changed:
            expected = f"the machine on which the run times were measured, {way_out}"
            raise ConfigError(path=("systems", self.name, "set"), found=f"'{changed}'", expected=expected)


def _serve(experiment: CoeExperiment, service: Service, experts: int, batch: int) -> dict[str, Any]:
    """Means over the batches of a steady state: those after the warm-up."""
    warm_up, choices = _choices(experiment.trace, experts, batch)
    try:
        batches = serve(service, experts, choices, batch)
    except CapacityError as error:
        nothing = dict.fromkeys(("latency_s", "router_s", "switch_s", "expert_s", "misses"), float("nan"))
        return nothing | {"refused": str(error)}
    columns = {
        "latency_s": batches.latency,
        "router_s": batches.router,
        "switch_s": batches.switch,
        "expert_s": batches.expert,
        "misses": batches.misses,
    }
    return {name: float(np.mean(column[warm_up:])) for name, column in columns.items()} | {"refused": ""}


def _choices(trace: Trace, experts: int, batch: int) -> tuple[int, list[int]]:
    """The batches of the warm-up, and the expert of each prompt, warm-up and all: as many as whole batches have."""
    recorded = load_trace(trace.file, experts).choices if isinstance(trace, Recorded) else None
    each = experts if recorded is None else len(recorded)
    warm_up, measured = (-(-rounds * each // batch) for rounds in (trace.warm_up, trace.rounds))
    prompts = (warm_up + measured) * batch
    if recorded is not None:
        return warm_up, np.resize(recorded, prompts).tolist()
    options = trace.model_dump(exclude={"kind", "warm_up", "rounds"})
    return warm_up, GENERATORS[trace.kind](experts, prompts, **options).choices.tolist()
