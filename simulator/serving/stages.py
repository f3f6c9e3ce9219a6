"""How long the stages of a serving run take, many at a time: one forward pass each, of decoding or mixed sequences."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from math import inf

import numpy as np

from simulator.core import Plan, Resource, closed_form
from simulator.core.account import summed
from simulator.core.affine import Affine, affine, probes
from simulator.core.closed_form import alone
from simulator.errors import ConfigError
from simulator.mapping.compose import check_requests
from simulator.mapping.deployment import Declared, Deployment
from simulator.mapping.stage import Kind, expert_engine, kinds, stage, typical
from simulator.mapping.target import Target, at_peak
from simulator.mapping.two_engines.expert_costs import Costs, Counts, costs
from simulator.mapping.two_engines.experts import split
from simulator.serving.programmed import Programmed, programmed
from simulator.serving.routed import Array, Routed
from simulator.workload.routing.routers import Popular, Router

ATTENTION, EXPERTS = "attention", "experts"
KEPT = 4
"""Counts whose routed experts are kept: those of the pools of a few sizes of batch."""


def is_shared(activity: str) -> bool:
    """Whether an activity is a kernel of routed experts, by its name; where ranks share them, it serves all of them."""
    return f".{EXPERTS}." in activity


def kind_of(activity: str) -> str:
    """What an activity of a stage does: `attention` over the cache, `links` between devices, `experts` that are routed
    and one kernel of their own (`kernels/fusion.py: with_experts`), or `other` layers."""
    if activity.startswith(("all_", "reduce_", "move")):
        return "links"
    if ".route+dispatch+experts." in activity:
        return EXPERTS
    seen = (".scores.", ".softmax.", ".values.")
    return ATTENTION if any(part in activity for part in seen) else "other"


class Stages:
    """The stages of a deployment: seconds and demands, by features and by the tokens of each expert.

    All of a stage but its routed experts is alike in each layer and, unless the policy looks at the size of the batch,
    affine in the features of a node: then it is lowered once for each kind of node, by whether it has prompts and
    sequences that decode (`core/affine.py`). One that has neither does nothing. Nodes wait for one another at the
    experts, so that the slowest counts.

    Attributes:
        layers: MoE layers, whose experts are timed by draws; 0 where they are part of the layer as it is lowered.
    """

    def __init__(self, deployment: Deployment) -> None:
        check_requests(deployment)
        self.deployment, self.model = deployment, deployment.model
        self.layers = 0 if deployment.lowers_experts else deployment.moe_layers
        self._lowered: dict[tuple[Kind, int], list[tuple[int, Affine]] | None] = {}
        self._costs: dict[tuple[str, int, bool], Costs] = {}
        self._programs: dict[tuple[Kind, int], Programmed | None] = {}
        self._engines: dict[bool, Target] = {}
        self._kept: dict[tuple[int, bool], tuple[Counts, Routed]] = {}

    def compiled_for(self, sequences: int, input: int, output: int, chunk: float = inf) -> Stages:
        """The same, compiled once for at most so many sequences of these lengths where its engine runs whole layers; of
        a prompt at most a chunk is computed at once.
        """
        if not self.deployment.whole_layers:
            return self
        return Stages(replace(self.deployment, declared=Declared(sequences, input, output, chunk)))

    def draws(self, router: Router | None) -> Router | None:
        """The router whose draws time the experts; None where these are lowered with their layer, for uniform routing.

        Raises:
            ConfigError: another router there.
        """
        if router is None or self.layers:
            return router
        if not (isinstance(router, Popular) and router.topics == 1 and np.ptp(router.popularity(0)) == 0):
            beside, other = "kernels 'modelled'", "kernels: roofline"
            if self.deployment.ranks:
                beside, other = "experts that ranks share", "one replica on all devices (mapping.data: 1)"
            if self.deployment.whole_layers:
                high = self.deployment.high
                beside = f"{high.name}, of kind {high.description.kind}, which runs a layer as a whole"
                other = "an engine that runs kernel by kernel"
            found, expected = f"one that is not uniform, with {beside}", f"'uniform', or {other}"
            raise ConfigError(path=("workload", "router"), found=found, expected=expected)
        return None

    def shared(self, x: Array, mixed: bool) -> Array:
        """Seconds of stages without their routed experts; `x` has the shape (stages, nodes, features).

        With those of a host that works before the devices; one that works beside them is counted last (`driven`).
        """
        flat = x.reshape(-1, x.shape[-1])
        seconds = np.zeros(len(flat))
        for kind, rows in kinds(flat, mixed):
            seconds[rows] = self.seconds(flat[rows], kind)
        host = self.deployment.host
        if host and not host.overlaps:
            seconds += self._host(flat, mixed)
        slowest: Array = seconds.reshape(x.shape[:2]).max(axis=1, initial=0.0)
        return slowest

    @property
    def host_beside(self) -> bool:
        """Whether a host works beside the devices."""
        host = self.deployment.host
        return bool(host) and host.overlaps

    def driven(self, seconds: Array, x: Array, mixed: bool) -> Array:
        """Seconds of stages with their experts: no less than those of a host that works beside the devices."""
        if not self.host_beside:
            return seconds
        slowest: Array = self._host(x.reshape(-1, x.shape[-1]), mixed).reshape(x.shape[:2]).max(axis=1)
        return np.maximum(seconds, slowest)

    def _host(self, flat: Array, mixed: bool) -> Array:
        """Seconds of the host of each node, where it has sequences."""
        host, seconds = self.deployment.host, np.zeros(len(flat))
        for kind, rows in kinds(flat, mixed):
            if kind.prompts or kind.decoding:
                sequences = flat[rows, 0] * kind.prompts + flat[rows, 3] * kind.decoding
                seconds[rows] = host.seconds(self.deployment.layers, sequences, kind.prompts)
        return seconds

    def seconds(self, flat: Array, kind: Kind) -> Array:
        """Seconds of stages of a kind, of one node each, without routed experts and host."""
        programs = self.programs(kind, flat.shape[1])
        if programs is not None:
            return programs.at(flat)
        lowered, seconds = self._affine(kind, flat.shape[1]), np.zeros(len(flat))
        if lowered is None:
            for repeat, plan in self._plans(flat, kind):
                seconds += repeat * np.asarray(closed_form(plan).time)
        else:
            for repeat, each in lowered:
                seconds += repeat * each.time(flat)
        return seconds

    def programs(self, kind: Kind, features: int) -> Programmed | None:
        """The programs of an engine that runs whole layers, where their rows say what they take; else None."""
        key = kind, features
        if key not in self._programs:
            whole = self.deployment.whole_layers
            self._programs[key] = programmed(self.deployment, kind, features) if whole else None
        return self._programs[key]

    def parts(self, x: Array, mixed: bool) -> dict[str, Array]:
        """Seconds of stages by what is done (`kind_of`), each activity for itself; of the first node."""
        spent: dict[str, Array] = {}
        for kind, rows in kinds(x[:, 0], mixed):
            for repeat, plan in self._plans(x[rows, 0], kind):
                for activity, times in plan.activities(repeat):
                    each = spent.setdefault(kind_of(activity.name), np.zeros(len(x)))
                    each[rows] += times * alone(activity)
        return spent

    def shared_demand(self, x: Array, mixed: bool) -> dict[str, dict[Resource, float]]:
        """Demands of these stages without their experts, by what is done (`kind_of`).

        Of all stages and nodes together, as of one device of each node.
        """
        flat = x.reshape(-1, x.shape[-1])
        total: dict[str, dict[Resource, float]] = {}
        for kind, rows in kinds(flat, mixed):
            lowered = self._affine(kind, flat.shape[1])
            plans = [(n, each.total(flat[rows])) for n, each in lowered or ()] or self._plans(flat[rows], kind)
            for repeat, plan in plans:
                for activity, times in plan.activities(repeat):
                    if self.deployment.ranks and is_shared(activity.name):
                        continue
                    of = total.setdefault(kind_of(activity.name), {})
                    for resource, units in activity.demand.items():
                        whole = summed(units, len(rows)) if lowered is None else float(units)
                        of[resource] = of.get(resource, 0.0) + times * whole
        return total

    def lowered_experts(self, tokens: Array, often: Array, mixed: bool) -> dict[Resource, float]:
        """Demands of experts that are lowered with their layer, of stages of so many tokens each, so often.

        They hang on the tokens alone, and not in a straight line: uniform routing touches ever fewer new experts. Of
        ranks, those are the tokens of all, and the experts those of one.
        """
        x, ranks = np.tile(typical(self.model), (len(tokens), 1)), self.deployment.ranks
        x[:, 1 if mixed else 3] = tokens / self.deployment.nodes if ranks else tokens
        total: dict[Resource, float] = {}
        for part in stage(self.deployment, x, Kind(mixed, not mixed, mixed)):
            for activity, times in part.plan.activities(part.repeat):
                if is_shared(activity.name) if ranks else kind_of(activity.name) == EXPERTS:
                    for resource, units in activity.demand.items():
                        total[resource] = total.get(resource, 0.0) + times * float(np.sum(units * often))
        return total

    def experts(self, counts: Counts, mixed: bool) -> Array:
        """Seconds of the routed experts of stages, all layers together; `counts`: (stages, layers, experts)."""
        return self.routed(counts, mixed).seconds if counts.size else np.zeros(len(counts))

    def routed(self, counts: Counts, mixed: bool) -> Routed:
        """The routed experts of stages as the engines share them; of the last counts that cannot change, it is kept."""
        key = id(counts), mixed
        if key not in self._kept:
            shared = self._shared_out(counts, mixed)
            if counts.flags.writeable:
                return shared
            if len(self._kept) == KEPT:
                del self._kept[next(iter(self._kept))]
            self._kept[key] = counts, shared  # the counts too, so that no others get their id
        return self._kept[key][1]

    def _plans(self, flat: Array, kind: Kind) -> list[tuple[int, Plan]]:
        """The blocks of stages, each with its repeats; `flat` has the shape (stages, features)."""
        lowered = self._affine(kind, flat.shape[1])
        if lowered is None:
            return [(part.repeat, part.plan) for part in stage(self.deployment, flat, kind)]
        return [(repeat, each.at(flat)) for repeat, each in lowered]

    def _affine(self, kind: Kind, features: int) -> list[tuple[int, Affine]] | None:
        """The blocks of a stage, affine in its features; None where dispatch looks at the size of the batch."""
        key = kind, features
        if key not in self._lowered:
            at = probes(typical(self.model)[:features])
            parts = list(stage(self.deployment, at, kind))
            self._lowered[key] = None
            if all(part.fixed for part in parts):
                with suppress(ValueError):  # not affine: whole grains of a tier, say
                    self._lowered[key] = [(part.repeat, affine(part.plan, at)) for part in parts]
        return self._lowered[key]

    def _shared_out(self, counts: Counts, mixed: bool) -> Routed:
        d, most = self.deployment, int(counts.max())
        grouped = counts.reshape(*counts.shape[:-1], d.groups, -1)
        if d.split == "none":
            if mixed not in self._engines:
                self._engines[mixed] = expert_engine(d, mixed)
            return Routed(d, grouped, self._engines[mixed] is d.low, *self._both(most))
        high, low = self._both(most, d.split_by == "peak")
        on_low = split(d.split)(grouped, high.each.take(grouped), low.each.take(grouped))
        return Routed(d, grouped, on_low, *self._both(most))

    def _both(self, most: int, peak: bool = False) -> tuple[Costs, Costs]:
        return self._of(self.deployment.high, most, peak), self._of(self.deployment.low, most, peak)

    def _of(self, engine: Target, most: int, peak: bool) -> Costs:
        """The costs of experts on an engine, of tokens up to a power of two that holds `most`."""
        d = self.deployment
        key = engine.name, max(256, 1 << (most - 1).bit_length()), peak
        if key not in self._costs:
            runs_on = at_peak(engine) if peak else engine
            moe = self.model.moe
            assert moe
            self._costs[key] = costs(runs_on, self.model, key[1], d.expert_ways, moe.experts // d.groups)
        return self._costs[key]
