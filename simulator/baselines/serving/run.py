"""How a `serving` experiment runs: all systems of a model, a length and a batch size on the same load."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import lru_cache
from itertools import chain, groupby, product
from math import nan
from typing import Any, TypeAlias, TypeVar

from simulator.baselines.experiment import Progress, part_of
from simulator.baselines.serving.form import Arrivals, ServingExperiment, SystemForm
from simulator.baselines.serving.outcome import ServingOutcome
from simulator.errors import CapacityError, ConfigError, TiersimError, dotted
from simulator.hardware import System, load_system
from simulator.mapping.deployment import Deployment, by_nodes, resolve
from simulator.mapping.form import MappingForm
from simulator.mapping.room import most_sequences
from simulator.registry import register
from simulator.scenario.parts import scaled
from simulator.serving import closed_loop
from simulator.serving.arrivals import requests
from simulator.serving.lengths import Lengths
from simulator.serving.open_loop import StageTimes, chosen, serve_each
from simulator.serving.saturation import saturation, sustained
from simulator.serving.served import Served, percentile
from simulator.serving.split import serve_split
from simulator.serving.stage_shares import dynamic_energy, time_shares
from simulator.serving.stages import Stages
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
        return ServingKind.run_together([experiment], progress)[0]

    @staticmethod
    def run_together(experiments: Sequence[ServingExperiment], progress: Progress) -> list[ServingOutcome]:
        """Run an experiment and its variants, each point that they have in common once."""
        from joblib import Parallel, delayed

        points = {_content(e, p): (e, p) for e in reversed(experiments) for p in reversed(_points(e))}
        opened = {_arriving(*each): each for e in reversed(experiments) for each in reversed(_opened(e))}
        asked = sorted(points.values(), key=lambda each: _load_of(each[1]))
        tasks = [delayed(_arrivals)(*each) for each in opened.values()]
        tasks += [delayed(_loops)(list(group)) for _, group in groupby(asked, key=lambda each: _load_of(each[1])[:2])]
        # Processes are worth starting for more than a few loads; results come in the order of the tasks.
        rows: list[list[Row]] = []
        for done in Parallel(n_jobs=-1 if len(tasks) > 4 else 1, return_as="generator")(tasks):
            rows.append(done)
            progress(len(rows), len(tasks))
        arrived = dict(zip(opened, rows, strict=False))
        looped = dict(zip((_content(*each) for each in asked), chain(*rows[len(opened) :]), strict=True))
        return [_outcome(e, looped, arrived) for e in experiments]


def _points(experiment: ServingExperiment) -> list[Row]:
    """The points of the closed loops that are run, each once."""
    points = [p for name, loop in experiment.loops.items() if experiment.runs(name) for p in loop.points()]
    return list({tuple(p.items()): p for p in points}.values())


def _opened(experiment: ServingExperiment) -> list[tuple[ServingExperiment, Arrivals, str]]:
    """The open loops that are run, of each system."""
    return [
        (experiment, each, system)
        for name, each in experiment.arrivals.items()
        if experiment.runs(name)
        for system in each.systems
    ]


def _content(experiment: ServingExperiment, point: Row) -> Hashable:
    """All that the row of a point of a closed loop depends on."""
    system, *load = point.values()
    return *_settings(experiment, system, point["model"]), experiment.rounds, *load


def _arriving(experiment: ServingExperiment, form: Arrivals, system: str) -> Hashable:
    """All that the rows of an open loop of a system depend on."""
    asked = form.length, form.batch, tuple(form.rates), tuple(form.processes), form.requests
    return *_settings(experiment, system, form.model), form.model, asked


def _settings(experiment: ServingExperiment, system: str, model: str) -> tuple[Hashable, ...]:
    e = experiment
    return e.systems[system], e.models[model], e.set, e.lengths, e.router, e.seed


def _load_of(point: Row) -> tuple[Any, ...]:
    """Points that share draws stand together, and among them those of one load."""
    return point["model"], point["batch"], point["input"], point["output"]


def _outcome(
    experiment: ServingExperiment, looped: Mapping[Hashable, Row], arrived: Mapping[Hashable, list[Row]]
) -> ServingOutcome:
    points, opened = _points(experiment), _opened(experiment)
    used = [
        experiment.systems[name] for name in dict.fromkeys([*(p["system"] for p in points), *(o[2] for o in opened)])
    ]
    machines = {form.hardware: _machine(form.hardware, (*experiment.set, *form.set)) for form in used}
    inputs = {
        "systems": {name: machines[name].config.data for name in sorted(machines)},
        "models": {name: load_model(name).model_dump() for name in experiment.models},
    }
    rows = [{**point, **looped[_content(experiment, point)]} for point in points]
    if rows and not opened and not any(row["admitted"] for row in rows):
        raise TiersimError(rows[0]["refused"])
    open_rows = [{"system": each[2], **row} for each in opened for row in arrived[_arriving(*each)]]
    return ServingOutcome(experiment, rows, open_rows, inputs)


def _loops(asked: Sequence[tuple[ServingExperiment, Row]]) -> list[Row]:
    """Closed loops of one model and batch size."""
    return [_loop(experiment, point) for experiment, point in asked]


def _loop(experiment: ServingExperiment, point: Row) -> Row:
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
        asked = lengths, admitted, experiment.rounds, router, stages[0].layers, experiment.seed
        timed = closed_loop.timed(stages[0], closed_loop.drawn(*asked))
        served, mixed = timed.served, float(timed.layout.mixed.mean())
        spent, of_memory = dynamic_energy(timed)
        share = of_memory / spent if spent and of_memory is not None else nan
        parts = {**time_shares(timed), "energy_share_experts_attention": share}
    return {
        "admitted": admitted,
        **_seen(served),
        "energy_j_per_token": nan if spent is None else spent / served.tokens,
        "mixed_share": mixed,
        **parts,
        "refused": "",
    }


def _arrivals(experiment: ServingExperiment, form: Arrivals, system: str) -> list[Row]:
    """Open loops of one system by each process and at each rate, on the same draws."""
    lengths = Lengths(*form.length, experiment.lengths.spread, experiment.lengths.scale)
    (stages,) = _stages(experiment, system, form.model)
    router = stages.draws(_router(experiment, form.model))
    cap = most_sequences(stages.deployment, lengths.total, lengths.longest_input, form.batch)
    stages = stages.compiled_for(cap, lengths.longest_input, lengths.output)
    first = requests(lengths, form.requests, 1.0, "even", experiment.seed)
    times = StageTimes(stages, chosen(first, router, stages.layers, cap, experiment.seed))
    most = sustained(stages, lengths, cap, router, experiment.seed)
    rows = []
    asked = list(product(form.processes, form.rates))
    runs = [requests(lengths, form.requests, rate, process, experiment.seed) for process, rate in asked]
    for (process, rate), served in zip(asked, serve_each(times, runs, cap), strict=True):
        point = {"model": form.model, "process": process, "rate": rate}
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
    return None if moe is None else _named(experiment.router, moe.experts, moe.top_k)


@lru_cache(maxsize=64)
def _named(router: str, experts: int, top_k: int) -> Router:
    """One router for all that ask for the same, so that they share its draws."""
    return ROUTERS[router](experts, top_k)


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


@lru_cache(maxsize=64)
def _staged(form: SystemForm, model: str, nodes: int, devices: int, overrides: tuple[str, ...]) -> tuple[Stages, ...]:
    return tuple(Stages(deployed) for deployed in _deployed(form, model, nodes, devices, overrides))


def _deployed(
    form: SystemForm, model: str, nodes: int, devices: int, overrides: tuple[str, ...]
) -> tuple[Deployment, ...]:
    """Of prompts and, with `answers`, of decoding."""
    overrides = (*overrides, *form.set)
    found = _machine(form.hardware, overrides)
    if form.scale:
        nodes, devices = scaled(nodes, devices, form.scale)
        device, _ = found.device()
        found = _machine(form.hardware, (*overrides, f"nodes={nodes}", f"devices.{device}.count={devices}"))
    mapping = MappingForm(engines=form.engines or tuple(found.engines), **{key: getattr(form, key) for key in _MAPPING})
    deployed = resolve(by_nodes(mapping, found), found, load_model(model))
    return (deployed, deployed.answers) if deployed.answers else (deployed,)


_MAPPING = ("answers", "dispatch", "together", "split", "experts", "expert_reduces", "split_by", "migrate")


@lru_cache(maxsize=128)
def _machine(name: str, overrides: tuple[str, ...]) -> System:
    return load_system(name, overrides)
