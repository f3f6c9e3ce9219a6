"""Requests served by the scheduler of a program, over blocks of keys and values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from simulator.errors import ConfigError
from simulator.files import remembered
from simulator.mapping.compose import check_requests
from simulator.mapping.deployment import Deployment
from simulator.mapping.parallel.serving_stages import ranked, stages_of
from simulator.registry import registered
from simulator.scenario.cases import text_of
from simulator.scenario.form import Scenario
from simulator.scenario.parts import at_key, deployment
from simulator.scenario.requests.form import Requests, requests_of, router_of
from simulator.scenario.requests.service import SEQUENCES, Run, run, service_of, settings, store_kind
from simulator.serving.iteration.iterations import Iterations
from simulator.serving.kv.reuse import chunk_of
from simulator.serving.record.series import Series
from simulator.serving.service.sequence import Sequence
from simulator.serving.stages import Stages
from simulator.workload.requests.arrivals import requests
from simulator.workload.requests.draw import stream_of
from simulator.workload.requests.form import RequestsForm
from simulator.workload.requests.load import YAML, load_requests
from simulator.workload.requests.request import Request, Stream
from simulator.workload.requests.trace import open_trace


def served(
    scenario: Scenario,
    rows: Path | None = None,
    timeline: Path | None = None,
    progress: Callable[[int, float], None] | None = None,
    each: Callable[[Sequence], None] | None = None,
    speed: float = 1.0,
    series: Series | None = None,
) -> tuple[Run, Mapping[str, int]]:
    """Serve the requests of a scenario by the scheduler of a program; and rows of its trace that are left out.

    A trace goes by so many times as fast (`speed`). What each request saw goes to a file of `rows`, what happens when
    to one of a `timeline`, and sums by window of time to a `series`; `each` is called with it.

    Raises:
        TiersimError: the scenario cannot be served.
    """
    work, deployed = requests_of(scenario), ranked(deployment(scenario, requests=True))
    if deployed.answers:
        raise ConfigError(path=("mapping", "answers"), found="some, under a scheduler of a program", expected="none")
    with at_key("mapping"):
        check_requests(deployed)
    if work.shared and store_kind(deployed) != "prefix":
        found, expected = f"{work.shared:g}, where no prefix is found again", "mapping.kv_store.kind: prefix"
        raise ConfigError(path=("workload", "shared"), found=found, expected=expected)
    load = _load(deployed, _stream(work)[0]) if deployed.whole_layers else None
    iterations = _iterations(text_of(scenario, dict.fromkeys(_SERVED)), load)
    stream, in_flight, left_out = _stream(work)
    if work.trace is not None and speed != 1.0:
        stream = (replace(request, arrival_s=request.arrival_s / speed) for request in stream)
    made = run(
        lambda ended: service_of(deployed, ended, iterations),
        map(partial(_sharing, work.shared), stream) if work.shared else iter(stream),
        (work.ttft, work.tpot), in_flight, rows, timeline, progress, each, series,
    )  # fmt: skip
    return made, left_out


class Load(NamedTuple):
    """The most sequences at once, the mean tokens of prompt and answer, and the most tokens of a prompt that are
    computed at once: what a program is compiled for.
    """

    sequences: int
    input: int
    output: int
    chunk: float


_SERVED = (
    "mapping.scheduler", "mapping.kv_store",
    *(f"workload.{key}" for key in Requests.model_fields if key not in ("kind", "router", "seed")),
)  # fmt: skip
"""What of a scenario the times of its iterations do not depend on."""


@remembered(8)
def _iterations(text: str, load: Load | None) -> tuple[Iterations, ...]:
    """The iterations of each stage of a scenario, as JSON, compiled once for all that it may serve, or for a load."""
    scenario = Scenario.model_validate_json(text)
    work, deployed = requests_of(scenario), ranked(deployment(scenario, requests=True))
    with at_key("mapping"):
        stages = [Stages(each) for each in stages_of(deployed)]
    if load:
        stages = [each.compiled_for(*load) for each in stages]
    router = router_of(work, deployed.model)
    return tuple(Iterations(each, router, work.seed + place) for place, each in enumerate(stages))


def rate_of(scenario: Scenario) -> float:
    """Requests a second of a scenario: as it has it, or on the mean of its trace.

    Raises:
        ConfigError: they all arrive at once.
    """
    work = requests_of(scenario)
    if work.trace is None:
        return work.rate
    number, first, last = 0, 0.0, 0.0
    for request in _stream(work)[0]:
        first, last, number = request.arrival_s if not number else first, request.arrival_s, number + 1
    if last <= first:
        found = f"{number:,} requests at one time"
        raise ConfigError(path=("workload", "trace"), found=found, expected="requests that arrive one after another")
    return (number - 1) / (last - first)


def _stream(work: Requests) -> tuple[Iterable[Request], int | None, Mapping[str, int]]:
    """The requests of a workload as they arrive; how many are in flight in a closed loop; rows that are left out."""
    if work.trace is not None:
        stream = _recorded(work.trace, work.skip_bad)
        return stream, stream.in_flight, stream.left_out
    number = work.requests if work.loop == "open" else int(work.rounds * work.batch)
    drawn = requests(work.lengths, number, work.rate, work.process, work.seed)
    at = drawn.arrival if work.loop == "open" else np.zeros(number)
    each = zip(at.tolist(), drawn.input.tolist(), drawn.output.tolist(), strict=True)
    made = (Request(str(i), *one, max_tokens=int(work.lengths.total)) for i, one in enumerate(each))
    return made, None if work.loop == "open" else work.batch, {}


def _recorded(trace: str | RequestsForm, skip_bad: bool) -> Stream:
    """The requests of a file, or of laws that a YAML or the scenario itself says.

    Raises:
        ConfigError: what is wrong with them; a file that does not say when they arrive.
    """
    with at_key("workload", "trace"):
        if isinstance(trace, RequestsForm):
            return stream_of(trace)
        if Path(trace).suffix.lower() in YAML:
            return load_requests(trace)
    recorded = open_trace(trace, skip_bad)
    if not recorded.timed:
        raise ConfigError(path=("workload", "trace"), found="requests without times", expected="a trace with times")
    return Stream(recorded.batches, left_out=recorded.left_out)


def _load(deployed: Deployment, requests: Iterable[Request]) -> Load | None:
    """What an engine is compiled for that runs layers as a whole; None of no requests."""
    number = input = output = 0
    for request in requests:
        number, input, output = number + 1, input + request.input_tokens, output + request.output_tokens
    if not number:
        return None
    chosen = settings(deployed)
    sequences, chunk = (
        min(chosen.max_sequences or SEQUENCES, number),
        chunk_of(registered("scheduler", chosen.kind)(chosen)),
    )
    return Load(sequences, max(round(input / number), 1), max(round(output / number), 1), chunk)


def _sharing(share: float, request: Request) -> Request:
    """A request that begins as all do, where it names no prefix of its own."""
    if request.prefix_tokens or request.block_ids is not None:
        return request
    return replace(request, prefix_id="shared", prefix_tokens=int(share * request.input_tokens))
