"""How a `serving` experiment runs: all systems of a model, a length and a batch size on the same load."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import chain, groupby
from math import nan
from typing import Any, TypeAlias, TypeVar

import numpy as np

from simulator.baselines.experiment import Progress, part_of
from simulator.baselines.serving.form import NODE, Arrivals, ServingExperiment, SystemForm
from simulator.baselines.serving.outcome import ServingOutcome
from simulator.core.account import energy, joules
from simulator.errors import CapacityError, ConfigError, TiersimError, dotted
from simulator.hardware import System, load_system
from simulator.mapping.deployment import Deployment, by_nodes, resolve
from simulator.mapping.form import MappingForm
from simulator.mapping.room import most_sequences
from simulator.registry import register
from simulator.serving import closed_loop
from simulator.serving.arrivals import Process, requests
from simulator.serving.lengths import Lengths
from simulator.serving.open_loop import StageTimes, chosen, serve
from simulator.serving.saturation import saturation, sustained
from simulator.serving.served import Served, percentile
from simulator.serving.split import serve_split
from simulator.serving.stage_demand import EXPERTS, demand_by_kind
from simulator.serving.stages import ATTENTION, Stages
from simulator.workload import load_model
from simulator.workload.routers import ROUTERS, Router

Row: TypeAlias = dict[str, Any]
T = TypeVar("T")


@register("experiment", "serving")
class ServingKind:
    """Times each point; points that share a load run one after another, different loads on all cores."""

    form = ServingExperiment

    @staticmethod
    def check(experiment: ServingExperiment) -> None:
        loops = [loop for name, loop in experiment.loops.items() if experiment.runs(name)]
        arrivals = [each for name, each in experiment.arrivals.items() if experiment.runs(name)]
        used = {(system, model) for loop in loops for system in loop.systems for model in loop.lengths}
        used |= {(system, each.model) for each in arrivals for system in each.systems}
        for model in experiment.models:
            with part_of("models", model):
                load_model(model)
        for system, model in sorted(used):
            _made(_deployed, experiment, system, model)

    @staticmethod
    def run(experiment: ServingExperiment, progress: Progress) -> ServingOutcome:
        from joblib import Parallel, delayed

        points = [p for n, loop in experiment.loops.items() if experiment.runs(n) for p in loop.points()]
        unique = list({tuple(p.items()): p for p in points}.values())
        loads = [list(g) for _, g in groupby(sorted(unique, key=_load_of), key=_load_of)]
        opened = [
            (each, system, process)
            for name, each in experiment.arrivals.items()
            if experiment.runs(name)
            for system in each.systems
            for process in each.processes
        ]
        tasks = [delayed(_arrivals)(experiment, *task) for task in opened]
        tasks += [delayed(_loops)(experiment, load) for load in loads]
        found: list[Row] = []
        open_rows: list[Row] = []
        # Processes are worth starting for more than a few loads; results come in the order of the tasks.
        for place, rows in enumerate(Parallel(n_jobs=-1 if len(tasks) > 4 else 1, return_as="generator")(tasks)):
            (open_rows if place < len(opened) else found).extend(rows)
            progress(place + 1, len(tasks))
        if found and not open_rows and not any(row["admitted"] for row in found):
            raise TiersimError(found[0]["refused"])
        by_point = {tuple(row[key] for key in ("system", "model", "input", "output", "batch")): row for row in found}
        asked = dict.fromkeys([*(point["system"] for point in points), *(system for _, system, _ in opened)])
        used = [experiment.systems[name] for name in asked]
        machines = {form.hardware: _machine(form.hardware, (*experiment.set, *form.set)) for form in used}
        inputs = {
            "systems": {name: machines[name].config.data for name in sorted(machines)},
            "models": {name: load_model(name).model_dump() for name in experiment.models},
        }
        ordered = [by_point[tuple(p.values())] for p in unique]
        return ServingOutcome(experiment, ordered, open_rows, inputs)


def _load_of(point: Row) -> tuple[Any, ...]:
    return point["model"], point["input"], point["output"], point["batch"]


def _loops(experiment: ServingExperiment, points: Sequence[Row]) -> list[Row]:
    """Closed loops of one length and batch size; what a system admits of the batch decides which load it gets."""
    loads: dict[int, closed_loop.Load] = {}
    return [{**point, **_loop(experiment, point, loads)} for point in points]


def _loop(experiment: ServingExperiment, point: Row, loads: dict[int, closed_loop.Load]) -> Row:
    """What the requests of one point see; NaN where not one has room, and why."""
    lengths = Lengths(point["input"], point["output"], experiment.lengths.spread, experiment.lengths.scale)
    form, model = experiment.systems[point["system"]], point["model"]
    stages = _stages(experiment, point["system"], model)
    router = stages[-1].draws(_router(experiment, model))
    prompt = 0 if form.answers else lengths.longest_input
    try:
        admitted = most_sequences(stages[-1].deployment, lengths.total, prompt, point["batch"])
    except CapacityError as error:
        return {"admitted": 0, **dict.fromkeys(ServingOutcome.VALUES, nan), "refused": str(error)}
    stages = tuple(each.compiled_for(admitted, lengths.longest_input, lengths.output) for each in stages)
    if form.answers:
        number = int(experiment.rounds * admitted)
        served = serve_split(stages[0], stages[1], lengths, admitted, number, router, experiment.seed)
        mixed, spent, parts = 0.0, None, {}
    else:
        if admitted not in loads:
            layout = closed_loop.layout(lengths, admitted, experiment.rounds, experiment.seed)
            loads[admitted] = closed_loop.load(layout, router, stages[0].layers, experiment.seed)
        load = loads[admitted]
        timed = closed_loop.timed(stages[0], load)
        served, mixed = timed.served, float(load.layout.mixed.mean())
        terms = {kind: energy(demand) for kind, demand in demand_by_kind(stages[0], load).items()}
        spent = joules(chain.from_iterable(terms.values()))
        of_memory = joules(term for kind in (EXPERTS, ATTENTION) for term in terms.get(kind, ()))
        parts = _parts(stages[0], timed)
        parts["energy_share_experts_attention"] = (
            nan if spent is None or of_memory is None else float(of_memory / spent)
        )
    return {
        "admitted": admitted,
        **_seen(served),
        "energy_j_per_token": nan if spent is None else spent / served.tokens,
        "mixed_share": mixed,
        **parts,
        "refused": "",
    }


def _parts(stages: Stages, timed: closed_loop.Timed) -> dict[str, float]:
    """Of the time of decoding-only and of mixed stages, what experts and attention take."""
    found, layout = {}, timed.layout
    x = layout.features(stages.deployment.nodes)
    for name, mixed in (("decoding", False), ("mixed", True)):
        at = np.flatnonzero(layout.mixed == mixed)[:256]
        whole = float(timed.seconds[at].sum())
        attention = float(stages.parts(x[at], mixed).get(ATTENTION, np.zeros(1)).sum()) if at.size else nan
        found[f"{name}_share_experts"] = float(timed.experts[at].sum()) / whole if at.size else nan
        found[f"{name}_share_attention"] = attention / whole if at.size else nan
    return found


def _arrivals(experiment: ServingExperiment, form: Arrivals, system: str, process: Process) -> list[Row]:
    """Open loops of one system at each rate, on the same draws."""
    lengths = Lengths(*form.length, experiment.lengths.spread, experiment.lengths.scale)
    (stages,) = _stages(experiment, system, form.model)
    router = stages.draws(_router(experiment, form.model))
    cap = most_sequences(stages.deployment, lengths.total, lengths.longest_input, form.batch)
    stages = stages.compiled_for(cap, lengths.longest_input, lengths.output)
    first = requests(lengths, form.requests, 1.0, "even", experiment.seed)
    times = StageTimes(stages, chosen(first, router, stages.layers, cap, experiment.seed))
    most = sustained(stages, lengths, cap, router, experiment.seed)
    rows = []
    for rate in form.rates:
        asked = requests(lengths, form.requests, rate, process, experiment.seed)
        served = serve(times, asked, cap)
        point = {"system": system, "model": form.model, "process": process, "rate": rate}
        seen = vars(saturation(served, rate, most))
        rows.append({**point, **_seen(served), "queue_p50_s": percentile(served.queued, 50), **seen})
    return rows


def _seen(served: Served) -> Row:
    percents = (50, 90, 99)
    return {
        "throughput": served.throughput,
        **{f"ttft_p{p}_s": percentile(served.ttft, p) for p in percents},
        **{f"tbt_p{p}_s": served.tbt(p) for p in percents},
        **{f"e2e_p{p}_s": percentile(served.e2e, p) for p in percents},
    }


def _router(experiment: ServingExperiment, model: str) -> Router | None:
    moe = load_model(model).moe
    return None if moe is None else ROUTERS[experiment.router](moe.experts, moe.top_k)


def _stages(experiment: ServingExperiment, system: str, model: str) -> tuple[Stages, ...]:
    """Of prompts and, with `answers`, of decoding."""
    return _made(_staged, experiment, system, model)


def _made(make: Callable[..., T], experiment: ServingExperiment, system: str, model: str) -> T:
    form, size = experiment.systems[system], experiment.models[model]
    try:
        return make(form, model, size.nodes, size.devices, tuple(experiment.set))
    except ConfigError as error:
        if str(error.file) == "--set":
            error.file = f"set of systems.{system}"
        elif error.file is None:  # nothing in the machine's own file
            path = error.path if isinstance(error.path, str) else dotted(error.path or ())
            error.path = ".".join(filter(None, ("systems", system, path)))
        raise


@lru_cache(maxsize=8)
def _staged(form: SystemForm, model: str, nodes: int, devices: int, overrides: tuple[str, ...]) -> tuple[Stages, ...]:
    return tuple(Stages(deployed) for deployed in _deployed(form, model, nodes, devices, overrides))


def _deployed(
    form: SystemForm, model: str, nodes: int, devices: int, overrides: tuple[str, ...]
) -> tuple[Deployment, ...]:
    """Of prompts and, with `answers`, of decoding."""
    overrides = (*overrides, *form.set)
    found = _machine(form.hardware, overrides)
    if form.scale:
        nodes, devices = sized(nodes, devices, form.scale)
        device, _ = found.device()
        found = _machine(form.hardware, (*overrides, f"nodes={nodes}", f"devices.{device}.count={devices}"))
    mapping = MappingForm(engines=form.engines or tuple(found.engines), **{key: getattr(form, key) for key in _MAPPING})
    deployed = resolve(by_nodes(mapping, found), found, load_model(model))
    return (deployed, deployed.answers) if deployed.answers else (deployed,)


_MAPPING = ("answers", "dispatch", "together", "split", "experts", "expert_reduces", "split_by", "migrate")


def sized(nodes: int, devices: int, scale: int) -> tuple[int, int]:
    """Nodes, and devices in each, of `scale` times a machine: first a node is filled up to 8, then there are more."""
    inside = min(devices * scale, max(NODE, devices))
    return nodes * devices * scale // inside, inside


@lru_cache(maxsize=64)
def _machine(name: str, overrides: tuple[str, ...]) -> System:
    return load_system(name, overrides)
