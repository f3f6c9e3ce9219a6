"""Requests served by continuous batching as they come: how long these wait, event by event."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import nan
from typing import Annotated, Any, ClassVar, Literal, NoReturn

from simulator.config.choose import one_among
from simulator.mapping.compose import check_requests
from simulator.mapping.room import most_sequences
from simulator.mapping.static_batch import check_context
from simulator.registry import register
from simulator.scenario.cases import Columns, with_values
from simulator.scenario.costs import METRICS as COSTS
from simulator.scenario.costs import costs_of
from simulator.scenario.evaluator import no_plan
from simulator.scenario.form import Scenario, Workload
from simulator.scenario.metric import Metric
from simulator.scenario.parts import deployment
from simulator.serving.arrivals import requests
from simulator.serving.lengths import Lengths, Spread
from simulator.serving.open_loop import StageTimes, chosen, serve
from simulator.serving.saturation import saturation, sustained
from simulator.serving.served import percentile
from simulator.serving.stages import Stages
from simulator.units import Count, Positive
from simulator.workload.routers import ROUTERS

PERCENTS = (50, 99)
LABELS = {"ttft": "time to first token", "tbt": "time between tokens", "e2e": "time to last token", "queue": "wait"}
MAX_SEQUENCES = 64
"""Sequences that are served at once where the scheduler says nothing."""


class Requests(Workload):
    """Requests that arrive at a rate, with prompts and answers of about so many tokens."""

    kind: Literal["requests"]
    requests: Count = 500
    """Requests in all."""
    rate: Positive = 1.0
    """Requests a second."""
    process: Literal["poisson", "even"] = "poisson"
    """How they arrive: at random, or at equal distances."""
    input: Count = 512
    """Mean tokens of a prompt."""
    output: Count = 128
    """Mean tokens of an answer."""
    spread: Spread = 0.0
    """Spread of lengths about their means (`serving/lengths.py`)."""
    router: Annotated[str, one_among(lambda: ROUTERS)] = "uniform"
    """How tokens choose experts."""


@register("evaluator", "requests")
class RequestsEvaluator:
    """Serves requests by continuous batching: each case is a run of its own, as queues are no formula.

    Those that wait join before an iteration, while at most `scheduler.max_sequences` are served, or as many as fit
    (`admitted`). Percentiles are over requests, of `tbt` over tokens. `utilisation` is the rate over that which the
    machine sustains; `keeps_up` is 1 where the queue does not grow, 0 where it does (then waits are those of a run that
    ended), and missing where the run does not tell (`undecided`: why); see `serving/saturation.py`. Prompts are
    computed whole, in an iteration with all that decode. Draws are the same at every rate.
    """

    form = Requests
    metrics: ClassVar[tuple[Metric, ...]] = (
        *(Metric(f"{n}_p{p}_s", "s", "min", f"{t}, p{p}", "request") for n, t in LABELS.items() for p in PERCENTS),
        Metric("tokens_per_s", "1/s", "max", "throughput"),
        Metric("admitted", "1", "max", "requests served at once"),
        Metric("utilisation", "1", None, "rate over that which is sustained"),
        Metric("keeps_up", "1", "max", "whether the queue stays short"),
        Metric("undecided", label="why it is not known whether the queue stays short"),
        *COSTS,
    )  # fmt: skip
    needs: ClassVar[Collection[str]] = ("hardware", "model")
    mapping: ClassVar[Collection[str]] = (
        "devices", "engines", "dtype", "kv", "fusion", "dispatch", "together", "scheduler",
    )  # fmt: skip
    kinds: ClassVar[Mapping[str, str]] = {}
    vectorised: ClassVar[bool] = False
    requires: ClassVar[Mapping[str, str]] = {"keeps_up == 1": "undecided"}

    @staticmethod
    def batched(scenario: Scenario | None, paths: Sequence[str]) -> list[str]:
        return []

    @staticmethod
    def evaluate(scenario: Scenario, columns: Columns, cases: int, wanted: Collection[str]) -> Mapping[str, Any]:
        work = scenario.workload
        assert isinstance(work, Requests)
        alike = with_values(scenario, {"workload.rate": 1.0, "workload.process": "poisson"})
        load = _load(alike.model_dump_json())
        served = serve(load.times, requests(load.lengths, work.requests, work.rate, work.process), load.cap)
        judged = saturation(served, work.rate, load.sustained)
        waits = {"ttft": served.ttft, "e2e": served.e2e, "queue": served.queued}
        return {
            **{f"{name}_p{p}_s": percentile(each, p) for name, each in waits.items() for p in PERCENTS},
            **{f"tbt_p{p}_s": served.tbt(p) for p in PERCENTS},
            "tokens_per_s": served.throughput,
            "admitted": float(load.cap),
            "utilisation": judged.utilisation,
            "keeps_up": nan if judged.keeps_up is None else float(judged.keeps_up),
            "undecided": judged.undecided,
            **load.costs,
        }

    @staticmethod
    def detail(scenario: Scenario) -> NoReturn:
        raise no_plan(scenario)


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
    lengths: Lengths
    cap: int
    sustained: float
    costs: Mapping[str, Any]


@lru_cache(maxsize=8)
def _load(text: str) -> _Load:
    """The load of a scenario, as JSON."""
    scenario = Scenario.model_validate_json(text)
    work = scenario.workload
    assert isinstance(work, Requests)
    deployed = deployment(scenario, requests=True)
    check_requests(deployed)
    model = deployed.model
    check_context(model, work.input + work.output)
    lengths = Lengths(work.input, work.output, work.spread)
    most = scenario.mapping.scheduler.max_sequences or MAX_SEQUENCES
    cap = most_sequences(deployed, lengths.total, lengths.longest_input, most)
    stages = Stages(deployed).compiled_for(cap, lengths.longest_input, work.output)
    router = stages.draws(ROUTERS[work.router](model.moe.experts, model.moe.top_k)) if model.moe else None
    times = StageTimes(stages, chosen(requests(lengths, work.requests, 1.0, "even"), router, stages.layers, cap))
    costs = costs_of(scenario, deployed.system, model)
    return _Load(times, lengths, cap, sustained(stages, lengths, cap, router), costs)
