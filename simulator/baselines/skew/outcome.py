"""What a `skew` experiment gave: its points, and the metrics that may be published of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isnan
from typing import TYPE_CHECKING, Any

from simulator.errors import ConfigError, nearest, one_of

if TYPE_CHECKING:
    import pandas as pd

POINT = ("router", "experts", "top_k", "devices", "tokens")
METRICS = (
    "busiest_over_mean",
    "idle",
    "effective_experts",
    "gini",
    "busiest_device_over_mean",
    "sharing_speedup",
    "sharing_speedup_even",
)


@dataclass(frozen=True)
class SkewOutcome:
    """Rows of points, one a router and number of tokens; the configs behind them."""

    points: list[dict[str, Any]]
    inputs: dict[str, Any]

    def frames(self) -> dict[str, pd.DataFrame]:
        import pandas as pd

        return {"points": pd.DataFrame(self.points)}

    def measure(self, metric: str, condition: Mapping[str, Any]) -> float | None:
        """A metric by name, under a condition that only one point meets: means over all draws.

        Conditions are `router`, `experts`, `top_k`, `devices` and `tokens`. `busiest_over_mean`, `idle`,
        `effective_experts` and `gini` are those of `workload.skew`, the first also of the tokens of whole devices;
        `sharing_speedup` is that of two engines over the faster one, `sharing_speedup_even` if all experts had alike.
        """
        if metric not in METRICS:
            close = nearest(metric, METRICS)
            raise ConfigError("no such metric", found=metric, expected=one_of(METRICS), nearest=close)
        value = self._point(condition)[metric]
        return None if isnan(value) else float(value)

    def _point(self, condition: Mapping[str, Any]) -> dict[str, Any]:
        for key in condition:
            if key not in POINT:
                raise ConfigError("no such condition", found=key, expected=one_of(POINT), nearest=nearest(key, POINT))
        found = [point for point in self.points if condition.items() <= point.items()]
        if len(found) != 1:
            several = f"one point; {len(found)} of {one_of(dict.fromkeys(p['router'] for p in found))} meet it"
            expected = several if found else "a router of the experiment and one of its numbers of tokens"
            raise ConfigError("no such point in the experiment", found=dict(condition), expected=expected)
        return found[0]
