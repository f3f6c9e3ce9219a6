"""Each request of a recorded run of a server beside what the record says that it saw."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NoReturn

import numpy as np

from simulator.errors import ConfigError
from simulator.files import remembered
from simulator.registry import register
from simulator.scenario.cases import Columns, text_of
from simulator.scenario.evaluator import no_plan
from simulator.scenario.evaluators.requests import RequestsEvaluator
from simulator.scenario.form import Scenario, Workload
from simulator.scenario.metric import Metric
from simulator.scenario.requests.form import Requests
from simulator.scenario.requests.program import served
from simulator.serving.service.sequence import Sequence as Served
from simulator.units import Share, Width
from simulator.workload.neurons.forms import digest
from simulator.workload.requests.trace import trace_file

if TYPE_CHECKING:
    import pandas as pd

REQUEST = "workload.request"
TIMES = ("arrival_s", "scheduled_s", "first_token_s", "last_token_s")
LABELS = {
    "ttft_s": "time to first token",
    "tpot_s": "mean time between tokens",
    "e2e_s": "time to last token",
    "queue_s": "wait",
    "service_s": "time to first token but for the wait",
}


def _trace(name: str | None) -> Any:
    """What is read of a trace that a scenario names, if it does."""
    return digest(str(trace_file(name))) if name else None


class Replay(Workload):
    """The requests of a recorded run, as they arrived; metrics are of one of them."""

    kind: Literal["replay"]
    trace: str | None = None
    """A CSV in our form of measured runs (`docs/compare.md`) by its path, or one of `workloads/traces` by its name."""
    request: Width = 0
    """The request, counted from 0 in the order of the file."""
    shared: Share = 0.0
    """The share of each prompt, from its start, that is the same in all."""


@register("evaluator", "replay")
class ReplayEvaluator:
    """Serves a recorded run by the scheduler of a program, and tells what a request saw and what the record says of it.

    An answer of one token has no time between tokens. `span_s` is of the whole run, from the first arrival to the last
    token, as are `hit_rate` and `preempted`.
    """

    form = Replay
    metrics: ClassVar[tuple[Metric, ...]] = (
        *(Metric(name, "s", "min", label, "request") for name, label in LABELS.items()),
        *(Metric(f"recorded_{name}", "s", None, f"{label}, recorded", "request") for name, label in LABELS.items()),
        Metric("input_tokens", "1", None, "tokens of the prompt"),
        Metric("output_tokens", "1", None, "tokens of the answer"),
        Metric("arrival_s", "s", None, "arrival"),
        Metric("preemptions", "1", "min", "times that it lost its room"),
        Metric("span_s", "s", "min", "from the first arrival to the last token"),
        Metric("recorded_span_s", "s", None, "from the first arrival to the last token, recorded"),
        Metric("hit_rate", "1", "max", "share of prompts that was cached"),
        Metric("preempted", "1", "min", "times that a sequence lost its room"),
    )
    needs: ClassVar[Collection[str]] = RequestsEvaluator.needs
    mapping: ClassVar[Collection[str]] = tuple(key for key in RequestsEvaluator.mapping if key != "answers")
    instead: ClassVar[Mapping[str, str]] = RequestsEvaluator.instead
    kinds: ClassVar[Mapping[str, str]] = {}
    files: ClassVar[Mapping[str, Callable[[str], Any]]] = {"workload.trace": _trace}
    vectorised: ClassVar[bool] = True
    requires: ClassVar[Mapping[str, str]] = {}

    @staticmethod
    def unread(scenario: Scenario) -> Mapping[str, str]:
        """What the requests of a trace do not read of the mapping."""
        of_requests = RequestsEvaluator.unread(_as_requests(scenario))
        return {path: why for path, why in of_requests.items() if path.startswith("mapping.")}

    @staticmethod
    def batched(scenario: Scenario | None, paths: Sequence[str]) -> list[str]:
        """Requests: all are of one run."""
        return [path for path in paths if path == REQUEST]

    @staticmethod
    def evaluate(scenario: Scenario, columns: Columns, cases: int, wanted: Collection[str]) -> Mapping[str, Any]:
        work = _of(scenario)
        if work.trace is None:
            raise ConfigError("missing key", path="workload.trace", expected="a recorded run of a server")
        if not trace_file(work.trace).is_file():
            raise ConfigError("no such file", path="workload.trace", found=f"'{work.trace}'", expected="a recorded run")
        frame = _replayed(text_of(scenario, {REQUEST: 0}))
        rows = np.broadcast_to(columns.get(REQUEST, work.request), cases).astype(int)
        if rows.max() >= len(frame):
            expected = f"less than {len(frame)}, the requests of the trace"
            raise ConfigError(path=REQUEST.split("."), found=int(rows.max()), expected=expected)
        return {str(name): column.to_numpy()[rows] for name, column in frame.items()}

    @staticmethod
    def detail(scenario: Scenario) -> NoReturn:
        raise no_plan(scenario)


def _of(scenario: Scenario) -> Replay:
    assert isinstance(scenario.workload, Replay)
    return scenario.workload


def _as_requests(scenario: Scenario) -> Scenario:
    """The scenario that serves the requests of the record."""
    work = _of(scenario)
    requests = Requests(kind="requests", trace=work.trace, shared=work.shared)
    return scenario.model_copy(update={"workload": requests})


@remembered(8)
def _replayed(text: str) -> pd.DataFrame:
    """The metrics of all requests of a run, by the scenario as JSON."""
    import pandas as pd

    scenario = Scenario.model_validate_json(text)
    recorded = _recorded(str(_of(scenario).trace))
    rows: list[Served] = []
    run, _ = served(_as_requests(scenario), each=rows.append)
    names = [one.request.request_id for one in rows]
    times = pd.DataFrame([(one.arrival, one.scheduled, one.first, one.last) for one in rows], names, [*TIMES])
    others = pd.DataFrame([(one.input, one.output, one.preemptions) for one in rows], names, [0, 1, 2])
    output = recorded["output_len"]
    metrics = run.metrics()
    return pd.DataFrame({
        **_seen(times.loc[recorded.index], output),
        **{f"recorded_{name}": values for name, values in _seen(recorded, output).items()},
        "input_tokens": others[0],
        "output_tokens": others[1],
        "arrival_s": times["arrival_s"],
        "preemptions": others[2],
        "span_s": run.figures.seconds,
        "recorded_span_s": recorded["last_token_s"].max() - recorded["arrival_s"].min(),
        "hit_rate": metrics["hit_rate"],
        "preempted": metrics["preemptions"],
    }).loc[recorded.index]  # fmt: skip


def _seen(times: pd.DataFrame, output: pd.Series[int]) -> dict[str, pd.Series[float]]:
    """What requests saw by their times, in seconds; no time between tokens where an answer is one token."""
    arrival, scheduled, first, last = (times[name] for name in TIMES)
    return {
        "ttft_s": first - arrival,
        "tpot_s": (last - first) / (output - 1).where(output > 1),
        "e2e_s": last - arrival,
        "queue_s": scheduled - arrival,
        "service_s": first - scheduled,
    }


def _recorded(trace: str) -> pd.DataFrame:
    """The times of a record, by the name of the request.

    Raises:
        ConfigError: it has not the columns of a measured run.
    """
    import pandas as pd

    file = trace_file(trace)
    try:
        frame = pd.read_csv(file, dtype={"request": str})
    except (OSError, ValueError) as error:
        raise ConfigError("cannot be read as a CSV", file=file, found=str(error)) from None
    lacking = sorted({"request", "output_len", *TIMES}.difference(frame))
    if lacking:
        expected = "the requests of a measured run, with what became of them"
        raise ConfigError(f"no column '{lacking[0]}'", file=file, line=1, expected=expected)
    return frame.set_index("request")
