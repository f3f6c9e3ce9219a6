"""The kind of experiment `coe`: a Composition of Experts on several machines, over the number of experts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import Field

from simulator.baselines.experiment import Experiment, Part, Progress
from simulator.core import Activity, paced
from simulator.errors import CapacityError, ConfigError, nearest, one_of
from simulator.hardware import System, load_system
from simulator.mapping.lowering import target
from simulator.mapping.placement import nodes_needed
from simulator.mapping.transfer import transfer
from simulator.registry import register, registered
from simulator.serving.coe import Service, serve
from simulator.serving.generation import generate
from simulator.units import Bytes, Seconds
from simulator.workload import GENERATORS, kv_bytes, load_model, load_trace, weight_bytes

if TYPE_CHECKING:
    import pandas as pd

Count = Annotated[int, Field(ge=1)]


class Machine(Part):
    """One machine of the comparison; sizes that it leaves out are those of the machine's tiers."""

    hardware: str
    home: str  # the tier where all experts live
    cache: str  # the tier that they are copied to
    links: Count | None = None  # how many of parallel links one copy uses
    home_bytes: Bytes | None = None
    cache_bytes: Bytes | None = None
    footprint: Literal["home", "cache"]  # the tier that must hold all experts where nodes are counted
    set: tuple[str, ...] = ()


class Bookkeeping(Part):
    """What takes up the cache beside experts, and how large an expert is (all its weights unless given)."""

    expert_bytes: Bytes | None = None
    kv_tokens: Count
    router_in_cache: bool = False
    inclusive: bool = True  # the home keeps the experts that are in the cache too


class Calibration(Part):
    """Run time of one prompt on its expert, by machine and output tokens."""

    expert_time: dict[str, dict[int, Seconds]]


class Requests(Part):
    """Which expert each prompt needs, over and over: the steady state after `warm_up` rounds is measured for `rounds`.

    A round is as many prompts as there are experts, or a whole recorded trace.
    """

    warm_up: Count = 1
    rounds: Count = 1


class Cyclic(Requests):
    """Each expert in turn."""

    kind: Literal["cyclic"]


class Uniform(Requests):
    """All experts equally likely."""

    kind: Literal["uniform"]
    seed: int = 0


class Zipf(Requests):
    """Expert e with probability proportional to `(e + 1)^-exponent`."""

    kind: Literal["zipf"]
    exponent: Annotated[float, Field(ge=0)] = 1.0
    seed: int = 0


class Markov(Requests):
    """The same expert again with probability `stay`."""

    kind: Literal["markov"]
    stay: Annotated[float, Field(ge=0, le=1)] = 0.9
    seed: int = 0


class Recorded(Requests):
    """A CSV of recorded choices, `prompt,expert`."""

    kind: Literal["csv"]
    file: str


class Prompt(Part):
    """Tokens in, and those that the router generates."""

    tokens: Count
    router_tokens: Count


class CoeExperiment(Experiment):
    """The YAML of a `coe` experiment. `calibration: none` takes run times from the operator graph."""

    kind: Literal["coe"]
    model: str
    prompt: Prompt
    trace: Annotated[Cyclic | Uniform | Zipf | Markov | Recorded, Field(discriminator="kind")]
    policy: str = "lru"
    prefetch: Literal["none", "batch", "trace"] = "none"
    group: bool = False
    experts: Annotated[list[Count], Field(min_length=1)]
    batches: Annotated[list[Count], Field(min_length=1)]
    tokens: Annotated[list[Count], Field(min_length=1)]
    nodes_for: Annotated[list[Count], Field(min_length=1)]  # numbers of experts at which nodes are counted
    bookkeeping: Bookkeeping
    systems: Annotated[dict[str, Machine], Field(min_length=1)]
    calibration: Calibration | Literal["none"]


@register("experiment", "coe")
class CoeKind:
    """Serves prompts at each number of experts, on each machine, for each batch and output length."""

    form = CoeExperiment

    @staticmethod
    def run(experiment: CoeExperiment, progress: Progress) -> CoeOutcome:
        registered("residency", experiment.policy)
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
        if tier not in self.system.tiers:
            tiers = self.system.tiers
            expected = "one of " + ", ".join(tiers)
            raise ConfigError(
                path=("systems", self.name, role), found=tier, expected=expected, nearest=nearest(tier, tiers)
            )
        return self.system.capacity(tier) if stated is None else stated

    def _run(self, what: str, tokens: int) -> Activity:
        """One prompt on the router or on its expert: as calibrated, or from the operator graph."""
        calibration = self.experiment.calibration
        if calibration == "none":
            return generate(target(self.system), self.model, 1, self.experiment.prompt.tokens, tokens).activity(what)
        times = calibration.expert_time.get(self.name, {})
        if tokens not in times:
            path = ("calibration", "expert_time", self.name, str(tokens))
            raise ConfigError(path=path, found="nothing", expected="a time, or calibration: none")
        return paced(what, times[tokens])


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


def _choices(trace: Requests, experts: int, batch: int) -> tuple[int, list[int]]:
    """The batches of the warm-up, and the expert of each prompt, warm-up and all."""
    if isinstance(trace, Recorded):
        recorded = load_trace(trace.file, experts).choices.tolist()
        return -(-trace.warm_up * len(recorded) // batch), recorded * (trace.warm_up + trace.rounds)
    warm_up, measured = (-(-rounds * experts // batch) for rounds in (trace.warm_up, trace.rounds))
    options = trace.model_dump(exclude={"kind", "warm_up", "rounds"})
    generator = GENERATORS[trace.kind]  # type: ignore[attr-defined]  # each form has one
    return warm_up, generator(experts, (warm_up + measured) * batch, **options).choices.tolist()


@dataclass(frozen=True)
class CoeOutcome:
    """Rows of points and of node counts, and the metrics that a paper may print of them; the configs behind them."""

    points: list[dict[str, Any]]
    nodes: list[dict[str, Any]]
    inputs: dict[str, Any]

    def frames(self) -> dict[str, pd.DataFrame]:
        import pandas as pd

        return {"points": pd.DataFrame(self.points), "nodes": pd.DataFrame(self.nodes)}

    def measure(self, metric: str, condition: Mapping[str, Any]) -> float | None:
        """A metric by name; conditions are `system`, `batch`, `tokens`, `experts`, `nodes` and `baseline`.

        `latency`, `switching`, `execution` (router and expert), seconds a batch; `switch_time`, seconds an expert;
        `last_fit`, `first_miss`, numbers of experts of the grid; `out_of_memory`, 1 or 0; `nodes`; `nodes_from`, the
        first number of experts that needs so many nodes; `speedup`, `expert_speedup`, `switch_speedup`, the baseline's
        time over the system's.
        """
        if metric not in _METRICS:
            expected = "one of " + ", ".join(_METRICS)
            raise ConfigError("no such metric", found=metric, expected=expected, nearest=nearest(metric, _METRICS))
        systems = {row["system"] for row in self.points}
        for role in ("system", "baseline"):
            if condition.get(role, next(iter(systems))) not in systems:
                close = nearest(str(condition[role]), systems)
                raise ConfigError(
                    path=role, found=f"'{condition[role]}'", expected=one_of(sorted(systems)), nearest=close
                )
        value = _METRICS[metric](self, dict(condition))
        return None if value is None or np.isnan(value) else float(value)

    @cached_property
    def _by_point(self) -> dict[tuple[Any, ...], dict[str, Any]]:
        return {(p["system"], p["batch"], p["tokens"], p["experts"]): p for p in self.points}

    def point(self, c: Mapping[str, Any]) -> dict[str, Any]:
        """The point of a condition; ConfigError where the experiment does not have it."""
        key = (c.get("system"), c.get("batch"), c.get("tokens"), c.get("experts"))
        if key not in self._by_point:
            raise ConfigError("no such point in the experiment", found=dict(c), expected="one of its grid")
        return self._by_point[key]

    def along(self, c: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The points that are served, over the number of experts, where all else is as in the condition."""
        return [p for p in self.points if all(p[k] == v for k, v in c.items() if k in p) and not p["refused"]]


def _switch_time(outcome: CoeOutcome, c: dict[str, Any]) -> float | None:
    missing = [p for p in outcome.along(c) if p["misses"]]
    return missing[-1]["switch_s"] / missing[-1]["misses"] if missing else None


def _ratio(outcome: CoeOutcome, c: dict[str, Any], field: str) -> float:
    baseline = c.pop("baseline")
    ratio: float = outcome.point(c | {"system": baseline})[field] / outcome.point(c)[field]
    return ratio


def _nodes_from(outcome: CoeOutcome, c: dict[str, Any]) -> float | None:
    rows = (r for r in outcome.nodes if r["system"] == c["system"] and r["nodes"] >= c["nodes"])
    return next((r["experts"] for r in rows), None)


def _nodes(outcome: CoeOutcome, c: dict[str, Any]) -> float | None:
    rows = (r for r in outcome.nodes if r["system"] == c["system"] and r["experts"] == c["experts"])
    return next((r["nodes"] for r in rows), None)


def _switch_speedup(outcome: CoeOutcome, c: dict[str, Any]) -> float:
    theirs, ours = (_switch_time(outcome, {"system": c[who]}) for who in ("baseline", "system"))
    return theirs / ours if theirs and ours else float("nan")


_METRICS: dict[str, Any] = {
    "latency": lambda o, c: o.point(c)["latency_s"],
    "switching": lambda o, c: o.point(c)["switch_s"],
    "execution": lambda o, c: o.point(c)["router_s"] + o.point(c)["expert_s"],
    "switch_time": _switch_time,
    "last_fit": lambda o, c: max((p["experts"] for p in o.along(c) if not p["misses"]), default=None),
    "first_miss": lambda o, c: min((p["experts"] for p in o.along(c) if p["misses"]), default=None),
    "out_of_memory": lambda o, c: float(bool(o.point(c)["refused"])),
    "nodes": _nodes,
    "nodes_from": _nodes_from,
    "speedup": lambda o, c: _ratio(o, c, "latency_s"),
    "expert_speedup": lambda o, c: _ratio(o, c, "expert_s"),
    "switch_speedup": _switch_speedup,
}
