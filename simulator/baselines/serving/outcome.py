"""What a `serving` experiment gave: its points, and the metrics that may be published of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from math import isnan
from statistics import fmean
from typing import TYPE_CHECKING, Any, ClassVar

from simulator.baselines.serving.form import ServingExperiment
from simulator.errors import ConfigError, nearest, one_of

if TYPE_CHECKING:
    import pandas as pd

Row = dict[str, Any]
POINT = ("system", "model", "input", "output", "batch")
STATISTICS: dict[str, Callable[[list[float]], float]] = {"max": max, "min": min, "mean": fmean}
PERCENTS = ("p50", "p90", "p99")


@dataclass(frozen=True)
class ServingOutcome:
    """Rows of closed loops (`points`), and of open loops, one a rate; the configs behind them."""

    VALUES: ClassVar[tuple[str, ...]] = (
        "throughput",
        *(f"{what}_{percent}_s" for what in ("ttft", "tbt", "e2e") for percent in PERCENTS),
        "energy_j_per_token",
        "mixed_share",
    )
    METRICS: ClassVar[dict[str, str]] = {
        "speedup": "throughput",
        "throughput": "throughput",
        "energy": "energy_j_per_token",
        "admitted": "admitted",
        **{f"{w}_{p}": f"{w}_{p}_s" for w in ("ttft", "tbt", "e2e") for p in PERCENTS},
    }

    experiment: ServingExperiment
    points: list[Row]
    arrivals: list[Row]
    inputs: Mapping[str, Any]

    def frames(self) -> dict[str, pd.DataFrame]:
        import pandas as pd

        frames = {"points": pd.DataFrame(self.points), "arrivals": pd.DataFrame(self.arrivals)}
        return {name: frame for name, frame in frames.items() if len(frame)}

    def measure(self, metric: str, condition: Mapping[str, Any]) -> float | None:
        """A metric by name, under a condition; None where its loops were not run, or not one sequence had room.

        `system`, `model`, `input`, `output`, `batch` name a point; `over` another system, to give the ratio of the two;
        `of` loops, and `statistic` (`max`, `min`, `mean`) what of all their points that meet the condition.
        `saturation`: the highest rate at which `system` keeps up with arrivals of a `process`, of the loops `of`, below
        the first at which it does not, or its run does not tell; None where the first does not tell.

        Raises:
            ConfigError: no such metric, condition, loops or point.
        """
        condition = dict(condition)
        of = condition.pop("of", None)
        if of is not None:
            known = {**self.experiment.loops, **self.experiment.arrivals}
            if of not in known:
                raise ConfigError("no such loops", found=of, expected=one_of(known), nearest=nearest(of, known))
            if not self.experiment.runs(of):
                return None
        if metric == "saturation":
            return self._saturation(condition)
        if metric not in self.METRICS:
            known_metrics = [*self.METRICS, "saturation"]
            close = nearest(metric, known_metrics)
            raise ConfigError("no such metric", found=metric, expected=one_of(known_metrics), nearest=close)
        return self._ratio(self.METRICS[metric], condition, of)

    def ratios(self, column: str, of: str, system: str, over: str, **only: Any) -> dict[tuple[Any, ...], float]:
        """New over old at each point of some loops: by model, input, output and batch."""
        if of not in self.experiment.loops:
            known = self.experiment.loops
            raise ConfigError("no such closed loops", found=of, expected=one_of(known), nearest=nearest(of, known))
        loop = self.experiment.loops[of]
        asked = [p for p in loop.points() if p["system"] == system and only.items() <= p.items()]
        return {
            tuple(p.values())[1:]: self._value(column, p) / self._value(column, {**p, "system": over}) for p in asked
        }

    def _ratio(self, column: str, condition: dict[str, Any], of: str | None) -> float | None:
        over, statistic = condition.pop("over", None), condition.pop("statistic", None)
        if statistic is None:
            if of is None and self.experiment.only:
                return None
            value = self._value(column, condition)
            found = value / self._value(column, {**condition, "system": over}) if over else value
            return None if isnan(found) else found
        system = condition.pop("system", None)
        if statistic not in STATISTICS or None in (of, over, system):
            expected = f"statistic={one_of(STATISTICS)} of=<loops> system=<system> over=<system>"
            raise ConfigError("a statistic", found=f"{statistic} of {of}, {system} over {over}", expected=expected)
        _check_keys(condition)
        values = list(self.ratios(column, str(of), system, over, **condition).values())
        if not values:
            raise ConfigError(f"no such point in {of}", found={"system": system, **condition})
        return None if any(map(isnan, values)) else float(STATISTICS[statistic](values))

    def _value(self, column: str, condition: Mapping[str, Any]) -> float:
        _check_keys(condition)
        found = [row for row in self.points if condition.items() <= row.items()]
        if len(found) != 1:
            raise ConfigError(
                "no such point in the experiment" if not found else f"{len(found)} points meet this",
                found=dict(condition),
                expected="a system, a model, lengths and a batch size that one of its loops has",
            )
        return float(found[0][column])

    def _saturation(self, condition: Mapping[str, Any]) -> float | None:
        rows = sorted((r for r in self.arrivals if condition.items() <= r.items()), key=lambda row: row["rate"])
        if not rows:
            raise ConfigError("no arrivals meet this", found=dict(condition), expected="a system and a process")
        kept = None if rows[0]["undecided"] else 0.0
        for row in rows:
            if not row["keeps_up"]:
                break
            kept = row["rate"]
        return kept


def _check_keys(condition: Iterable[str]) -> None:
    for key in condition:
        if key not in POINT:
            raise ConfigError("no such condition", found=key, expected=one_of(POINT), nearest=nearest(key, POINT))
