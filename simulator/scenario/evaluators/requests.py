"""Requests served by continuous batching: how long these wait, iteration by iteration."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from math import nan
from typing import Any, ClassVar, NoReturn

import numpy as np

from simulator.core.account import energy, joules
from simulator.errors import CapacityError, ConfigError
from simulator.files import remembered
from simulator.hardware import System
from simulator.hardware.energy import static_power
from simulator.mapping.compose import check_requests
from simulator.mapping.deployment import Deployment
from simulator.mapping.footprint.room import most_sequences
from simulator.mapping.static_batch import check_context
from simulator.registry import register, registered
from simulator.scenario.cases import Columns, text_of
from simulator.scenario.costs import METRICS as COSTS
from simulator.scenario.costs import NAMES as COST_NAMES
from simulator.scenario.costs import costs_of
from simulator.scenario.evaluator import no_plan
from simulator.scenario.form import Scenario
from simulator.scenario.metric import Metric
from simulator.scenario.parts import at_key, deployment, machine
from simulator.scenario.parts import model as model_of
from simulator.scenario.reads import is_set
from simulator.scenario.requests.form import Requests, requests_of, router_of
from simulator.scenario.requests.program import served
from simulator.scenario.requests.spent import PRICE, spent
from simulator.serving import closed_loop
from simulator.serving.open_loop import StageTimes, chosen, serve_each
from simulator.serving.saturation import saturation, sustained
from simulator.serving.served import Served, percentile
from simulator.serving.split import serve_split
from simulator.serving.stage_shares import dynamic_energy, time_shares
from simulator.serving.stages import Stages
from simulator.workload.requests.arrivals import requests

PERCENTS = (50, 90, 99)
PROGRAMS = {
    "tpot": "time per output token",
    "normalised": "time to last token by tokens",
    "service": "time to first token but for the wait",
}
LABELS = {"ttft": "time to first token", "tbt": "time between tokens", "e2e": "time to last token", "queue": "wait"}
MAX_SEQUENCES = 64
"""Sequences that are served at once where the scheduler says nothing."""
ROUTED = ("workload.router", "mapping.experts", "mapping.expert_reduces")
"""What routed experts alone read."""
SHARES = frozenset(
    f"{iterations}_share_{part}" for iterations in ("decoding", "mixed") for part in ("experts", "attention")
)
SPENT = frozenset({"energy_per_token_j", PRICE.name, *COST_NAMES})
"""What is made of the demands of a run by a scheduler of a program, and of a table of costs."""
PLACED = "ask it of a batch of as many sequences as are served at once: workload: {kind: batch}"
"""What to do about rules of placement, and a cache of experts by them, which hangs on all iterations before."""
ENERGIES = frozenset({"energy_per_token_j", "energy_share_experts_attention"})
"""What costs a look at the demands of a whole run."""
DRAWN = tuple(
    f"workload.{key}"
    for key in ("loop", "requests", "rate", "process", "batch", "rounds", "input", "output", "spread", "scale")
)
PROGRAM = (
    "workload.skip_bad", "workload.shared", "workload.ttft", "workload.tpot",
    *(f"mapping.scheduler.{key}" for key in (
        "tokens", "preempt", "watermark", "ahead", "order", "replicas", "prompts", "balance", "home")),
    *(f"mapping.kv_store.{key}" for key in (
        "kind", "block", "blocks", "link", "link_energy", "swap", "tiers", "overlap", "reuse")),
)  # fmt: skip
"""What a scheduler of a program alone reads, of requests that are drawn or recorded."""
ARRIVING = ("workload.rate", "workload.process")


@register("evaluator", "requests")
class RequestsEvaluator:
    """Serves requests by continuous batching, on the same draws of lengths and experts for all machines.

    With a `trace`, or a scheduler of a program, requests are served by it over blocks of keys and values
    (`scenario/requests/program.py`). Else those that wait join before an iteration, while at most
    `scheduler.max_sequences` are served, or as many as fit (`admitted`); prompts are computed whole, in an iteration
    with all that decode, or with `answers` on engines of their own. Percentiles are over requests, of `tbt` over
    tokens. `utilisation` is the rate over that which the machine sustains; `keeps_up` is 1 where the queue does not
    grow, as in a closed loop, 0 where it does (then waits are those of a run that ended), and missing where the run
    does not tell (`undecided`: why); see `serving/saturation.py`. Energy is that of a scheduler of a program
    (`scenario/requests/spent.py`), or of a closed loop on one set of engines, as shares are.
    """

    form = Requests
    metrics: ClassVar[tuple[Metric, ...]] = (
        *(Metric(f"{n}_p{p}_s", "s", "min", f"{t}, p{p}", "request") for n, t in LABELS.items() for p in PERCENTS),
        *(Metric(f"{n}_p{p}_s", "s", "min", f"{t}, p{p}", "request") for n, t in PROGRAMS.items() for p in PERCENTS),
        Metric("tokens_per_s", "1/s", "max", "throughput"),
        Metric("requests_per_s", "1/s", "max", "requests that end"),
        Metric("goodput_per_s", "1/s", "max", "requests that end and keep the objective"),
        Metric("ended", "1", None, "requests that ended"),
        Metric("preemptions", "1", "min", "sequences that lost their room"),
        Metric("hit_rate", "1", "max", "share of prompts that was cached"),
        Metric("hit_rate_behind", "1", None, "share of prompts that lay behind memory"),
        Metric("loaded_bytes", "B", "min", "keys and values copied to memory from tiers behind it"),
        Metric("written_bytes", "B", "min", "keys and values copied from memory to the tier behind it"),
        Metric("busy", "1", None, "share of the time in which it works"),
        Metric("iterations", "1", None, "iterations"),
        Metric("admitted", "1", "max", "requests served at once"),
        Metric("utilisation", "1", None, "rate over that which is sustained"),
        Metric("keeps_up", "1", "max", "whether the queue stays short"),
        Metric("undecided", label="why it is not known whether the queue stays short"),
        Metric("energy_per_token_j", "J", "min", "energy", per="token"),
        PRICE,
        Metric("mixed_share", "1", None, "share of iterations with a prompt"),
        Metric("decoding_share_experts", "1", None, "share of experts in iterations that decode"),
        Metric("decoding_share_attention", "1", None, "share of attention in iterations that decode"),
        Metric("mixed_share_experts", "1", None, "share of experts in iterations with a prompt"),
        Metric("mixed_share_attention", "1", None, "share of attention in iterations with a prompt"),
        Metric("energy_share_experts_attention", "1", None, "share of experts and attention in the energy"),
        *COSTS,
    )  # fmt: skip
    needs: ClassVar[Collection[str]] = ("hardware", "model")
    mapping: ClassVar[Collection[str]] = (
        "devices", "engines", "answers", "pipeline", "context", "data", "dtype", "kv", "activations", "compute",
        "fusion", "memory", "runtime", "kernels", "calibration", "dispatch", "together", "split", "split_by", "experts",
        "expert_reduces", "migrate", "scheduler", "kv_store",
    )  # fmt: skip
    instead: ClassVar[Mapping[str, str]] = {"mapping.placement": PLACED, "mapping.block": PLACED}
    kinds: ClassVar[Mapping[str, str]] = {}
    vectorised: ClassVar[bool] = False
    requires: ClassVar[Mapping[str, str]] = {"keeps_up == 1": "undecided"}

    @staticmethod
    def unread(scenario: Scenario) -> Mapping[str, str]:
        """What belongs to the other loop, what spreads or routes nothing, and what has nothing beside it."""
        work = requests_of(scenario)
        routed = {}
        if any(is_set(scenario, path) for path in ROUTED) and model_of(scenario).moe is None:
            routed = dict.fromkeys(ROUTED, "a model without routed experts")
        if work.trace is not None:
            drawn = dict.fromkeys(DRAWN, "a trace")
            return {**drawn, "mapping.answers": "a trace", **routed, **_unread_by_program(scenario)}
        others = ("batch", "rounds") if work.loop == "open" else ("rate", "requests", "process")
        paths = {f"workload.{key}": f"{'an' if work.loop == 'open' else 'a'} {work.loop} loop" for key in others}
        if not work.spread:
            paths["workload.scale"] = "a run whose lengths have no spread"
        if scenario.mapping.answers and scenario.mapping.split == "none":
            paths["mapping.together"] = "a run with `answers` and no `split`, where nothing runs beside another,"
        paths |= routed
        if _by_program(scenario):
            paths |= _unread_by_program(scenario)
        else:
            paths |= dict.fromkeys(
                (*PROGRAM, "mapping.data"), "a run without a trace or a scheduler of a program (`vllm-v1`, ...)"
            )
        return paths

    @staticmethod
    def batched(scenario: Scenario | None, paths: Sequence[str]) -> list[str]:
        """Rates and processes of an open loop: its runs advance side by side."""
        if scenario is not None and _by_program(scenario):
            return []
        return [
            path for path in paths if path in ARRIVING and (scenario is None or requests_of(scenario).loop == "open")
        ]

    @staticmethod
    def evaluate(scenario: Scenario, columns: Columns, cases: int, wanted: Collection[str]) -> Mapping[str, Any]:
        if _by_program(scenario):
            return _served(scenario, wanted)
        return _closed(scenario, wanted) if requests_of(scenario).loop == "closed" else _open(scenario, columns, cases)

    @staticmethod
    def detail(scenario: Scenario) -> NoReturn:
        raise no_plan(scenario)


def _by_program(scenario: Scenario) -> bool:
    """Whether a scheduler of a program chooses, over blocks of keys and values."""
    return requests_of(scenario).trace is not None or scenario.mapping.scheduler.kind != "continuous"


def _unread_by_program(scenario: Scenario) -> dict[str, str]:
    """What a scheduler of a program does not read, as the mapping sets it and its store."""
    work, chosen = requests_of(scenario), scenario.mapping.scheduler
    paths: dict[str, str] = {}
    if not isinstance(work.trace, str):
        paths |= dict.fromkeys(("workload.skip_bad", "mapping.scheduler.home"), "a run without a recorded trace")
    at_random = work.trace is None and (work.spread or (work.loop == "open" and work.process == "poisson"))
    if is_set(scenario, "workload.seed") and not at_random and model_of(scenario).moe is None:
        paths["workload.seed"] = "a run in which nothing is drawn"
    if chosen.prompts is None:
        paths |= dict.fromkeys(
            ("mapping.kv_store.link", "mapping.kv_store.link_energy"), "a run without `prompts` of its scheduler"
        )
    if chosen.preempt != "swap":
        paths["mapping.kv_store.swap"] = "a run without `preempt: swap` of its scheduler"
    if not scenario.mapping.kv_store.tiers:
        without = "a run without `tiers` of its store"
        paths |= {"mapping.kv_store.overlap": without, "mapping.kv_store.reuse": without}
    if is_set(scenario, "mapping.scheduler.balance"):
        one = scenario.mapping.pipeline > 1 or scenario.mapping.experts == "whole"
        nodes = 1 if one else machine(scenario).machine.nodes
        first = chosen.prompts or chosen.replicas * nodes
        paths |= {"mapping.scheduler.balance": "a run with one replica to go to"} if first == 1 else {}
    if chosen.kind != "continuous":
        unread = getattr(registered("scheduler", chosen.kind), "unread", ())
        paths |= {f"mapping.scheduler.{key}": f"'{chosen.kind}'" for key in unread}
    return paths


def _served(scenario: Scenario, wanted: Collection[str]) -> Mapping[str, Any]:
    made = served(scenario)[0]
    return {**made.metrics(), **(spent(scenario, made).metrics if SPENT.intersection(wanted) else {})}


def _open(scenario: Scenario, columns: Columns, cases: int) -> Mapping[str, Any]:
    """Runs at each rate and by each process, on the same draws."""
    if scenario.mapping.answers:
        raise ConfigError(path=("mapping", "answers"), found="some, in an open loop", expected="none, or a closed loop")
    work = requests_of(scenario)
    load = _load(text_of(scenario, {"workload.rate": 1.0, "workload.process": "poisson"}))
    rates = np.broadcast_to(columns.get("workload.rate", work.rate), cases).tolist()
    processes = np.broadcast_to(columns.get("workload.process", work.process), cases).tolist()
    runs = [
        requests(work.lengths, work.requests, rate, process, work.seed)
        for rate, process in zip(rates, processes, strict=True)
    ]
    rows = []
    for rate, each in zip(rates, serve_each(load.times, runs, load.cap), strict=True):
        judged = saturation(each, rate, load.sustained)
        keeps_up = nan if judged.keeps_up is None else float(judged.keeps_up)
        judgement = {"utilisation": judged.utilisation, "keeps_up": keeps_up, "undecided": judged.undecided}
        rows.append({**_waits(each), **judgement})
    together = {name: np.array([row[name] for row in rows], _dtype(rows[0][name])) for name in rows[0]}
    return {**together, "admitted": float(load.cap), **load.costs}


def _closed(scenario: Scenario, wanted: Collection[str]) -> Mapping[str, Any]:
    """A run with a constant number in flight; of `admitted` 0 and nothing else where not one has room."""
    work = requests_of(scenario)
    server = _server(text_of(scenario, {path: None for path in _LOADS}))
    model = server.deployed.model
    check_context(model, work.input + work.output)
    prompt = 0 if server.deployed.answers else work.lengths.longest_input
    most = min(work.batch, server.deployed.max_sequences or work.batch)
    try:
        admitted = most_sequences(server.stages[-1].deployment, work.lengths.total, prompt, most)
    except CapacityError as error:
        return {"admitted": 0.0, "error": str(error)}
    stages = [each.compiled_for(admitted, work.lengths.longest_input, work.output) for each in server.stages]
    router = stages[-1].draws(router_of(work, model))
    metrics: dict[str, Any] = {"admitted": float(admitted), "keeps_up": 1.0, "undecided": "", **server.costs}
    if len(stages) > 1:
        number = int(work.rounds * admitted)
        with at_key("workload"):
            waits = _waits(serve_split(stages[0], stages[-1], work.lengths, admitted, number, router, work.seed))
        return {**metrics, **waits, "mixed_share": 0.0}
    load = closed_loop.drawn(work.lengths, admitted, work.rounds, router, stages[0].layers, work.seed)
    timed = closed_loop.timed(stages[0], load)
    with at_key("workload"):
        waits = _waits(timed.served)
    return {
        **metrics,
        **waits,
        "mixed_share": float(timed.layout.mixed.mean()),
        **(time_shares(timed) if SHARES.intersection(wanted) else {}),
        **(_energies(timed, server.deployed.system) if ENERGIES.intersection(wanted) else {}),
    }


def _energies(timed: closed_loop.Timed, system: System) -> Mapping[str, float]:
    """Joules of a token, and the share of experts and attention in what is spent; NaN where a figure lacks."""
    spent, of_memory = dynamic_energy(timed)
    static = joules(energy(static_power(system, timed.served.seconds)))
    known = spent is not None and static is not None
    return {
        "energy_per_token_j": (float(static or 0.0) + float(spent or 0.0)) / timed.served.tokens if known else nan,
        "energy_share_experts_attention": of_memory / spent if spent and of_memory is not None else nan,
    }


def _waits(served: Served) -> dict[str, float]:
    waits = {"ttft": served.ttft, "e2e": served.e2e, "queue": served.queued}
    return {
        **{f"{name}_p{p}_s": percentile(each, p) for name, each in waits.items() for p in PERCENTS},
        **{f"tbt_p{p}_s": served.tbt(p) for p in PERCENTS},
        "tokens_per_s": served.throughput,
    }


def _dtype(value: Any) -> Any:
    return object if isinstance(value, str) else float


@dataclass(frozen=True, eq=False)
class _Server:
    """A machine that serves a model: its stages, of prompts and, where others answer, of answers; its costs."""

    deployed: Deployment
    stages: tuple[Stages, ...]
    costs: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class _Load:
    """What a machine and its requests have in common at every rate.

    Attributes:
        times: the iterations, and what they take.
        cap: requests that are served at once.
        sustained: requests a second that the machine can serve.
        costs: of the machine.
    """

    times: StageTimes
    cap: int
    sustained: float
    costs: Mapping[str, Any]


_LOADS = tuple(f"workload.{key}" for key in Requests.model_fields if key not in ("kind", "router"))
"""What of a scenario its server does not depend on."""


@remembered(16)
def _server(text: str) -> _Server:
    """The server of a scenario, as JSON."""
    scenario = Scenario.model_validate_json(text)
    deployed = deployment(scenario, requests=True)
    parts = (deployed, deployed.answers) if deployed.answers else (deployed,)
    with at_key("mapping"):
        for part in parts:
            check_requests(part)
        if deployed.parallel.pipeline > 1:
            expected = "1, or a scheduler of a program (`vllm-v1`, ...): one for each iteration that is in flight"
            raise ConfigError(path="pipeline", found=deployed.parallel.pipeline, expected=expected)
    return _Server(deployed, tuple(map(Stages, parts)), costs_of(scenario, deployed.system, deployed.model))


@remembered(8)
def _load(text: str) -> _Load:
    """The load of an open loop's scenario, as JSON."""
    scenario = Scenario.model_validate_json(text)
    work, server = requests_of(scenario), _server(text_of(scenario, {path: None for path in _LOADS}))
    model, lengths = server.deployed.model, work.lengths
    check_context(model, work.input + work.output)
    most = server.deployed.max_sequences or MAX_SEQUENCES
    cap = most_sequences(server.deployed, lengths.total, lengths.longest_input, most)
    stages = server.stages[0].compiled_for(cap, lengths.longest_input, work.output)
    router = stages.draws(router_of(work, model))
    first = requests(lengths, work.requests, 1.0, "even", work.seed)
    times = StageTimes(stages, chosen(first, router, stages.layers, cap, work.seed))
    return _Load(times, cap, sustained(stages, lengths, cap, router, work.seed), server.costs)
