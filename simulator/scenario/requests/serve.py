"""Serve the requests of a scenario: a run with what each request saw, as the command `simulate` makes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simulator.errors import ConfigError
from simulator.files import replacement
from simulator.provenance import Provenance
from simulator.result import Result
from simulator.scenario.evaluate import located, read_scenario
from simulator.scenario.evaluators.requests import RequestsEvaluator
from simulator.scenario.form import Scenario
from simulator.scenario.reads import check_read
from simulator.scenario.requests.program import served
from simulator.scenario.requests.series import series_frame
from simulator.scenario.requests.spent import spent
from simulator.serving.record.series import Series

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False, repr=False)
class Serving(Result):
    """What the requests of a run saw.

    Attributes:
        metrics: in SI units, those that are known.
        partial: whether it was broken off; then of the requests that had ended.
        tiers: of each tier of keys and values, where there are several: blocks, tokens found there, bytes copied.
        utilisation: of each resource, the share of what it could serve in the span.
        series: by window of time: rates, queue, TTFT, room, hit rate, power (`requests/series.py`); None unless wanted.
        lacks: keys of the figures that the machine lacks for its energy.
        left_out: rows of the trace that are not served, by the reason.
    """

    metrics: Mapping[str, float]
    partial: bool
    tiers: Sequence[Mapping[str, Any]]
    utilisation: Mapping[str, float]
    lacks: tuple[str, ...]
    left_out: Mapping[str, int]
    series: pd.DataFrame | None
    provenance: Provenance

    def frames(self) -> dict[str, pd.DataFrame]:
        import pandas as pd

        units = {metric.name: (metric.label, metric.unit) for metric in RequestsEvaluator.metrics}
        rows = [(units[name][0], name, value, units[name][1]) for name, value in self.metrics.items()]
        title = "requests, partial: broken off" if self.partial else "requests"
        frames = {title: pd.DataFrame(rows, columns=["what", "metric", "value", "unit"])}
        if self.tiers:
            frames["tiers"] = pd.DataFrame(self.tiers)
        if self.utilisation:
            frames["utilisation"] = pd.DataFrame(list(self.utilisation.items()), columns=["resource", "utilisation"])
        if self.lacks:
            frames["figures that its energy lacks"] = pd.DataFrame({"key": self.lacks})
        if self.left_out:
            frames["left out"] = pd.DataFrame(list(self.left_out.items()), columns=["reason", "rows"])
        return frames

    def as_json(self) -> dict[str, Any]:
        return {
            "metrics": dict(self.metrics),
            "partial": self.partial,
            "tiers": [dict(row) for row in self.tiers],
            "utilisation": dict(self.utilisation),
            "lacks": list(self.lacks),
            "left_out": dict(self.left_out),
        }


def serve(
    scenario: Scenario | Mapping[str, Any] | str | Path,
    overrides: Sequence[str] = (),
    rows: Path | None = None,
    timeline: Path | None = None,
    progress: Callable[[int, float], None] | None = None,
    series: bool | float = False,
) -> Serving:
    """Serve the requests of a scenario of kind `requests`, by the scheduler of a program.

    `rows`: a Parquet file of what each request saw. `timeline`: a JSON file that ui.perfetto.dev opens. `progress` is
    called with the requests that have ended and the time of the service. `series`: whether a frame by window
    of time is wanted, or how many seconds a window has. Ctrl-C ends the run, which is then partial.

    Raises:
        TiersimError: what is wrong with the scenario or its trace; what does not fit.
    """
    with located(scenario), ExitStack() as stack:
        form = read_scenario(scenario, overrides)
        check_read(form)
        if form.workload.kind != "requests":
            raise ConfigError(path=("workload", "kind"), found=f"'{form.workload.kind}'", expected="'requests'")
        written = [stack.enter_context(replacement(file)) if file else None for file in (rows, timeline)]
        windows = Series(None if series is True else series) if series else None
        run, left_out = served(form, written[0], written[1], progress, series=windows)
        cost = spent(form, run)
        frame = None if windows is None else series_frame(form, run, windows)
    metrics = {name: value for name, value in {**run.metrics(), **cost.metrics}.items() if value == value}
    made_from = Provenance({"scenario": form.written()})
    return Serving(metrics, run.partial, run.tiers(), cost.utilisation, cost.lacks, left_out, frame, made_from)
