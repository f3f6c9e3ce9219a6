"""What a `fusion` experiment gave: its runs, its operational intensities, and the metrics that may be published."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from simulator.errors import ConfigError, nearest, one_of

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class FusionOutcome:
    """Rows of runs (a benchmark in a mode) and of intensities (a fusion under a counting); the configs behind them."""

    runs: list[dict[str, Any]]
    intensities: list[dict[str, Any]]
    inputs: dict[str, Any]

    def frames(self) -> dict[str, pd.DataFrame]:
        import pandas as pd

        return {"runs": pd.DataFrame(self.runs), "intensities": pd.DataFrame(self.intensities)}

    def measure(self, metric: str, condition: Mapping[str, Any]) -> float | None:
        """A metric by name.

        Of a `benchmark`: `speedup`, the unfused time over that with `orchestration`; `orchestration_gain`, the time
        with software orchestration over that with hardware; `calls_ratio`, kernel calls unfused over fused. Of a
        `fusion` under a `counting`: `op_per_byte`.
        """
        if metric not in _METRICS:
            close = nearest(metric, _METRICS)
            raise ConfigError("no such metric", found=metric, expected=one_of(_METRICS), nearest=close)
        return float(_METRICS[metric](self, condition))

    def run(self, condition: Mapping[str, Any], mode: str) -> dict[str, Any]:
        """The run of a condition's benchmark in a mode."""
        name = condition.get("benchmark")
        found = [run for run in self.runs if (run["benchmark"], run["mode"]) == (name, mode)]
        if not found:
            known = list(dict.fromkeys(run["benchmark"] for run in self.runs))
            close = nearest(str(name), known)
            raise ConfigError(path="benchmark", found=f"'{name}' {mode}", expected=one_of(known), nearest=close)
        return found[0]


def _ratio(outcome: FusionOutcome, condition: Mapping[str, Any], column: str, over: str, under: str) -> float:
    ratio: float = outcome.run(condition, over)[column] / outcome.run(condition, under)[column]
    return ratio


def _intensity(outcome: FusionOutcome, condition: Mapping[str, Any]) -> float:
    for row in outcome.intensities:
        if condition.items() <= row.items():
            intensity: float = row["op_per_byte"]
            return intensity
    raise ConfigError("no such intensity", found=dict(condition), expected="a fusion and a counting of the experiment")


_METRICS: dict[str, Callable[[FusionOutcome, Mapping[str, Any]], float]] = {
    "speedup": lambda o, c: _ratio(o, c, "time_s", "unfused", str(c.get("orchestration"))),
    "orchestration_gain": lambda o, c: _ratio(o, c, "time_s", "software", "hardware"),
    "calls_ratio": lambda o, c: _ratio(o, c, "calls", "unfused", "hardware"),
    "op_per_byte": _intensity,
}
