"""How a `flash` experiment runs: each method on each model and machine, over a trace of active neurons."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import islice, product
from math import nan
from typing import Any

import numpy as np

from simulator.baselines.experiment import Progress, part_of
from simulator.baselines.flash.form import Dense, FlashExperiment, Law, Machine, Method, Sparse, SparseModel
from simulator.baselines.flash.form import Recorded as RecordedFile
from simulator.baselines.flash.outcome import FlashOutcome
from simulator.config.choose import check_name
from simulator.core.account import energy
from simulator.errors import CapacityError, ConfigError
from simulator.hardware import System, load_system
from simulator.mapping.flash_read import throughput
from simulator.mapping.neurons.held import Keeping, NeuronTraffic, Steps, held_by_each, settled
from simulator.mapping.neurons.steps import SpeculativeSteps, advances, token_steps
from simulator.mapping.neurons.stored import Stored, stored
from simulator.mapping.neurons.token_plan import Memory
from simulator.mapping.target import target
from simulator.registry import register
from simulator.serving.sparse import Decoded, decode_dense, decode_sparse
from simulator.workload import Model, load_model, weight_bytes
from simulator.workload.dtypes import BYTES_PER_ELEMENT, Dtype
from simulator.workload.hot_cold import HotCold, fit_hot_cold, hot_cold
from simulator.workload.model import Dtypes
from simulator.workload.neuron_files import load_neurons
from simulator.workload.neurons import NeuronTrace, share
from simulator.workload.predicted import predicted
from simulator.workload.window_law import WindowLaw, renewal

PER_TOKEN = ("io_s", "memory_s", "compute_s", "total_s", "dram_bytes", "asked_bytes", "read_bytes")
RATIOS = ("io_share", "tokens_per_s", "dram_share", "held_share", "missed_share", "predictor_share")


@register("experiment", "flash")
class FlashKind:
    """Decodes with each method, on each model and machine; and what lies behind: read rates, shares of neurons."""

    form = FlashExperiment

    @staticmethod
    def check(experiment: FlashExperiment) -> None:
        for name, sparse in experiment.models.items():
            with part_of("models", name):
                kept = stored(load_model(sparse.model))
                if isinstance(sparse.activity, RecordedFile):
                    load_neurons(sparse.activity.file, kept.neurons, kept.model.layers)
        systems = {}
        for name, machine in experiment.systems.items():
            with part_of("systems", name):
                systems[name] = load_system(machine.hardware, [*machine.set, *experiment.settings(name)])
                _memory(systems[name], name, machine)
        kinds = {tier.kind for system in systems.values() for tier in system.tiers.values()}
        for system, ranges in experiment.energy.items():
            check_name(system, ["any", *(each.name for each in systems.values())], "energy")
            for kind in ranges:
                check_name(kind, sorted(kinds), f"energy.{system}")
        for name in experiment.usage.models if experiment.usage else ():
            _window_law(experiment, name)

    @staticmethod
    def run(experiment: FlashExperiment, progress: Progress) -> FlashOutcome:
        lab = _Lab(experiment)
        points: list[dict[str, Any]] = []
        energy: list[dict[str, Any]] = []
        sweeps: list[dict[str, Any]] = []
        for done, (key, method) in enumerate(lab.asked, start=1):
            row, spent = lab.point(key["system"], key["model"], method)
            if "sweep" in key:
                sweeps.append(key | row)
            else:
                points.append(key | row)
                energy += [key | each for each in spent]
            progress(done, len(lab.asked))
        return FlashOutcome(points, energy, lab.throughput(), lab.usage(), sweeps, lab.inputs())


@dataclass(frozen=True)
class _Lab:
    """The machines, models and traces of an experiment, each made once."""

    experiment: FlashExperiment
    _traffic: dict[tuple[str, Steps, Keeping], NeuronTraffic] = field(default_factory=dict)

    @cached_property
    def asked(self) -> list[tuple[dict[str, Any], Method]]:
        """The methods of runs and of sweeps, each with the names that its row has: of a machine, a model, ..."""
        experiment = self.experiment
        points = dict.fromkeys(point for run in experiment.runs.values() for point in run.points())
        keys = [dict(zip(("system", "model", "method"), point, strict=True)) for point in points]
        asked: list[tuple[dict[str, Any], Method]] = [(key, self.method(key["method"])) for key in keys]
        settings = [
            (name, sweep, {quantity: value})
            for quantity in ("window", "budget")
            for name, sweep in experiment.sweeps.items()
            for value in getattr(sweep, f"{quantity}s")
        ]
        for name, sweep, setting in settings:
            for each in sweep.methods:
                key = {"sweep": name, "system": sweep.system, "model": sweep.model, "method": each}
                method = self.method(each).model_copy(update=setting)
                asked.append(({**key, "window": nan, "budget": nan, **setting}, method))
        return asked

    @cached_property
    def systems(self) -> dict[str, System]:
        """Those that are asked of."""
        experiment = self.experiment
        used = {name for run in experiment.runs.values() for name in run.systems}
        used |= {sweep.system for sweep in experiment.sweeps.values()}
        used |= set(experiment.chunks.systems if experiment.chunks else ())
        for name in sorted(used):
            _named(experiment.systems, name, "systems")
        machines = {name: machine for name, machine in experiment.systems.items() if name in used}
        return {name: load_system(m.hardware, [*m.set, *experiment.settings(name)]) for name, m in machines.items()}

    @cached_property
    def models(self) -> dict[str, Model]:
        return {sparse.model: load_model(sparse.model) for sparse in self.experiment.models.values()}

    def method(self, name: str) -> Method:
        found: Method = _named(self.experiment.methods, name, "methods")
        return found

    def point(self, system: str, model: str, method: Method) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """Means of a token; NaN where it does not fit, and why. And its bytes and joules, tier by tier."""
        machine = _named(self.experiment.systems, system, "systems")
        sparse = _named(self.experiment.models, model, "models")
        try:
            done, tokens = self._decoded(system, machine, model, sparse, method)
        except CapacityError as error:
            return {**dict.fromkeys((*PER_TOKEN, *RATIOS), nan), "refused": str(error)}, []
        lies_as = machine.dense_dtype if isinstance(method, Dense) else None
        kept, steps = self._stored(lies_as or machine.dtype, sparse), len(done.io)
        row = {key: float(getattr(done, key.rpartition("_")[0]).mean()) / tokens for key in PER_TOKEN}
        row["dram_bytes"], whole = float(done.dram.mean()), weight_bytes(kept.model)
        ratios = (
            row["io_s"] / row["total_s"],
            1 / row["total_s"],
            row["dram_bytes"] / whole,
            float(done.held.mean()),
            float(done.missed.mean()) / tokens,
            kept.predictor_bytes / whole,
        )
        row |= dict(zip(RATIOS, ratios, strict=True))
        return {**row, "refused": ""}, self._energy(self.systems[system], done, steps * tokens)

    def _decoded(
        self, system: str, machine: Machine, name: str, sparse: SparseModel, method: Method
    ) -> tuple[Decoded, float]:
        """A run, and the tokens that a step of it gives on average."""
        run = _memory(self.systems[system], system, machine)
        kept = self._stored(machine.dtype, sparse)
        prompt, tokens = self.experiment.prompt, self.experiment.tokens
        if isinstance(method, Dense):
            file = self._stored(machine.dense_dtype or machine.dtype, sparse)
            return decode_dense(run, kept, file, prompt + np.arange(tokens, dtype=float), method.resident), 1.0
        kept = self._stored(machine.dtype, sparse, method)
        keeping, steps = self._keeping(sparse, method, kept), self._steps(method)
        traffic = self._settled(name, steps, keeping)
        if cached := _cached(run, kept, traffic, keeping.transient):
            traffic = self._settled(name, steps, replace(keeping, cached=cached))
        each = np.ones(traffic.held.shape[1])
        if isinstance(steps, SpeculativeSteps):
            each = np.array(steps.advance[-each.size :], dtype=float)
        context = prompt + np.cumsum(each) - each
        done = decode_sparse(run, kept, traffic, context, method.overlap, method.drafted, keeping.transient)
        return done, float(each.mean())

    def _settled(self, name: str, steps: Steps, keeping: Keeping) -> NeuronTraffic:
        """The traffic of a model after the warm-up; all that is asked of its trace is counted at once."""
        if (name, steps, keeping) not in self._traffic:
            ways = self._ways[name, steps]
            ways = ways if keeping in ways else [keeping]
            trace, warm_up = self._trace(name), self.experiment.warm_up
            if isinstance(steps, SpeculativeSteps):
                warm_up = int(np.searchsorted(np.cumsum(steps.advance), warm_up))
                _check_steps(len(steps.advance) - warm_up, self.experiment.warm_up, trace.tokens)
            for way, traffic in zip(ways, held_by_each(trace, ways, steps), strict=True):
                self._traffic[name, steps, way] = settled(traffic, warm_up)
        return self._traffic[name, steps, keeping]

    @cached_property
    def _ways(self) -> dict[tuple[str, Steps], list[Keeping]]:
        """How methods keep the neurons of a model, by the steps that they go."""
        ways: defaultdict[tuple[str, Steps], list[Keeping]] = defaultdict(list)
        for key, method in self.asked:
            if isinstance(method, Sparse):
                machine, sparse = self.experiment.systems[key["system"]], self.experiment.models[key["model"]]
                with suppress(CapacityError):  # told with its point
                    keeping = self._keeping(sparse, method, self._stored(machine.dtype, sparse, method))
                    ways[key["model"], self._steps(method)].append(keeping)
        return ways

    def _keeping(self, sparse: SparseModel, method: Sparse, kept: Stored) -> Keeping:
        return Keeping(
            policy=method.policy,
            window=sparse.window if method.window is None else method.window,
            capacity=_capacity(method, kept),
            pinned=int(method.pinned * kept.neurons),
            together=method.together,
            gathered=method.gathered,
            profiled=self.experiment.warm_up,
        )

    def _steps(self, method: Sparse) -> Steps:
        if not method.drafted:
            return token_steps
        tokens = self.experiment.warm_up + self.experiment.tokens
        advance = advances(tokens, method.drafted, method.acceptance, self.experiment.seed)
        return SpeculativeSteps(method.drafted, method.acceptance, tuple(advance.tolist()))

    def _stored(self, dtype: Dtype, sparse: SparseModel, method: Sparse | None = None) -> Stored:
        bundle, split = (sparse.bundle if method.bundled else 1, method.split) if method else (sparse.bundle, None)
        kept = stored(_in(self.models[sparse.model], dtype, sparse.scales), bundle, sparse.ranks, split)
        return replace(kept, together=2 if method and method.together == "friends" else 1)

    def _trace(self, name: str, tokens: int | None = None) -> NeuronTrace:
        experiment = self.experiment
        sparse = _named(experiment.models, name, "models")
        length = experiment.warm_up + experiment.tokens if tokens is None else tokens
        kept = self._stored("fp16", sparse)
        activity, layers, seed = sparse.activity, kept.model.layers, experiment.seed
        by_layer = None
        if sparse.share_by_layer:
            known = sparse.share_by_layer
            by_layer = np.interp(np.linspace(0, 1, layers), np.linspace(0, 1, len(known)), known).tolist()
        if isinstance(activity, RecordedFile):
            trace = _cut(load_neurons(activity.file, kept.neurons, layers), length, activity.file)
            if by_layer:
                path = ("models", name, "share_by_layer")
                raise ConfigError(path=path, found="a share of each layer", expected="none: the recording has them")
        elif isinstance(activity, Law):
            trace = renewal(activity.fitted(), layers, kept.neurons, length, seed, by_layer)
        else:
            two = HotCold(activity.hot, activity.hot_rate, activity.cold_rate)
            trace = hot_cold(two, layers, kept.neurons, length, seed, by_layer)
        errors = sparse.errors
        return predicted(trace, errors.false_negatives, errors.false_positives, seed) if errors else trace

    def _energy(self, system: System, done: Decoded, tokens: float) -> list[dict[str, Any]]:
        """Bytes that each tier moves for a token, and the joules: as the machine has it, or as sources disagree."""
        ranges = self.experiment.energy
        rows = []
        for term in energy(done.demand):
            if term.name in system.tiers:
                each = float(term.count * term.amount) / tokens
                kind = system.tiers[term.name].kind
                known = ranges.get(system.name, {}).get(kind) or ranges.get("any", {}).get(kind)
                own = nan if term.each is None else float(term.each)
                low, high = (known.low, known.high) if known else (own, own)
                rows.append({"tier": term.name, "bytes": each, "low_j": each * low, "high_j": each * high})
        return rows

    def throughput(self) -> list[dict[str, Any]]:
        chunks, rows = self.experiment.chunks, []
        for name, threads, size in product(chunks.systems, chunks.threads, chunks.sizes) if chunks else ():
            machine = self.experiment.systems[name]
            rate = throughput(self.systems[name], machine.flash, machine.dram, size, threads)
            rows.append({"system": name, "chunk": round(size), "threads": threads, "bandwidth": rate})
        return rows

    def usage(self) -> list[dict[str, Any]]:
        """The share of neurons that k tokens use, and what one more adds: as the law has it, and as traces do."""
        usage, rows = self.experiment.usage, []
        for name in usage.models if usage else ():
            assert usage
            law, windows = _window_law(self.experiment, name), usage.windows
            two = fit_hot_cold(law, max(windows))
            steps = [k + add for k in windows for add in (0, 1)]
            traced = share(self._trace(name, usage.tokens), steps)
            for i, k in enumerate(windows):
                rows.append(
                    {
                        "model": name,
                        "window": k,
                        "law": float(law.at(k)),
                        "trace": traced[2 * i],
                        "hot_cold": float(two.at(k)),
                        "law_increment": float(law.increment(k)),
                        "trace_increment": traced[2 * i + 1] - traced[2 * i],
                        "hot_cold_increment": float(two.at(k + 1) - two.at(k)),
                    }
                )
        return rows

    def inputs(self) -> dict[str, Any]:
        return {
            "systems": {name: system.config.data for name, system in self.systems.items()},
            "models": {name: model.model_dump() for name, model in self.models.items()},
        }


def _capacity(method: Sparse, kept: Stored) -> int | None:
    """Neurons of a layer that there is room for.

    Raises:
        CapacityError: what is no neuron takes all of the budget.
    """
    if method.budget is None and method.memory is None:
        return None if method.room is None else max(int(method.room * kept.neurons), 1)
    whole = weight_bytes(kept.model)
    there = method.memory if method.budget is None else method.budget * whole
    assert there is not None
    capacity = int((there - kept.fixed_bytes) // (kept.model.layers * kept.neuron_bytes))
    if capacity < 1:
        what = f"{kept.model.name}: the weights that are no neuron's, and the predictors,"
        raise CapacityError(what, needed=kept.fixed_bytes, there=there, remedy="a larger budget")
    return capacity


def _cached(run: Memory, kept: Stored, traffic: NeuronTraffic, shared: bool) -> int:
    """Neurons of a layer in the operating system's page cache: all the DRAM that weights and buffers leave."""
    tier, dram = run.system.tiers[run.flash], run.system.tiers[run.dram]
    if not (tier.flash and tier.flash.page_cache):
        return 0
    rows = float((traffic.held.max(axis=0) if shared else traffic.held.sum(axis=0)).max())
    there = run.system.capacity(run.dram) - dram.reserved - kept.fixed_bytes - rows * kept.neuron_bytes
    return int(min(max(there, 0.0) // (kept.model.layers * kept.neuron_bytes), kept.neurons))


def _cut(trace: NeuronTrace, tokens: int, file: str) -> NeuronTrace:
    """The first tokens of a recording."""
    if trace.tokens < tokens:
        expected = f"{tokens} or more, for the warm-up and what is measured"
        raise ConfigError("recorded tokens", file=file, found=trace.tokens, expected=expected)
    return replace(trace, tokens=tokens, draw=lambda layer: islice(trace.draw(layer), tokens))


def _check_steps(left: int, warm_up: int, tokens: int) -> None:
    """Raises `ConfigError` where no step is left to measure."""
    if left < 1:
        found = f"{tokens} tokens, {warm_up} of them to warm up"
        raise ConfigError("no step is left", path="tokens", found=found, expected="more")


def _memory(system: System, name: str, machine: Machine) -> Memory:
    parts: dict[str, Collection[str]] = {"flash": system.tiers, "dram": system.tiers, "manager": system.engines}
    for key, known in parts.items():
        check_name(getattr(machine, key), known, ("systems", name, key))
    run = target(system, machine.device, machine.engine)
    if machine.dram == machine.flash:
        raise ConfigError(path=("systems", name, "dram"), found=f"'{machine.dram}'", expected="another than flash")
    return Memory(run, machine.flash, machine.dram, machine.manager, machine.threads, machine.packed)


def _window_law(experiment: FlashExperiment, name: str) -> WindowLaw:
    activity = _named(experiment.models, name, "models").activity
    if not isinstance(activity, Law):
        raise ConfigError(path=("usage", "models"), found=f"'{name}'", expected="a model with a window law")
    return activity.fitted()


def _in(model: Model, dtype: Dtype, scales: float) -> Model:
    """A model with all matrices in one format; activations, cache and products as wide as they, 16 bits at least."""
    wide: Dtype = dtype if BYTES_PER_ELEMENT[dtype] >= 2 else "fp16"
    dtypes = Dtypes(weights=dtype, activations=wide, kv=wide, compute=wide, wide=())
    return model.model_copy(update={"dtypes": dtypes, "weight_scales": scales})


def _named(known: dict[str, Any], name: str, path: str) -> Any:
    return known[check_name(name, known, path)]
