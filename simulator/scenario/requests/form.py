"""The form of a workload of requests: when they come, how long they are, and what is wanted of them."""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, Literal

from simulator.config.choose import one_among
from simulator.scenario.form import Scenario, Workload
from simulator.units import Count, Positive, Seconds, Seed, Share
from simulator.workload import Model
from simulator.workload.requests.form import RequestsForm
from simulator.workload.requests.lengths import Lengths, Spread
from simulator.workload.routing.routers import ROUTERS, Router


class Requests(Workload):
    """Requests of about so many tokens: that arrive at a rate, or so many that are always in flight."""

    kind: Literal["requests"]
    loop: Literal["open", "closed"] = "open"
    """`open`: they arrive at a rate; `closed`: `batch` are in flight, and where one ends, the next one joins."""
    requests: Count = 500
    """Requests in all, of an open loop."""
    rate: Positive = 1.0
    """Requests a second, of an open loop."""
    process: Literal["poisson", "even"] = "poisson"
    """How they arrive in an open loop: at random, or at equal distances."""
    batch: Count = 64
    """Requests in flight, of a closed loop, or as many as fit."""
    rounds: Positive = 20.0
    """How often each place of a closed loop is taken anew, on average."""
    input: Count = 512
    """Mean tokens of a prompt."""
    output: Count = 128
    """Mean tokens of an answer."""
    spread: Spread = 0.0
    """Spread of lengths about their means (`workload/requests/lengths.py`)."""
    scale: Count = 256
    """Tokens that a spread of 1 is, at most."""
    router: Annotated[str, one_among(lambda: ROUTERS)] = "uniform"
    """How tokens choose experts."""
    seed: Seed = 0
    """Of lengths, arrivals and experts."""
    trace: str | RequestsForm | None = None
    """A file of requests, in our form or a public one, which are served as they arrived, or a YAML of requests that are
    drawn by laws (`docs/traces.md`), or what such a YAML says; null: they are drawn by the keys above."""
    skip_bad: bool = False
    """Whether rows of the trace that are wrong are left out and counted; else the first is an error."""
    shared: Share = 0.0
    """The share of each prompt, from its start, that is the same in all; of a trace, beside what its requests name."""
    ttft: Seconds | None = None
    """The objective of a request: to its first token at most so long; null: none but its own `slo`."""
    tpot: Seconds | None = None
    """And from token to token, on the mean of its answer."""

    @property
    def lengths(self) -> Lengths:
        return Lengths(self.input, self.output, self.spread, self.scale)


def requests_of(scenario: Scenario) -> Requests:
    """The workload of a scenario of requests."""
    assert isinstance(scenario.workload, Requests)
    return scenario.workload


def router_of(work: Requests, model: Model) -> Router | None:
    """How tokens choose the experts of a model; None where it has none."""
    return _named(work.router, model.moe.experts, model.moe.top_k) if model.moe else None


@lru_cache(maxsize=64)
def _named(router: str, experts: int, top_k: int) -> Router:
    """One router for all that ask for the same, so that they share its draws."""
    return ROUTERS[router](experts, top_k)
